"""Which fields concern this hop, and what is done with each: one look-up per field line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Final

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")

#: what becomes of a field line: these do not just pass ...
DROP: Final = 0
HOST: Final = 1
LENGTH: Final = 2
CODING: Final = 3
CONNECTION: Final = 4
UPGRADE: Final = 5
EXPECT: Final = 6
TE: Final = 7
IDENTITY: Final = 8
AUTHORIZATION: Final = 9
#: ... these do; of the second kind hardly two are alike ...
PASSES: Final = 10
PASSES_ONCE: Final = 11
#: ... and this is no field
MALFORMED: Final = 12

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
    b"te": TE,
    b"proxy": DROP,
    b"http2-settings": DROP,
    b"authorization": AUTHORIZATION,
}
#: who the client is and how it came: only a trusted proxy may say so; with every other x-forwarded-*
_IDENTITY = (b"forwarded", b"x-real-ip", b"x-request-id")

#: a field that Connection may not take out: the message would mean something else behind us
PROTECTED = frozenset((b"host", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"cookie"))


#: fields whose values seldom come twice: their lines are not worth remembering
_VARYING = frozenset(
    b"cookie set-cookie referer if-none-match if-modified-since etag last-modified traceparent x-request-id".split()
)
#: bytes of a line beyond which it is not remembered
_LONGEST_LINE = 160


#: a field line that does not just pass: (code, line, value without white space around it)
Special = tuple[int, bytes, bytes]


class FieldNames:
    """
    What becomes of field lines: names are judged when they are first seen and remembered, up to ``LIMIT`` of them, and
    so are whole lines, for most lines of most messages have come before.

    A name that differs from a special one by ``_`` for ``-`` only is dropped: CGI gives both the same variable.
    """

    #: names remembered, lines that pass, and lines that do not; peers choose them
    LIMIT: ClassVar[int] = 2048

    def __init__(self, special: dict[bytes, int]) -> None:
        self._special = special
        self._known: dict[bytes, int] = {}
        self._passing: set[bytes] = set()
        self._others: dict[bytes, Special] = {}

    def sift(self, lines: list[bytes], found: list[Special]) -> list[bytes]:
        """
        Take remembered lines that do not just pass out of ``lines``, in place, and put them into ``found``.

        :return: the lines that are not remembered. The others hold no octet that may not be in a head.
        """
        passing, others = self._passing, self._others
        new = []
        for line in [line for line in lines if line not in passing]:
            known = others.get(line)
            if known is None:
                new.append(line)
            else:
                found.append(known)
                lines.remove(line)
        return new

    def judge(
        self, new: list[bytes], lines: list[bytes], found: list[Special], data: bytes, start: int, end: int
    ) -> bool:
        """
        Judge lines that are not remembered, and take those that do not just pass out, as :meth:`sift`.

        :param data: has the head from ``start`` to ``end``. :return: False when one of them is no field.
        """
        known = self._known
        remembered = found[:]
        mixed = False
        for line in new:
            name, colon, value = line.partition(b":")
            code = known.get(name, -1)
            if code < 0:
                code = self._learn(name)
            if not colon or code == MALFORMED:
                return False
            if code < PASSES:
                special = (code, line, value.strip(b" \t"))
                for entry in remembered:
                    if entry[0] == code:
                        mixed = True
                found.append(special)
                lines.remove(line)
                if code < IDENTITY:
                    self._remember(line, special)
            elif code == PASSES:
                self._remember(line, None)
        if mixed:
            # of a field with several lines one was remembered and another was not: what they say stands in their order
            order = data[start:end].split(b"\r\n")
            found.sort(key=lambda entry: order.index(entry[1]))
        return True

    def _remember(self, line: bytes, special: Special | None) -> None:
        if len(line) > _LONGEST_LINE:
            return
        if special is not None:
            if len(self._others) >= self.LIMIT:
                self._others.clear()
            self._others[line] = special
        else:
            if len(self._passing) >= self.LIMIT:
                self._passing.clear()
            self._passing.add(line)

    def _learn(self, name: bytes) -> int:
        code = self._judge(name)
        if code != MALFORMED:
            if len(self._known) >= self.LIMIT:
                self._known.clear()
            self._known[name] = code
        return code

    def _judge(self, name: bytes) -> int:
        if not _TOKEN.fullmatch(name):
            return MALFORMED
        lowered = name.lower()
        code = self._special.get(lowered)
        if code is not None:
            return code
        if b"_" in lowered:
            lowered = lowered.replace(b"_", b"-")
            if lowered in self._special or lowered.startswith(b"x-forwarded-"):
                return DROP
        elif lowered.startswith(b"x-forwarded-") and IDENTITY in self._special.values():
            return IDENTITY
        return PASSES_ONCE if lowered in _VARYING else PASSES


def request_names(identity: Iterable[bytes] = ()) -> FieldNames:
    """Return the table for requests; ``identity`` are further names (lower case) that only trusted proxies may set."""
    return FieldNames({**_REQUEST, **dict.fromkeys((*_IDENTITY, *identity), IDENTITY)})


def response_names() -> FieldNames:
    """Return the table for responses."""
    return FieldNames(dict(_HOP_BY_HOP))


#: every octet that may be in a head besides CR and LF: visible ASCII, space, tab, obs-text
ALLOWED: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
#: a table for ``translate`` that leaves what is allowed as it is, and nothing else: quicker than to delete and to count
SAME_IF_ALLOWED: Final = bytes(octet if octet in ALLOWED else 0x3F for octet in range(256))
#: field lines that a head may have at most
MAX_FIELDS: Final = 1024


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
