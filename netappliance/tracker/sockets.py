"""Netlink sockets of the tracker, and what the host says about itself."""

from __future__ import annotations

import socket
import struct
from contextlib import closing
from pathlib import Path

from netappliance.tracker.conntrack import ctnetlink

_NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_ADD_MEMBERSHIP, _NO_ENOBUFS = 1, 5
_SO_RCVBUFFORCE = 33
_SO_MEMINFO, _DROPS = 55, 8
_NETLINK_ROUTE, _RTM_NEWADDR, _RTM_GETADDR = 0, 20, 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


def open_netlink(protocol: int, groups: tuple[int, ...], receive_buffer: int) -> socket.SocketType:
    """
    Open a non-blocking netlink socket that is a member of ``groups``.

    :param protocol: NETLINK_* (linux/netlink.h). :param receive_buffer: bytes; beyond the host's maximum where we have
        CAP_NET_ADMIN.
    :raises OSError: without the right, or where the kernel has no such protocol or group.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        opened.setblocking(False)
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
        except OSError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        # no latch on overrun: later messages still come, and the loss is read from the drop counter
        opened.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        opened.bind((0, 0))
        for group in groups:
            opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except OSError:
        opened.close()
        raise
    return opened


def open_netfilter(groups: tuple[int, ...], receive_buffer: int) -> socket.SocketType:
    """Open a ctnetlink socket, as :func:`open_netlink`."""
    return open_netlink(_NETLINK_NETFILTER, groups, receive_buffer)


def drops(opened: socket.SocketType) -> int:
    """Return how many messages the kernel dropped on this socket (32 bits, wraps)."""
    info = opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
    return int(struct.unpack_from("=I", info, 4 * _DROPS)[0]) if len(info) >= 36 else 0


def local_addresses() -> frozenset[bytes]:
    """
    Return the packed addresses of this network namespace, from rtnetlink: its answer does not grow with the routes.

    :raises OSError: the kernel does not answer.
    """
    found: set[bytes] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE) as opened:
        opened.settimeout(1.0)
        opened.bind((0, 0))
        opened.send(struct.pack("=IHHII", 24, _RTM_GETADDR, 0x301, 1, 0) + bytes(8))
        while True:
            data = opened.recv(65536)
            offset = 0
            while offset + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, offset)
                if kind != _RTM_NEWADDR or length < 24:
                    return frozenset(found)  # NLMSG_DONE or NLMSG_ERROR
                found |= _addresses(data[offset + 24 : offset + length])
                offset += (length + 3) & ~3


def _addresses(attributes: bytes) -> set[bytes]:
    """Return IFA_LOCAL, or IFA_ADDRESS where there is no other (IPv6)."""
    values = {}
    offset = 0
    while offset + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, offset)
        if length < 4:
            break
        values[kind] = attributes[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    found = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
    return {found} if found is not None and len(found) in (4, 16) else set()


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


def cpu_stats() -> dict[int, dict[str, int]]:
    """Return the kernel's conntrack counters of each CPU by name; empty without the right to ask."""
    try:
        with closing(open_netfilter((), 1 << 16)) as opened:
            opened.settimeout(1.0)
            opened.send(ctnetlink.cpu_stats_request(1))
            found: dict[int, dict[str, int]] = {}
            while True:
                stats = ctnetlink.decode_stats(opened.recv(65536))
                found |= stats.cpus
                if stats.done or not stats.cpus:
                    return found
    except OSError:
        return {}


def switched_on(name: str) -> bool:
    """True when the kernel's ``net.netfilter.NAME`` is not 0: nf_conntrack_acct, nf_conntrack_timestamp."""
    try:
        return Path("/proc/sys/net/netfilter", name).read_text().strip() != "0"
    except OSError:
        return False
