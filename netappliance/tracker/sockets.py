"""Netlink sockets of the tracker, and what the host says about itself."""

from __future__ import annotations

import re
import socket
import struct
from pathlib import Path

_NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_ADD_MEMBERSHIP, _NO_ENOBUFS = 1, 5
_SO_RCVBUFFORCE = 33
_SO_MEMINFO, _DROPS = 55, 8
_LOCAL = re.compile(r"\|-- ([0-9.]+)\s+/32 host LOCAL")


def open_netfilter(groups: tuple[int, ...], receive_buffer: int) -> socket.SocketType:
    """
    Open a non-blocking ctnetlink socket that is a member of ``groups``.

    :param receive_buffer: bytes; beyond the host's maximum where we have CAP_NET_ADMIN.
    :raises OSError: without the right, or where the kernel has no ctnetlink.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    try:
        opened.setblocking(False)
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
        except OSError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        # no latch on overrun: later events still come, and the loss is read from the drop counter
        opened.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        opened.bind((0, 0))
        for group in groups:
            opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except OSError:
        opened.close()
        raise
    return opened


def drops(opened: socket.SocketType) -> int:
    """Return how many messages the kernel dropped on this socket (32 bits, wraps)."""
    info = opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
    return int(struct.unpack_from("=I", info, 4 * _DROPS)[0]) if len(info) >= 36 else 0


def local_addresses(proc: Path = Path("/proc/net")) -> frozenset[bytes]:
    """Return the packed addresses of this network namespace."""
    found = {socket.inet_aton("127.0.0.1"), bytes(15) + b"\1"}
    try:
        found |= {socket.inet_aton(each) for each in _LOCAL.findall((proc / "fib_trie").read_text())}
        found |= {bytes.fromhex(line.split()[0]) for line in (proc / "if_inet6").read_text().splitlines()}
    except (OSError, ValueError):
        return frozenset(found)
    return frozenset(found)


def table_fill() -> tuple[int, int] | None:
    """Return (entries, most entries) of the kernel's table, or None where that is not to be seen."""
    sysctl = Path("/proc/sys/net/netfilter")
    try:
        return (
            int((sysctl / "nf_conntrack_count").read_text()),
            int((sysctl / "nf_conntrack_max").read_text()),
        )
    except (OSError, ValueError):
        return None
