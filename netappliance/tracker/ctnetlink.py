"""
ctnetlink messages as bytes, both ways (linux/netfilter/nfnetlink_conntrack.h). Sans-I/O.

Never builds a DELETE without a tuple: the kernel takes that for a flush of its whole table.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

NEW, UPDATE, DESTROY = range(3)
SEEN_REPLY = 2
TCP = 6
UDP = 17
GROUP_NEW, GROUP_UPDATE, GROUP_DESTROY = 1, 2, 3

_NFNL_CTNETLINK = 1
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLM_F_CREATE = 0x400
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_LEN = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_COUNTER_TYPES = (9, 10)
#: headers of a tuple in the shape that all IPv4 / IPv6 port protocols have: (offset, expected) of the attributes
_V4_SHAPE = _ATTRIBUTE.pack(8, 1)
_V6_SHAPE = _ATTRIBUTE.pack(20, 3)


class Change(NamedTuple):
    """
    One entry of a dump or one event.

    ``orig`` and ``reply`` are the raw tuple attributes, ``zone`` 0 unless set; ``state`` (TCP, linux
    nf_conntrack_tcp.h 0-9), ``status`` and ``timeout`` (seconds left) are -1 when the message does not carry them;
    ``original`` and ``replied`` are (packets, bytes), ``start_ns`` is since the epoch; -1 or None when absent.
    """

    kind: int
    orig: bytes
    reply: bytes
    zone: int
    status: int
    state: int
    timeout: int
    original: tuple[int, int] | None
    replied: tuple[int, int] | None
    start_ns: int


class Batch(NamedTuple):
    """What one receive held: changes, end of a dump, errno of the first refusal (0: none), malformed messages."""

    changes: list[Change]
    done: bool
    errno: int
    malformed: int


class Ends(NamedTuple):
    """A decoded tuple: packed addresses and ports (0 where the protocol has none)."""

    source: bytes
    destination: bytes
    protocol: int
    source_port: int
    destination_port: int


def decode(data: bytes) -> Batch:
    """Decode everything of one receive; what is malformed is counted and left out, never raised."""
    changes: list[Change] = []
    done, errno, malformed = False, 0, 0
    offset, size = 0, len(data)
    unpack = _HEADER.unpack_from
    while offset + 16 <= size:
        length, kind, flags, _, _ = unpack(data, offset)
        end = offset + length
        if length < 16 or end > size:
            return Batch(changes, done, errno, malformed + 1)
        if kind >> 8 == _NFNL_CTNETLINK:
            event = DESTROY if kind & 255 == 2 else NEW if flags & _NLM_F_CREATE else UPDATE
            change = _entry(data, offset + 20, end, event)
            if change is None:
                malformed += 1
            else:
                changes.append(change)
        elif kind == _DONE:
            done = True
        elif kind == _ERROR and length >= 20:
            errno = errno or -struct.unpack_from("=i", data, offset + 16)[0]
        offset += (length + 3) & ~3
    return Batch(changes, done, errno, malformed + (0 < size - offset < 16))


def _entry(data: bytes, offset: int, end: int, event: int) -> Change | None:
    orig = reply = b""
    zone, status, state, timeout, start = 0, -1, -1, -1, -1
    counters: list[tuple[int, int] | None] = [None, None]
    unpack = _ATTRIBUTE.unpack_from
    try:
        while offset + 4 <= end:
            length, kind = unpack(data, offset)
            if length < 4 or offset + length > end:
                return None
            kind &= 0x3FFF
            body = offset + 4
            if kind == 1:
                orig = data[body : offset + length]
            elif kind == 2:
                reply = data[body : offset + length]
            elif kind == 3:
                status = _U32.unpack_from(data, body)[0]
            elif kind == 4:
                state = _tcp_state(data, body, offset + length)
            elif kind == 7:
                timeout = _U32.unpack_from(data, body)[0]
            elif kind == 18:
                zone = _U16.unpack_from(data, body)[0]
            elif kind in _COUNTER_TYPES:
                counters[kind - 9] = _be64_pair(data, body, offset + length)
            elif kind == 20 and length >= 16:
                start = struct.unpack_from(">Q", data, body + 4)[0]
            offset += (length + 3) & ~3
    except struct.error:
        return None
    if len(orig) < 24 or len(reply) < 24:
        return None
    return Change(event, orig, reply, zone, status, state, timeout, counters[0], counters[1], start)


def _tcp_state(data: bytes, offset: int, end: int) -> int:
    """Return the u8 of CTA_PROTOINFO_TCP > CTA_PROTOINFO_TCP_STATE; it is the first attribute of both nests."""
    if end - offset >= 9 and data[offset + 2] == 1 and data[offset + 6] == 1:
        return data[offset + 8]
    return -1


def _be64_pair(data: bytes, offset: int, end: int) -> tuple[int, int] | None:
    """Return (packets, bytes) of CTA_COUNTERS_*."""
    if end - offset < 24:
        return None
    packets, octets = struct.unpack_from(">4xQ4xQ", data, offset)
    return packets, octets


def ends(raw: bytes) -> Ends | None:
    """Decode a raw tuple; None when it is not one."""
    if raw[4:8] == _V4_SHAPE and len(raw) >= 32:
        wide = 4
    elif raw[4:8] == _V6_SHAPE and len(raw) >= 56:
        wide = 16
    else:
        return None
    proto = 4 + 2 * (4 + wide)  # the CTA_TUPLE_PROTO header
    number = raw[proto + 8]
    ports = (0, 0)
    if len(raw) >= proto + 28 and raw[proto + 14] == 2 and raw[proto + 22] == 3:
        ports = _U16.unpack_from(raw, proto + 16)[0], _U16.unpack_from(raw, proto + 24)[0]
    return Ends(raw[8 : 8 + wide], raw[12 + wide : 12 + 2 * wide], number, *ports)


def address(packed: bytes) -> str:
    """Return an address as text."""
    return str(ipaddress.ip_address(packed))


def dump_request(sequence: int) -> bytes:
    """Ask for every entry of every family (AF_UNSPEC)."""
    return _HEADER.pack(20, 0x0101, _NLM_F_REQUEST | _NLM_F_DUMP, sequence, 0) + bytes(4)
