"""The head of a response: judged as strictly as a request; what is wrong is the backend's fault (502)."""

from __future__ import annotations

import re
from typing import Final

from netappliance.http.framing import body_length, names
from netappliance.http.message import UNTIL_CLOSE, Refusal, Response

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
#: the beginning of a status line, as far as it is there
_STATUS_START = b"HTTP/1."
_STATUS_LINES = 1024

_SAME_IF_ALLOWED: Final = names.SAME_IF_ALLOWED

BAD_OCTET = Refusal(502, "invalid octet or line end")
BAD_STATUS_LINE = Refusal(502, "malformed status line")
BAD_FIELD = Refusal(502, "malformed field line")
BAD_LENGTH = Refusal(502, "malformed framing")
HEAD_TOO_LARGE = Refusal(502, "header block too large")


class ResponseFraming:
    """
    Judges response heads.

    :param max_head: bytes of a head with its empty line. :param max_fields: field lines.
    """

    def __init__(self, max_head: int = 65536, max_fields: int = 256) -> None:
        self.max_head = max_head
        self.max_fields = min(max_fields, names.MAX_FIELDS)
        self._names = names.response_names()
        #: status line -> (minor, status, reason); backends repeat a few of them
        self._status_lines: dict[bytes, tuple[int, int, bytes]] = {}

    def parse(self, data: bytes, method: bytes, start: int = 0) -> tuple[Response | Refusal, int] | None:
        """
        Judge the head at ``start`` of what the backend sent.

        :param method: of the request; a response to HEAD has no body.
        :return: as :meth:`RequestFraming.parse`.
        """
        end = data.find(b"\r\n\r\n", start, start + self.max_head)
        if end < 0:
            part = data[start : start + self.max_head]
            refusal = _first_problem(part) or (HEAD_TOO_LARGE if len(part) >= self.max_head else None)
            return None if refusal is None else (refusal, start)
        lines = data[start:end].split(b"\r\n")
        first = lines.pop(0)
        count = len(lines)
        found: list[names.Special] = []
        new = self._names.sift(lines, found)
        known = self._status_lines.get(first) or self._status(first)
        strange = b"".join(new)
        if count > self.max_fields or known is None or (strange and strange.translate(_SAME_IF_ALLOWED) != strange):
            problem = _first_problem(data[start : end + 2])
            return problem or (HEAD_TOO_LARGE if count > self.max_fields else BAD_STATUS_LINE), start
        if new and not self._names.judge(new, lines, found, data, start, end):
            return BAD_FIELD, start
        response = Response(known[1], known[2], known[0], lines)
        if method != b"HEAD" and _usual(response, found):
            return response, end + 4
        return _judge_fields(response, found, method) or response, end + 4

    def _status(self, line: bytes) -> tuple[int, int, bytes] | None:
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            return None
        known = int(match[1]), int(match[2]), match[3] or b""
        if len(self._status_lines) < _STATUS_LINES and len(line) <= 64:
            self._status_lines[line] = known
        return known


def _usual(response: Response, found: list[names.Special]) -> bool:
    """Take up the fields of most responses: one Content-Length, perhaps keep-alive. False when there is more to it."""
    length = -1
    for code, _, value in found:
        if code == names.LENGTH and length < 0:
            length = body_length.plain_length(value)
            if length < 0:
                return False
        elif code != names.CONNECTION or value != b"keep-alive" or not response.minor:
            return False
    if length < 0 or response.status < 200 or response.status in (204, 304):
        return False
    response.length = response.declared = length
    return True


def _judge_fields(response: Response, found: list[names.Special], method: bytes) -> Refusal | None:
    lengths: list[bytes] | None = None
    codings: list[bytes] | None = None
    connection = upgrade = b""
    for code, _, value in found:
        if code == names.LENGTH:
            lengths = [*(lengths or ()), value]
        elif code == names.CODING:
            codings = [*(codings or ()), value]
        elif code == names.CONNECTION:
            connection = connection + b"," + value if connection else value
        elif code == names.UPGRADE:
            upgrade = value
    if connection:
        refusal = _judge_connection(response, connection, upgrade)
        if refusal is not None:
            return refusal
    return _judge_length(response, lengths, codings, method)


def _judge_connection(response: Response, connection: bytes, upgrade: bytes) -> Refusal | None:
    options = {item.strip(b" \t").lower() for item in connection.split(b",")}
    options.discard(b"")
    if b"close" in options:
        response.keep_alive = False
    elif b"keep-alive" in options:
        response.keep_alive = True
    named = options - {b"close", b"keep-alive", b"upgrade"}
    if named:
        if named & names.PROTECTED or not all(map(names.is_token, named)):
            return BAD_FIELD
        response.lines = [line for line in response.lines if line.partition(b":")[0].lower() not in named]
    if b"upgrade" in options:
        response.upgrade = upgrade
    return None


def _judge_length(
    response: Response, lengths: list[bytes] | None, codings: list[bytes] | None, method: bytes
) -> Refusal | None:
    """Decide where the body ends (RFC 9112 section 6.3)."""
    status = response.status
    length = body_length.body_length(lengths, codings, response.minor)
    if isinstance(length, Refusal):
        return BAD_LENGTH
    if lengths is not None:
        response.declared = length
    if status < 200 or status == 204:
        # neither field is allowed here (RFC 9110 section 8.6); one that is there anyway must not be believed elsewhere
        if codings is not None or length > 0:
            return BAD_LENGTH
        response.declared = -1
        return None
    if method == b"HEAD" or status == 304:
        return None
    if lengths is None and codings is None:
        response.length = UNTIL_CLOSE
        response.keep_alive = False
    else:
        response.length = length
    return None


def _first_problem(head: bytes) -> Refusal | None:
    """Find the first thing wrong that shows before the head is complete, as in a request."""
    bad = names.bad_octet(head)
    line_end = head.find(b"\r\n")
    if not head.startswith(_STATUS_START[: len(head)]):
        return BAD_STATUS_LINE
    if line_end >= 0 and (bad < 0 or bad > line_end) and not _STATUS_LINE.fullmatch(head[:line_end]):
        return BAD_STATUS_LINE
    return BAD_OCTET if bad >= 0 else None
