"""
The nftables rule that makes a kernel track connections, as netlink messages (linux/netfilter/nf_tables.h). Sans-I/O.

Linux attaches connection tracking to a network namespace while some rule there asks for it. Ours does so in a chain
that hangs on no hook: no packet ever runs through it, and it decides nothing.
"""

from __future__ import annotations

import struct

TABLE = "netappliance"
"""Name of the table, in the family inet."""

_NFTABLES = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_REQUEST, _ACK, _EXCLUSIVE, _CREATE, _APPEND = 0x1, 0x4, 0x200, 0x400, 0x800
_INET = 1
_OWNER = 2
_NESTED = 0x8000
_CHAIN = "tracking"
_HEADER = struct.Struct("=IHHIIBB2s")
_NLMSG_ERROR = 2


def _attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, value.to_bytes(4, "big"))


def _nest(kind: int, *inner: bytes) -> bytes:
    return _attribute(_NESTED | kind, b"".join(inner))


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(20 + len(body), _NFTABLES << 8 | kind, _REQUEST | flags, sequence, 0, _INET, 0, b"\0\0") + body


def _bracket(kind: int, sequence: int) -> bytes:
    return _HEADER.pack(20, kind, _REQUEST, sequence, 0, 0, 0, _NFTABLES.to_bytes(2, "big"))


def _batch(*messages: bytes) -> bytes:
    """All of them or none."""
    return _bracket(_BATCH_BEGIN, 1) + b"".join(messages) + _bracket(_BATCH_END, 9)


def _rule() -> bytes:
    """The chain and in it ``ct state``, loaded into a register that nobody reads."""
    loaded = _nest(2, _number(1, 1), _number(2, 0))  # NFTA_CT_DREG: NFT_REG_1, NFTA_CT_KEY: NFT_CT_STATE
    expressions = _nest(4, _nest(1, _text(1, "ct"), loaded))
    chain = _message(_NEW_CHAIN, _CREATE, 5, _text(1, TABLE) + _text(3, _CHAIN))
    return chain + _message(_NEW_RULE, _CREATE | _APPEND | _ACK, 6, _text(1, TABLE) + _text(2, _CHAIN) + expressions)


def create_owned() -> bytes:
    """
    Make the table, owned by the socket that sends this (Linux 5.12): when that closes, however, the table is gone.

    The last message is acknowledged. EEXIST: there is one; EPERM: without the right, or another process owns it.
    """
    return _batch(_message(_NEW_TABLE, _CREATE | _EXCLUSIVE, 4, _text(1, TABLE) + _number(2, _OWNER)), _rule())


def create_anew() -> bytes:
    """Make the table as on older kernels, in place of one that a crash may have left behind."""
    name = _text(1, TABLE)
    return _batch(
        _message(_NEW_TABLE, _CREATE, 2, name),
        _message(_DELETE_TABLE, 0, 3, name),
        _message(_NEW_TABLE, _CREATE, 4, name),
        _rule(),
    )


def delete() -> bytes:
    """Remove the table that ``create_anew`` made."""
    return _batch(_message(_DELETE_TABLE, _ACK, 2, _text(1, TABLE)))


def verdict(data: bytes) -> int | None:
    """Return the first errno of the kernel's answers, 0 when all is well, None while no answer is among the data."""
    offset, found = 0, None
    while offset + 20 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        if length < 16:
            break
        if kind == _NLMSG_ERROR:
            number = -struct.unpack_from("=i", data, offset + 16)[0]
            if number:
                return int(number)
            found = 0
        offset += (length + 3) & ~3
    return found
