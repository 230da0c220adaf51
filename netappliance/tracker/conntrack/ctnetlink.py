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
#: status bits of an entry whose reply tuple is not the inverse of the original one
TRANSLATED = 0x30
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
GROUP_NEW, GROUP_UPDATE, GROUP_DESTROY = 1, 2, 3

NFNL_CTNETLINK = 1
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_CREATE = 0x1, 0x4, 0x300, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
#: bytes before the first attribute: nlmsghdr and nfgenmsg
PAYLOAD = 20
_GET, _DELETE, _GET_STATS_CPU, _GET_STATS = 0x0101, 0x0102, 0x0104, 0x0105
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_ERRNO = struct.Struct("=i")
#: headers of a tuple in the shape that all IPv4 / IPv6 protocols have: (length, type) of the first attribute
V4_SHAPE = ATTRIBUTE.pack(8, 1)
V6_SHAPE = ATTRIBUTE.pack(20, 3)
#: CTA_STATS_* -> name, of GET_STATS_CPU
_CPU_STATS = {
    2: "found",
    4: "invalid",
    8: "insert",
    9: "insert_failed",
    10: "drop",
    11: "early_drop",
    12: "error",
    13: "search_restart",
    14: "clash_resolve",
    15: "chaintoolong",
}
CPU_STATS = tuple(_CPU_STATS.values())


class Change(NamedTuple):
    """
    One entry of a dump or one event. A number that the message does not carry is -1.

    ``orig`` and ``reply`` are the raw tuple attributes, ``zone`` 0 unless set; ``state`` is TCP's (linux
    nf_conntrack_tcp.h, 0-9), ``timeout`` seconds left, ``ident`` the kernel's CTA_ID; times are nanoseconds since the
    epoch, of the entry's start and end and of the event itself.
    """

    kind: int
    orig: bytes
    reply: bytes
    zone: int
    status: int
    state: int
    timeout: int
    ident: int
    mark: int
    orig_packets: int
    orig_bytes: int
    reply_packets: int
    reply_bytes: int
    start_ns: int
    stop_ns: int
    event_ns: int


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


def event_kind(message_type: int, flags: int) -> int:
    """Return NEW, UPDATE or DESTROY; an entry of a dump is an UPDATE."""
    return DESTROY if message_type & 255 == 2 else NEW if flags & NLM_F_CREATE else UPDATE


def refusal(data: bytes, offset: int, length: int) -> int:
    """Return the errno of an NLMSG_ERROR or NLMSG_DONE at ``offset``; 0 for none."""
    return max(0, -_ERRNO.unpack_from(data, offset + 16)[0]) if length >= 20 else 0


def ends(raw: bytes) -> Ends | None:
    """Decode a raw tuple; None when it is not one."""
    if raw[4:8] == V4_SHAPE and len(raw) >= 32:
        wide = 4
    elif raw[4:8] == V6_SHAPE and len(raw) >= 56:
        wide = 16
    else:
        return None
    proto = 4 + 2 * (4 + wide)  # the CTA_TUPLE_PROTO header
    number = raw[proto + 8]
    ports = (0, 0)
    if len(raw) >= proto + 28 and raw[proto + 12 : proto + 16] == _SPORT and raw[proto + 20 : proto + 24] == _DPORT:
        ports = _U16.unpack_from(raw, proto + 16)[0], _U16.unpack_from(raw, proto + 24)[0]
    return Ends(raw[8 : 8 + wide], raw[12 + wide : 12 + 2 * wide], number, *ports)


_NESTED = 0x8000
_SPORT = ATTRIBUTE.pack(6, 2)
_DPORT = ATTRIBUTE.pack(6, 3)


def raw_tuple(decoded: Ends) -> bytes:
    """Return a port protocol's tuple as the kernel writes it: the key under which a table has it in zone 0."""
    first = 1 if len(decoded.source) == 4 else 3
    addresses = b"".join(
        ATTRIBUTE.pack(4 + len(packed), kind) + packed
        for kind, packed in ((first, decoded.source), (first + 1, decoded.destination))
    )
    ports = _SPORT + _U16.pack(decoded.source_port) + b"\0\0" + _DPORT + _U16.pack(decoded.destination_port) + b"\0\0"
    proto = ATTRIBUTE.pack(5, 1) + bytes((decoded.protocol, 0, 0, 0)) + ports
    head = ATTRIBUTE.pack(4 + len(addresses), _NESTED | 1) + addresses
    return head + ATTRIBUTE.pack(4 + len(proto), _NESTED | 2) + proto


