"""Heads as they are sent: every one written anew from what was parsed. Sans-I/O."""

from __future__ import annotations

from typing import ClassVar, Final

from netappliance.http.identity import ClientIdentity
from netappliance.http.message import CHUNKED, UNTIL_CLOSE, Request, Response

_CHUNKED_LINE: Final = b"Transfer-Encoding: chunked"
_PHRASES = {
    200: b"OK",
    204: b"No Content",
    301: b"Moved Permanently",
    302: b"Found",
    304: b"Not Modified",
    404: b"Not Found",
}


class WrittenLines:
    """
    Lines with numbers in them, remembered for the numbers that come again.

    :cvar LIMIT: of each kind; backends and clients choose them.
    """

    LIMIT: ClassVar[int] = 1024

    def __init__(self) -> None:
        self._lengths: dict[int, bytes] = {}
        self._statuses: dict[tuple[int, bytes], bytes] = {}

    def content_length(self, size: int) -> bytes:
        """Return the field line."""
        line = self._lengths.get(size)
        if line is None:
            if len(self._lengths) >= self.LIMIT:
                self._lengths.clear()
            line = self._lengths[size] = b"Content-Length: %d" % size
        return line

    def status(self, status: int, phrase: bytes) -> bytes:
        """Return the status line; the usual phrase stands for an empty one."""
        line = self._statuses.get((status, phrase))
        if line is None:
            if len(self._statuses) >= self.LIMIT:
                self._statuses.clear()
            line = b"HTTP/1.1 %d %b" % (status, phrase or _PHRASES.get(status, b""))
            self._statuses[status, phrase] = line
        return line


_lines: Final = WrittenLines()


def request_head(request: Request, identity: ClientIdentity, request_id: bytes, body: bytes = b"") -> bytes:
    """
    Return the head for the backend, always HTTP/1.1; a Connection of it says nothing about its end, so we would go on.

    :param body: comes right behind it.
    """
    parts = [request.method + b" " + request.target + b" HTTP/1.1", b"Host: " + request.authority]
    parts += request.lines
    identity.write(parts, request, request_id)
    if request.length == CHUNKED:
        parts.append(_CHUNKED_LINE)
    elif request.declared:
        parts.append(_lines.content_length(request.length))
    if request.expect_continue:
        parts.append(b"Expect: 100-continue")
    if request.upgrade:
        parts.append(b"Connection: Upgrade\r\nUpgrade: " + request.upgrade)
    elif request.takes_trailers:
        parts.append(b"Connection: TE\r\nTE: trailers")
    parts.append(b"")
    parts.append(body)
    return b"\r\n".join(parts)


def response_head(response: Response, minor: int, *, keep_alive: bool, body: bytes = b"") -> bytes:
    """
    Return the head of a final response for the client.

    :param minor: of the client's HTTP version; one of 1.0 gets no chunks but the end of the connection.
    :param body: comes right behind it.
    """
    parts = [_lines.status(response.status, response.reason)]
    parts += response.lines
    length = response.length
    if length in (CHUNKED, UNTIL_CLOSE):
        if minor:
            parts.append(_CHUNKED_LINE)
    elif response.declared >= 0:
        parts.append(_lines.content_length(response.declared))
    if keep_alive:
        if not minor:
            parts.append(b"Connection: keep-alive")
    else:
        parts.append(b"Connection: close")
    parts.append(b"")
    parts.append(body)
    return b"\r\n".join(parts)


def interim_head(response: Response) -> bytes:
    """Return the head of an interim response (1xx); for 101 with the protocol that both sides agreed on."""
    parts = [b"HTTP/1.1 %d %b" % (response.status, response.reason), *response.lines]
    if response.status == 101:
        parts.append(b"Connection: Upgrade\r\nUpgrade: " + response.upgrade)
    parts.append(b"\r\n")
    return b"\r\n".join(parts)
