"""
sock_diag messages of TCP as bytes, both ways (linux/inet_diag.h, linux/sock_diag.h, linux/tcp.h). Sans-I/O.

Layouts are fixed; whatever follows them is taken by its length, because every kernel adds fields at the end.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

AF_INET, AF_INET6 = 2, 10
#: include/net/tcp_states.h
ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = range(
    1, 12
)
NEW_SYN_RECV, BOUND_INACTIVE = 12, 13
STATE_NAMES = (
    "",
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "syn_recv",
    "close",
)
#: every state that the kernel keeps in its tables, as the mask of a request
ALL_STATES = 0x1FFF
GROUP_TCP4_DESTROY, GROUP_TCP6_DESTROY = 1, 3
#: tcp_info's min_rtt of a connection whose handshake never ended
NO_RTT = 0xFFFFFFFF

_TCP = 6
_BY_FAMILY, _DESTROY = 20, 21
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_INFO, _CGROUP = 2, 21
_HEADER = struct.Struct("=IHHII")
_REQ = struct.Struct("=BBBBI2s2s16s16sIQ")
_MSG = struct.Struct("=BBBB4s16s16sIQIIIII")
_PORTS = struct.Struct(">HH")
_ATTRIBUTE = struct.Struct("=HH")
_U64 = struct.Struct("=Q")
#: last_data_sent, last_data_recv, last_ack_recv, rtt, rttvar, snd_cwnd, total_retrans, bytes_acked, bytes_received,
#: segs_out, segs_in, min_rtt, delivery_rate, bytes_sent, bytes_retrans at their offsets in struct tcp_info
_TCP_INFO = struct.Struct("=BBBBBBBB36xI4xII8xII4xI16xI16xQQII4xI8xQ32xQQ")
_TCP_INFO_LEAST = 104
_MAPPED = bytes(10) + b"\xff\xff"
#: a cookie that the kernel does not look at
_NO_COOKIE = 0xFFFFFFFFFFFFFFFF


class TcpInfo(NamedTuple):
    """
    What we use of ``struct tcp_info``; fields that an older kernel lacks are 0.

    Times of silence in milliseconds, round-trip times in microseconds (``min_rtt_us`` is NO_RTT while there is none),
    ``acked`` counts our SYN and our FIN as a byte each, ``received`` the peer's FIN; ``sent`` counts data only.
    """

    retransmits: int
    last_data_sent_ms: int
    last_data_recv_ms: int
    last_ack_recv_ms: int
    rtt_us: int
    rttvar_us: int
    congestion_window: int
    total_retransmits: int
    acked: int
    received: int
    segments_out: int
    segments_in: int
    min_rtt_us: int
    delivery_rate: int
    sent: int
    retransmitted: int


class Socket(NamedTuple):
    """
    One TCP socket.

    ``kind`` is DUMPED or DESTROYED. Addresses are packed, v4-mapped ones as the four bytes that they mean (``family``
    stays the socket's). ``cookie`` is the socket's identity within its namespace and never used again. ``info`` is
    None on the kernel's minimal records (SYN_RECV, TIME_WAIT), ``cgroup`` 0 when unknown.
    """

    kind: int
    family: int
    state: int
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    interface: int
    cookie: int
    receive_queue: int
    send_queue: int
    uid: int
    inode: int
    cgroup: int
    info: TcpInfo | None


DUMPED, DESTROYED = range(2)


class Batch(NamedTuple):
    """What one receive held: sockets, end of a dump, errno of the first refusal (0: none), malformed messages."""

    sockets: list[Socket]
    done: bool
    errno: int
    malformed: int


def decode(data: bytes, kind: int = DUMPED) -> Batch:
    """
    Decode everything of one receive; what is malformed is counted and left out, never raised.

    :param kind: what the sockets of this receive are: it comes from the dump's socket or from the multicast groups'.
    """
    sockets: list[Socket] = []
    done, errno, malformed = False, 0, 0
    offset, size = 0, len(data)
    while offset + 16 <= size:
        length, message, _, _, _ = _HEADER.unpack_from(data, offset)
        end = offset + length
        if length < 16 or end > size:
            return Batch(sockets, done, errno, malformed + 1)
        if message == _BY_FAMILY:
            found = _socket(data, offset + 16, end, kind)
            if found is None:
                malformed += 1
            else:
                sockets.append(found)
        elif message == _DONE:
            done = True
            if length >= 20:
                errno = errno or -struct.unpack_from("=i", data, offset + 16)[0]
        elif message == _ERROR and length >= 20:
            errno = errno or -struct.unpack_from("=i", data, offset + 16)[0]
            done = True
        offset += (length + 3) & ~3
    return Batch(sockets, done, errno, malformed + (0 < size - offset < 16))


def _socket(data: bytes, offset: int, end: int, kind: int) -> Socket | None:
    if end - offset < _MSG.size:
        return None
    (family, state, _, _, ports, source, destination, interface, cookie, _, receive, send, uid, inode) = (
        _MSG.unpack_from(data, offset)
    )
    if family == AF_INET:
        source, destination = source[:4], destination[:4]
    elif family != AF_INET6:
        return None
    else:
        source, destination = unmapped(source), unmapped(destination)
    info, cgroup = None, 0
    offset += _MSG.size
    while offset + 4 <= end:
        length, attribute = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            return None
        if attribute == _INFO:
            info = tcp_info(data[offset + 4 : offset + length])
        elif attribute == _CGROUP and length >= 12:
            cgroup = _U64.unpack_from(data, offset + 4)[0]
        offset += (length + 3) & ~3
    here, there = _PORTS.unpack(ports)
    return Socket(
        kind, family, state, source, destination, here, there, interface, cookie, receive, send, uid, inode, cgroup,
        info,
    )  # fmt: skip


def unmapped(packed: bytes) -> bytes:
    """Return the four bytes of a v4-mapped IPv6 address (RFC 4291 section 2.5.5.2), any other as it is."""
    return packed[12:] if packed[:12] == _MAPPED else packed


def tcp_info(data: bytes) -> TcpInfo | None:
    """Decode ``struct tcp_info`` of any kernel since 2.6.13; None when it is shorter than that."""
    if len(data) < _TCP_INFO_LEAST:
        return None
    if len(data) < _TCP_INFO.size:
        data += bytes(_TCP_INFO.size - len(data))
    values = _TCP_INFO.unpack_from(data)
    return TcpInfo(values[2], *values[8:])


def dump_request(sequence: int, family: int, states: int = ALL_STATES, *, info: bool = True) -> bytes:
    """
    Ask for the TCP sockets of a family.

    :param states: bit n asks for state n. :param info: with TCP_INFO.
    """
    body = _REQ.pack(
        family, _TCP, 1 << (_INFO - 1) if info else 0, 0, states, b"", b"", b"", b"", 0, _NO_COOKIE
    )  # fmt: skip
    return _HEADER.pack(16 + len(body), _BY_FAMILY, _REQUEST | _DUMP, sequence, 0) + body


def find_request(sequence: int, source: bytes, source_port: int, destination: bytes, destination_port: int) -> bytes:
    """Ask for the one socket with these ends, whose record or whose absence (ENOENT) is the answer."""
    body = _REQ.pack(
        AF_INET if len(source) == 4 else AF_INET6, _TCP, 1 << (_INFO - 1), 0, ALL_STATES,
        source_port.to_bytes(2, "big"), destination_port.to_bytes(2, "big"), source, destination, 0, _NO_COOKIE,
    )  # fmt: skip
    return _HEADER.pack(16 + len(body), _BY_FAMILY, _REQUEST, sequence, 0) + body


def destroy_request(sequence: int, found: Socket) -> bytes:
    """
    Ask for the end of exactly this socket (SOCK_DESTROY: the kernel compares the cookie); it is acknowledged.

    :raises ValueError: the socket has no cookie, so it could be another one by now.
    """
    if not found.cookie:
        raise ValueError("a socket without a cookie cannot be named safely")
    body = _REQ.pack(
        found.family, _TCP, 0, 0, 1 << found.state, found.source_port.to_bytes(2, "big"),
        found.destination_port.to_bytes(2, "big"), _widened(found.source, found.family),
        _widened(found.destination, found.family), found.interface, found.cookie,
    )  # fmt: skip
    return _HEADER.pack(16 + len(body), _DESTROY, _REQUEST | _ACK, sequence, 0) + body


def _widened(packed: bytes, family: int) -> bytes:
    """Return the address as the kernel has it in a socket of that family."""
    if family == AF_INET6 and len(packed) == 4:
        return _MAPPED + packed
    return packed
