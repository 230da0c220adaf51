"""
The wire format, sans-I/O. Big-endian:

``QLKN`` | version (1 byte, 0) | type (1 byte: 0 ping, 1 reply) | length of the payload (2 bytes) | payload.
Payload of a ping: nonce (1 byte), client's send time (8 bytes). Of a reply: nonce, client's send time, server's
receive time, server's send time. Times are signed nanoseconds since the epoch, in UTC.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

MAGIC = b"QLKN"
_HEADER = struct.Struct("!4sBBH")
_PING = struct.Struct("!Bq")
_REPLY = struct.Struct("!Bqqq")
PING_SIZE = _HEADER.size + _PING.size
REPLY_SIZE = _HEADER.size + _REPLY.size


class Refusal(str, Enum):
    """Why a datagram is no packet: a closed set for metrics."""

    NO_MAGIC = "no_magic"
    VERSION = "unknown_version"
    TYPE = "unknown_type"
    LENGTH = "length_mismatch"


class QcmpError(Exception):
    """A datagram is no packet of this protocol."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Ping:
    """What a client sends. :ivar nonce: 0 to 255. :ivar sent_ns: by the client's clock."""

    nonce: int
    sent_ns: int

    def encode(self) -> bytes:
        """17 bytes."""
        return _HEADER.pack(MAGIC, 0, 0, _PING.size) + _PING.pack(self.nonce, self.sent_ns)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answers; the last two times are by the server's clock."""

    nonce: int
    sent_ns: int
    received_ns: int
    replied_ns: int

    def encode(self) -> bytes:
        """33 bytes."""
        body = _REPLY.pack(self.nonce, self.sent_ns, self.received_ns, self.replied_ns)
        return _HEADER.pack(MAGIC, 0, 1, _REPLY.size) + body

    def round_trip_ns(self, now_ns: int) -> int:
        """Time on the wire both ways: the client's wait, less the server's work."""
        return (now_ns - self.sent_ns) - (self.replied_ns - self.received_ns)


def decode(data: bytes) -> Ping | Reply:
    """
    Read one datagram.

    :raises QcmpError: it is no packet; the length must be exact.
    """
    if data[:4] != MAGIC:
        raise QcmpError(Refusal.NO_MAGIC)
    if len(data) < _HEADER.size:
        raise QcmpError(Refusal.LENGTH)
    _, version, kind, length = _HEADER.unpack_from(data)
    if version:
        raise QcmpError(Refusal.VERSION)
    if kind > 1:
        raise QcmpError(Refusal.TYPE)
    layout = _REPLY if kind else _PING
    if length != layout.size or len(data) != _HEADER.size + length:
        raise QcmpError(Refusal.LENGTH)
    values = layout.unpack_from(data, _HEADER.size)
    return Reply(*values) if kind else Ping(*values)
