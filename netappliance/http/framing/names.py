"""Which fields concern this hop, and what is done with each: one dictionary look-up per field line."""

from __future__ import annotations

import re
from collections.abc import Iterable

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")

#: what becomes of a field line; PASS must be 0
PASS, DROP, HOST, LENGTH, CODING, CONNECTION, UPGRADE, EXPECT, IDENTITY, MALFORMED = range(10)

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
_REQUEST = {**_HOP_BY_HOP, b"host": HOST, b"expect": EXPECT, b"proxy": DROP, b"http2-settings": DROP}
#: who the client is and how it came: only a trusted proxy may say so; with every other x-forwarded-*
_IDENTITY = (b"forwarded", b"x-real-ip", b"x-request-id")

#: a field that Connection may not take out: the message would mean something else behind us
PROTECTED = frozenset((b"host", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"cookie"))


class FieldNames(dict[bytes, int]):
    """
    Name as sent -> what becomes of the line; judges a name when it is first seen and remembers up to ``LIMIT``.

    A name that differs from a special one by ``_`` for ``-`` only is dropped: CGI gives both the same variable.
    """

    #: names remembered; peers choose them
    LIMIT = 2048

    def __init__(self, special: dict[bytes, int]) -> None:
        super().__init__()
        self._special = special

    def __missing__(self, name: bytes) -> int:
        code = self._judge(name)
        if code is not MALFORMED:
            if len(self) >= self.LIMIT:
                self.clear()
            self[name] = code
        return code

    def _judge(self, name: bytes) -> int:
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
        return PASS if code is None else code


def request_names(identity: Iterable[bytes] = ()) -> FieldNames:
    """Return the table for requests; ``identity`` are further names (lower case) that only trusted proxies may set."""
    return FieldNames({**_REQUEST, **dict.fromkeys((*_IDENTITY, *identity), IDENTITY)})


def response_names() -> FieldNames:
    """Return the table for responses."""
    return FieldNames(dict(_HOP_BY_HOP))


def is_token(text: bytes) -> bool:
    """True for a token of at most 256 bytes (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None
