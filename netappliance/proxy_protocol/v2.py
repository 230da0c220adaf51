"""Version 2: a binary header with type-length-value fields (proxy-protocol.txt, section 2.2)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from typing import Literal

from netappliance.proxy_protocol.header import MAX_V2, ProxyHeader, ProxyProtocolError
from netappliance.proxy_protocol.v1 import ip_pair
from netappliance.sessions.session import Address, unix_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TLV_CRC32C = 0x03

_FIXED = struct.Struct("!12sBBH")
_INET = struct.Struct("!4s4sHH")
_INET6 = struct.Struct("!16s16sHH")
_UNIX = struct.Struct("!108s108s")
_TLV = struct.Struct("!BH")

Family = Literal["inet", "inet6", "unix", "unspec"]
Transport = Literal["stream", "dgram", "unspec"]
_FAMILIES: dict[int, Family] = {0: "unspec", 1: "inet", 2: "inet6", 3: "unix"}
_TRANSPORTS: dict[int, Transport] = {0: "unspec", 1: "stream", 2: "dgram"}


def parse_v2(data: bytes) -> tuple[ProxyHeader, int] | None:
    """
    Parse a binary header.

    :return: (header, length), or None while it is not complete.
    :raises ProxyProtocolError: wrong signature, version, command or family, lengths that do not fit, a wrong checksum.
    """
    if not SIGNATURE.startswith(data[:12]) and not data.startswith(SIGNATURE):
        raise ProxyProtocolError("bad version 2 signature")
    if len(data) > 12 and data[12] not in (0x20, 0x21):
        raise ProxyProtocolError("unknown version or command in version 2 header")
    if len(data) < _FIXED.size:
        return None
    _, _, kinds, length = _FIXED.unpack_from(data)
    total = _FIXED.size + length
    if total > MAX_V2:
        raise ProxyProtocolError("version 2 header longer than 4096 bytes")
    if data[12] == 0x20:
        # LOCAL must be accepted and its block discarded, "including the family which is ignored"
        if len(data) < total:
            return None
        return ProxyHeader(2, "LOCAL", "unspec", "unspec", None, None, (), data[:total]), total
    family, transport = _FAMILIES.get(kinds >> 4), _TRANSPORTS.get(kinds & 15)
    if family is None or transport is None:
        raise ProxyProtocolError("unknown address family or transport in version 2 header")
    if len(data) < total:
        return None
    raw = data[:total]
    source, destination, used = _addresses(family, raw[_FIXED.size :])
    # with UNSPEC the receiver must skip what follows: it need not be TLVs
    tlvs = () if family == "unspec" else tuple(_tlvs(raw, _FIXED.size + used))
    if transport == "unspec":
        source = destination = None
    return ProxyHeader(2, "PROXY", family, transport, source, destination, tlvs, raw), total


def _addresses(family: Family, body: bytes) -> tuple[Address | None, Address | None, int]:
    """Return source, destination and the number of bytes they take."""
    if family == "unspec":
        return None, None, 0
    layout = {"inet": _INET, "inet6": _INET6, "unix": _UNIX}[family]
    if len(body) < layout.size:
        raise ProxyProtocolError("version 2 header too short for its addresses")
    if family == "unix":
        client, local = layout.unpack_from(body)
        return unix_address(client.rstrip(b"\0")), unix_address(local.rstrip(b"\0")), layout.size
    client, local, client_port, local_port = layout.unpack_from(body)
    return (
        (str(ipaddress.ip_address(client)), client_port),
        (str(ipaddress.ip_address(local)), local_port),
        layout.size,
    )


def _tlvs(raw: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    while position < len(raw):
        if len(raw) - position < _TLV.size:
            raise ProxyProtocolError("cut TLV in version 2 header")
        kind, length = _TLV.unpack_from(raw, position)
        start = position + _TLV.size
        position = start + length
        if position > len(raw):
            raise ProxyProtocolError("TLV longer than the version 2 header")
        value = raw[start:position]
        if kind == TLV_CRC32C:
            _verify(raw, start, value)
        yield kind, value


def _verify(raw: bytes, start: int, value: bytes) -> None:
    # section 2.2.3: computed over the whole header with the checksum's own field as zeros
    if len(value) != 4:
        raise ProxyProtocolError("checksum TLV of a wrong length")
    if crc32c(raw[:start] + b"\0\0\0\0" + raw[start + 4 :]) != int.from_bytes(value, "big"):
        raise ProxyProtocolError("wrong checksum in version 2 header")


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Compute the Castagnoli checksum (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def encode_v2(client: Address, local: Address, *, datagram: bool = False) -> bytes:
    """
    Write the header for a client that connected to ``local``.

    A pair of IPv4 and IPv6 is written as IPv6; unix sockets as paths; what is neither as UNSPEC.
    """
    transport = 2 if datagram else 1
    pair = ip_pair(client, local)
    if pair is not None:
        source, destination = pair
        if source.version == 4:
            kinds, body = 0x10, _INET.pack(source.packed, destination.packed, client[1], local[1])
        else:
            kinds, body = 0x20, _INET6.pack(source.packed, destination.packed, client[1], local[1])
    elif not client[1] and not local[1] and len(local[0].encode()) <= 108 and len(client[0].encode()) <= 108:
        kinds, body = 0x30, _UNIX.pack(client[0].encode(), local[0].encode())
    else:
        kinds, body, transport = 0x00, b"", 0
    return _FIXED.pack(SIGNATURE, 0x21, kinds | transport, len(body)) + body