def has_ports(raw: bytes) -> bool:
    """Return True when a raw tuple is that of a port protocol, as the kernel writes it."""
    decoded = ends(raw)
    return decoded is not None and raw_tuple(decoded) == raw


def port_offset(raw: bytes) -> int:
    """Return where a raw tuple has the source port, or an echo request its id; eight bytes before is the protocol."""
    return 36 if raw[4:8] == V4_SHAPE else 60


def without_port(raw: bytes) -> bytes:
    """Return a raw tuple with zeros for its source port."""
    at = port_offset(raw)
    return raw[:at] + b"\0\0" + raw[at + 2 :] if len(raw) > at + 2 else raw


def inverse(raw: bytes) -> bytes:
    """Return the tuple of the other direction of a port protocol's raw tuple that is not translated."""
    wide = 4 if raw[4:8] == V4_SHAPE else 16
    first, second, proto = 8, 12 + wide, 4 + 2 * (4 + wide)
    addresses = raw[second : second + wide] + raw[first + wide : second] + raw[first : first + wide]
    ports = raw[proto + 24 : proto + 26] + raw[proto + 18 : proto + 24] + raw[proto + 16 : proto + 18]
    return raw[:first] + addresses + raw[second + wide : proto + 16] + ports + raw[proto + 26 :]


def address(packed: bytes) -> str:
    """Return an address as text."""
    return str(ipaddress.ip_address(packed))


def endpoint(packed: bytes, port: int) -> str:
    """Return ``address:port`` (``[v6]:port``), or the address alone for port 0."""
    text = address(packed)
    if not port:
        return text
    return f"[{text}]:{port}" if len(packed) == 16 else f"{text}:{port}"


def dump_request(sequence: int) -> bytes:
    """Ask for every entry of every family (AF_UNSPEC)."""
    return HEADER.pack(PAYLOAD, _GET, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + bytes(4)


def delete_request(sequence: int, orig: bytes, zone: int, ident: int) -> bytes:
    """
    Ask for the end of exactly one entry; it is acknowledged.

    :param orig: its raw original tuple. :param ident: its CTA_ID, so that a successor with the same tuple is spared.
    :raises ValueError: the tuple is none; without one the kernel would flush its table.
    """
    decoded = ends(orig)
    if decoded is None:
        raise ValueError("not the tuple of a connection")
    body = bytes((2 if len(decoded.source) == 4 else 10, 0, 0, 0))
    for kind, value in ((0x8001, orig), (18, _U16.pack(zone)), (12, _U32.pack(ident))):
        if kind != 18 or zone:
            body += ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)
    return HEADER.pack(16 + len(body), _DELETE, NLM_F_REQUEST | NLM_F_ACK, sequence, 0) + body


def cpu_stats_request(sequence: int) -> bytes:
    """Ask for the counters of every CPU."""
    return HEADER.pack(PAYLOAD, _GET_STATS_CPU, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + bytes(4)


def stats_request(sequence: int) -> bytes:
    """Ask for the number of entries and the most that the table holds."""
    return HEADER.pack(PAYLOAD, _GET_STATS, NLM_F_REQUEST, sequence, 0) + bytes(4)


class Stats(NamedTuple):
    """Answers to both statistics requests: counters by CPU, and (entries, most entries) or None."""

    cpus: dict[int, dict[str, int]]
    fill: tuple[int, int] | None
    done: bool


def decode_stats(data: bytes) -> Stats:
    """Decode everything of one receive; what is malformed is left out."""
    cpus: dict[int, dict[str, int]] = {}
    fill = None
    done = False
    offset, size = 0, len(data)
    while offset + 16 <= size:
        length, kind, _, _, _ = HEADER.unpack_from(data, offset)
        if length < 16 or offset + length > size:
            break
        if kind in (NLMSG_DONE, NLMSG_ERROR):
            done = True
        elif kind in (_GET_STATS_CPU, _GET_STATS) and length >= PAYLOAD:
            numbers = _numbers(data, offset + PAYLOAD, offset + length)
            if kind == _GET_STATS:
                fill = (numbers[1], numbers[2]) if 1 in numbers and 2 in numbers else None
                done = True
            else:
                cpu = _U16.unpack_from(data, offset + 18)[0]
                cpus[cpu] = {name: numbers[each] for each, name in _CPU_STATS.items() if each in numbers}
        offset += (length + 3) & ~3
    return Stats(cpus, fill, done)


def _numbers(data: bytes, offset: int, end: int) -> dict[int, int]:
    found = {}
    while offset + 8 <= end:
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            break
        if length == 8:
            found[kind & 0x3FFF] = int(_U32.unpack_from(data, offset + 4)[0])
        offset += (length + 3) & ~3
    return found
