"""The Host field and the authority of an absolute target (RFC 9110 section 7.2, RFC 3986 section 3.2)."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_HOST = re.compile(
    rb"((?=.{1,255}(?::|\Z))[0-9A-Za-z_](?:[0-9A-Za-z_.-]*[0-9A-Za-z_])?\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?"
)


class Authorities(dict[bytes, "tuple[bytes, int] | None"]):
    """
    Host value -> (host, port), or None when it is no authority; remembers up to ``LIMIT``.

    The host is for routing: lower case, without trailing dot, IPv6 in brackets and in its shortest form; the port is
    0 when none is given. Userinfo, percent-encoding, port 0 and empty labels are refused.
    """

    #: values remembered; peers choose them
    LIMIT: Final = 4096

    def __missing__(self, value: bytes) -> tuple[bytes, int] | None:
        parsed = _parse(value)
        if len(value) <= 300:
            if len(self) >= self.LIMIT:
                self.clear()
            self[value] = parsed
        return parsed


def _parse(value: bytes) -> tuple[bytes, int] | None:
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    host, port = match[1], int(match[2] or 0)
    if port > 65535 or (match[2] and not port):
        return None
    if host[:1] == b"[":
        try:
            return b"[%b]" % str(ipaddress.IPv6Address(host[1:-1].decode())).encode(), port
        except ValueError:
            return None
    if b".." in host:
        return None
    return host.lower().removesuffix(b"."), port
