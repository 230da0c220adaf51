"""The head of a request: parsed and judged in one pass over its lines."""

from __future__ import annotations

import re
from typing import Final

from netappliance.http.framing import body_length, names
from netappliance.http.framing.authority import Authorities
from netappliance.http.message import Refusal, Request

_LONGEST_METHOD = 64
_SAME_IF_ALLOWED: Final = names.SAME_IF_ALLOWED
#: schemes whose credentials make servers take the whole connection for the user's (RFC 4559 section 6)
_BINDING: Final = (b"ntlm", b"negotiate")
_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"))
_VERSIONS: Final = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)([/?][^#]*)?", re.IGNORECASE)
_DEFAULT_PORTS = {b"http": 80, b"https": 443}

#: octets as numbers: asked for one as bytes, ``in`` makes an exception first
_HASH: Final = 0x23
_TAB: Final = 0x09

BAD_OCTET = Refusal(400, "invalid octet or line end")
BAD_REQUEST_LINE = Refusal(400, "malformed request line")
BAD_TARGET = Refusal(400, "invalid target")
BAD_FIELD = Refusal(400, "malformed field line")
BAD_HOST = Refusal(400, "invalid host")
NO_HOST = Refusal(400, "no host")
SEVERAL_HOSTS = Refusal(400, "several hosts")
HOST_MISMATCH = Refusal(400, "host differs from target")
BAD_CONNECTION = Refusal(400, "connection names a protected field")
BAD_EXPECT = Refusal(417, "unknown expectation")
NO_CONNECT = Refusal(501, "connect is not served")
TARGET_TOO_LONG = Refusal(414, "target too long")
HEAD_TOO_LARGE = Refusal(431, "header block too large")
TOO_MANY_FIELDS = Refusal(431, "too many fields")


class RequestFraming:
    """
    Judges request heads of one listener.

    :param max_head: bytes of a head with its empty line. :param max_target: bytes. :param max_fields: field lines.
    :param upgrades: protocols (lower case) whose Upgrade is passed on; others are left out, which a client must expect.
    """

    def __init__(
        self,
        max_head: int = 16384,
        max_target: int = 8192,
        max_fields: int = 128,
        upgrades: frozenset[bytes] = frozenset((b"websocket",)),
        identity: tuple[bytes, ...] = (),
    ) -> None:
        self.max_head = max_head
        self.max_target = max_target
        self.max_fields = min(max_fields, names.MAX_FIELDS)
        self.upgrades = upgrades
        self._names = names.request_names(identity)
        self._authorities = Authorities()

    def parse(self, data: bytes, start: int = 0) -> tuple[Request | Refusal, int] | None:
        """
        Judge the head at ``start`` of what was received.

        :return: the head and the offset of what follows it; a refusal (after which nothing may be read as a request
            any more); or None when more bytes are needed.
        """
        if start == 0 and data[-4:] == b"\r\n\r\n" and len(data) <= self.max_head:
            # most likely one request without a body; with an empty line further up it would have a field without name
            judged = self._judge(data, 0, len(data) - 4)
            if isinstance(judged[0], Request):
                return judged
        if data.startswith(b"\r\n", start):
            start += 2  # one empty line before a request is forgiven (RFC 9112 section 2.2)
        end = data.find(b"\r\n\r\n", start, start + self.max_head)
        if end < 0:
            refusal = self._judge_part(data[start : start + self.max_head])
            return None if refusal is None else (refusal, start)
        return self._judge(data, start, end)

    def _judge(self, data: bytes, start: int, end: int) -> tuple[Request | Refusal, int]:
        lines = data[start:end].split(b"\r\n")
        first = lines.pop(0)
        count = len(lines)
        found: list[names.Special] = []
        new = self._names.sift(lines, found)
        strange = first + b"".join(new)
        if count > self.max_fields or strange.translate(_SAME_IF_ALLOWED) != strange:
            return _first_problem(data[start : end + 4]) or TOO_MANY_FIELDS, start
        words = first.split(b" ")
        if len(words) != 3:
            return BAD_REQUEST_LINE, start
        method, target, version = words
        minor = _VERSIONS.get(version, -1)
        if minor < 0 or (method not in _METHODS and not _is_method(method)):
            return BAD_REQUEST_LINE, start
        if len(target) > self.max_target:
            return TARGET_TOO_LONG, start
        if new and not self._names.judge(new, lines, found, data, start, end):
            return BAD_FIELD, start
        request = Request(method, target, minor, lines)
        return self._judge_fields(request, found) or request, end + 4

    def _judge_fields(self, request: Request, found: list[names.Special]) -> Refusal | None:
        host: bytes | None = None
        special: list[names.Special] | None = None
        for entry in found:
            code = entry[0]
            if code == names.HOST:
                if host is not None:
                    return SEVERAL_HOSTS
                host = entry[2]
            elif code == names.CONNECTION and entry[2] == b"keep-alive" and request.minor:
                continue
            elif code == names.AUTHORIZATION:
                request.lines.append(entry[1])
                request.binds = request.binds or entry[2].lower().startswith(_BINDING)
            elif code != names.DROP:
                special = [*(special or ()), entry]
        return self._place(request, host) or (self._judge_special(request, special) if special else None)

    def _place(self, request: Request, host: bytes | None) -> Refusal | None:
        """Bring target and Host together (RFC 9112 section 3.2)."""
        target = request.target
        if host is None:
            if request.minor:
                return NO_HOST
            request.authority = request.host = b""
        else:
            authority = self._authorities[host]
            if authority is None:
                return BAD_HOST
            request.authority = host
            request.host, request.port = authority
        if target[:1] == b"/":
            if _HASH in target or _TAB in target or not target.isascii():
                return BAD_TARGET
            return NO_CONNECT if request.method == b"CONNECT" else None
        if request.method == b"CONNECT":
            return NO_CONNECT
        if target == b"*":
            return None if request.method == b"OPTIONS" else BAD_TARGET
        return self._place_absolute(request, target)

    def _place_absolute(self, request: Request, target: bytes) -> Refusal | None:
        match = _ABSOLUTE.fullmatch(target) if target.isascii() and _TAB not in target else None
        if match is None:
            return BAD_TARGET
        named = self._authorities[match[2]]
        if named is None:
            return BAD_TARGET
        if request.authority or request.minor:
            default = _DEFAULT_PORTS[match[1].lower()]
            if named[0] != request.host or (named[1] or default) != (request.port or default):
                return HOST_MISMATCH
        else:
            request.authority = match[2]
            request.host, request.port = named
        path = match[3] or (b"*" if request.method == b"OPTIONS" else b"/")
        request.target = path if path[:1] in (b"/", b"*") else b"/" + path
        return None

    def _judge_special(self, request: Request, special: list[names.Special]) -> Refusal | None:
        lengths: list[bytes] | None = None
        codings: list[bytes] | None = None
        connection = upgrade = b""
        for code, line, value in special:
            if code == names.CONNECTION:
                connection = connection + b"," + value if connection else value
            elif code == names.LENGTH:
                lengths = [value] if lengths is None else [*lengths, value]
            elif code == names.CODING:
                codings = [value] if codings is None else [*codings, value]
            elif code == names.UPGRADE:
                upgrade = upgrade + b"," + value if upgrade else value
            elif code == names.EXPECT:
                if value.lower() != b"100-continue":
                    return BAD_EXPECT
                # without the wish to go on there is nobody who would understand the 100 (RFC 9110 section 10.1.1)
                request.expect_continue = bool(request.minor)
            elif code == names.TE:
                codes = [item.strip(b" \t").lower() for item in value.split(b",")]
                request.takes_trailers = request.takes_trailers or b"trailers" in codes
            else:
                request.identity = [*(request.identity or ()), (line.partition(b":")[0].lower(), value)]
        if lengths is not None or codings is not None:
            length = body_length.body_length(lengths, codings, request.minor)
            if isinstance(length, Refusal):
                return length
            request.length = length
            request.declared = True
        if connection:
            return self._judge_connection(request, connection, upgrade)
        request.takes_trailers = False
        return None

    def _judge_connection(self, request: Request, connection: bytes, upgrade: bytes) -> Refusal | None:
        options = {item.strip(b" \t").lower() for item in connection.split(b",")}
        options.discard(b"")
        if b"close" in options:
            request.keep_alive = False
        elif b"keep-alive" in options:
            request.keep_alive = True
        if b"te" not in options or not request.minor:
            request.takes_trailers = False
        named = options - _CONNECTION_WORDS
        if named:
            if named & names.PROTECTED or not all(map(names.is_token, named)):
                return BAD_CONNECTION
            request.lines = [line for line in request.lines if line.partition(b":")[0].lower() not in named]
        if b"upgrade" in options and upgrade and request.minor and not request.length:
            wanted = [item.strip(b" \t") for item in upgrade.split(b",")]
            request.upgrade = b", ".join(item for item in wanted if item.lower() in self.upgrades)
        return None

    def _judge_part(self, part: bytes) -> Refusal | None:
        """Judge a head whose end is not there: refused early when no continuation can save it."""
        problem = _first_problem(part)
        if problem is not None or len(part) < self.max_head:
            return problem
        line_end = part.find(b"\r\n")
        if line_end < 0 or len(part[:line_end].split(b" ")[1]) > self.max_target:
            return TARGET_TOO_LONG
        return HEAD_TOO_LARGE


_CONNECTION_WORDS = frozenset((b"close", b"keep-alive", b"te", b"upgrade"))


def _is_method(method: bytes) -> bool:
    return len(method) <= _LONGEST_METHOD and names.is_token(method)


def _first_problem(head: bytes) -> Refusal | None:
    """
    Find the first thing wrong that shows before the head is complete, in the order of the bytes.

    The same for a part and for the whole, so that the verdict does not depend on how the bytes came.
    """
    bad = names.bad_octet(head)
    line_end = head.find(b"\r\n")
    if line_end >= 0 and (bad < 0 or bad > line_end):
        parts = head[:line_end].split(b" ")
        if len(parts) != 3 or parts[2] not in _VERSIONS or not _is_method(parts[0]):
            return BAD_REQUEST_LINE
    return BAD_OCTET if bad >= 0 else None
