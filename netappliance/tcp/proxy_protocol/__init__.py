"""
PROXY protocol versions 1 and 2 (HAProxy's doc/proxy-protocol.txt), sans-I/O.

The header says who the client of a proxy in front of us is; or, sent to a backend, who ours is.
"""

from __future__ import annotations

from netappliance.tcp.proxy_protocol.header import MAX_V2, ProxyHeader, ProxyProtocolError
from netappliance.tcp.proxy_protocol.v1 import PREFIX, encode_v1, parse_v1
from netappliance.tcp.proxy_protocol.v2 import SIGNATURE, encode_v2, parse_v2

__all__ = ["MAX_V2", "ProxyHeader", "ProxyProtocolError", "encode_v1", "encode_v2", "parse_header"]


def parse_header(data: bytes) -> tuple[ProxyHeader, int] | None:
    """
    Parse the header at the start of a connection's bytes, of either version.

    :param data: everything received so far.
    :return: (header, its length in bytes), or None while more bytes are needed.
    :raises ProxyProtocolError: as soon as the bytes cannot become a header.
    """
    if data[:1] == SIGNATURE[:1]:
        return parse_v2(data)
    if PREFIX.startswith(data[: len(PREFIX)]) or data.startswith(PREFIX):
        return parse_v1(data)
    raise ProxyProtocolError("neither a version 1 nor a version 2 header")
