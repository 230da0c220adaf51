"""Which fields concern this hop, and what is done with each: one dictionary look-up per field line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")

#: what becomes of a field line that does not just pass
DROP, HOST, LENGTH, CODING, CONNECTION, UPGRADE, EXPECT, IDENTITY, AUTHORIZATION, MALFORMED = range(10)
#: the interpreter has one object for each single octet, so that identity does for equality where it says yes
_COLON = b":"

_HOP_BY_HOP = {
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"te": DROP,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"upgrade": UPGRADE,
}
#: "Proxy" becomes the variable HTTP_PROXY of CGI programs; HTTP2-Settings serves only the upgrade that is not forwarded
_REQUEST = {
    **_HOP_BY_HOP,
    b"host": HOST,
    b"expect": EXPECT,
    b"proxy": DROP,
    b"http2-settings": DROP,
    b"authorization": AUTHORIZATION,
}
#: who the client is and how it came: only a trusted proxy may say so; with every other x-forwarded-*
_IDENTITY = (b"forwarded", b"x-real-ip", b"x-request-id")

#: a field that Connection may not take out: the message would mean something else behind us
PROTECTED = frozenset((b"host", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"cookie"))


class FieldNames:
    """
    Name as sent -> what becomes of the line; judges a name when it is first seen and remembers up to ``LIMIT``.

    A name that differs from a special one by ``_`` for ``-`` only is dropped: CGI gives both the same variable.
    """

    #: names remembered; peers choose them
    LIMIT: Final = 2048

    def __init__(self, special: dict[bytes, int]) -> None:
        self._special = special
        self._known: dict[bytes, int | None] = {}

    def special(self, lines: list[bytes]) -> list[tuple[int, bytes, bytes]] | None:
        """
        Judge field lines and take those out, in place, that do not just pass.

        :return: (code, line, value with white space around it) of each of these in order; None when a line is no field.
        """
        known = self._known
        found = []
        for line in lines:
            name, colon, value = line.partition(b":")
            try:
                code = known[name]
            except KeyError:
                code = self._learn(name)
            if code is not None or colon is not _COLON:
                if code == MALFORMED or not colon:
                    return None
                if code is not None:
                    found.append((code, line, value))
        for _, line, _ in found:
            lines.remove(line)
        return found

    def _learn(self, name: bytes) -> int | None:
        code = self._judge(name)
        if code != MALFORMED:
            if len(self._known) >= self.LIMIT:
                self._known.clear()
            self._known[name] = code
        return code

    def _judge(self, name: bytes) -> int | None:
        if not _TOKEN.fullmatch(name):
            return MALFORMED
        lowered = name.lower()
        code = self._special.get(lowered)
        if code is None and b"_" in lowered:
            lowered = lowered.replace(b"_", b"-")
            if lowered in self._special or lowered.startswith(b"x-forwarded-"):
                return DROP
        if code is None and IDENTITY in self._special.values() and lowered.startswith(b"x-forwarded-"):
            return IDENTITY
        return code


def request_names(identity: Iterable[bytes] = ()) -> FieldNames:
    """Return the table for requests; ``identity`` are further names (lower case) that only trusted proxies may set."""
    return FieldNames({**_REQUEST, **dict.fromkeys((*_IDENTITY, *identity), IDENTITY)})


def response_names() -> FieldNames:
    """Return the table for responses."""
    return FieldNames(dict(_HOP_BY_HOP))


#: every octet that may be in a head besides CR and LF: visible ASCII, space, tab, obs-text
ALLOWED = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
#: index: number of line ends; what is left of a well-formed head without the allowed octets
LINE_ENDS = [b"\r\n" * count for count in range(1025)]
#: field lines that a head may have at most
MAX_FIELDS = len(LINE_ENDS) - 1


_BAD_LINE = re.compile(rb"[^\t\x20-\x7e\x80-\xff\r\n]|\r(?=[^\n])|(?<!\r)\n")


def bad_octet(head: bytes) -> int:
    """
    Return where the first octet is that no head may hold, or a CR or LF that is no part of a line's end; -1 for none.

    The last octet may be a CR whose LF is still to come. What is good is told by counting, at the speed of memory, for
    a head that comes octet by octet is looked at once for each.
    """
    ends = b"\r\n" * head.count(b"\r\n")
    if head.endswith(b"\r"):
        ends += b"\r"
    if head.translate(None, ALLOWED) == ends:
        return -1
    match = _BAD_LINE.search(head)
    return -1 if match is None else match.start()


def is_token(text: bytes) -> bool:
    """True for a token of at most 256 bytes (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None
