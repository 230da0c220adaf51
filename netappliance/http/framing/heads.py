"""Heads as they are sent: every one written anew from what was parsed. Sans-I/O."""

from __future__ import annotations

from netappliance.http.identity import ClientIdentity
from netappliance.http.message import CHUNKED, UNTIL_CLOSE, Request, Response

_CHUNKED_LINE = b"Transfer-Encoding: chunked"
_PHRASES = {
    200: b"OK",
    204: b"No Content",
    301: b"Moved Permanently",
    302: b"Found",
    304: b"Not Modified",
    404: b"Not Found",
}


def request_head(request: Request, identity: ClientIdentity, request_id: bytes) -> bytes:
    """Return the head for the backend, always HTTP/1.1 and without Connection, which means that we would go on."""
    parts = [request.method + b" " + request.target + b" HTTP/1.1", b"Host: " + request.authority]
    parts += request.lines
    identity.write(parts, request, request_id)
    if request.length == CHUNKED:
        parts.append(_CHUNKED_LINE)
    elif request.declared:
        parts.append(b"Content-Length: %d" % request.length)
    if request.expect_continue:
        parts.append(b"Expect: 100-continue")
    if request.upgrade:
        parts.append(b"Connection: Upgrade\r\nUpgrade: " + request.upgrade)
    parts.append(b"\r\n")
    return b"\r\n".join(parts)


def response_head(response: Response, minor: int, *, keep_alive: bool) -> bytes:
    """
    Return the head of a final response for the client.

    :param minor: of the client's HTTP version; one of 1.0 gets no chunks but the end of the connection.
    """
    status = response.status
    parts = [b"HTTP/1.1 %d %b" % (status, response.reason or _PHRASES.get(status, b""))]
    parts += response.lines
    if response.length in (CHUNKED, UNTIL_CLOSE):
        if minor:
            parts.append(_CHUNKED_LINE)
    elif response.declared >= 0:
        parts.append(b"Content-Length: %d" % response.declared)
    if keep_alive:
        if not minor:
            parts.append(b"Connection: keep-alive")
    else:
        parts.append(b"Connection: close")
    parts.append(b"\r\n")
    return b"\r\n".join(parts)


def interim_head(response: Response) -> bytes:
    """Return the head of an interim response (1xx); for 101 with the protocol that both sides agreed on."""
    parts = [b"HTTP/1.1 %d %b" % (response.status, response.reason), *response.lines]
    if response.status == 101:
        parts.append(b"Connection: Upgrade\r\nUpgrade: " + response.upgrade)
    parts.append(b"\r\n")
    return b"\r\n".join(parts)
