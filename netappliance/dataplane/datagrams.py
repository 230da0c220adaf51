"""UDP sockets as the data plane wants them."""

from __future__ import annotations

import socket
import struct
from socket import SocketType
from typing import Any

#: getsockopt(SOL_SOCKET, SO_MEMINFO): nine 32-bit numbers, the last is the drops (include/uapi/linux/sock_diag.h)
_SO_MEMINFO = 55
#: include/uapi/asm-generic/socket.h
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_MEMINFO = struct.Struct("9I")
#: linux/in.h; not in Python's socket module before 3.14
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
IPV6_RECVPKTINFO = socket.IPV6_RECVPKTINFO
IPV6_PKTINFO = socket.IPV6_PKTINFO
#: bytes for one pktinfo control message of either family
ANCILLARY_SIZE = socket.CMSG_SPACE(20)

_DATAGRAM = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK

Ancillary = list[tuple[int, int, bytes]]


def listen_udp(host: str, port: int, *, receive_buffer: int = 0, send_buffer: int = 0) -> SocketType:
    """
    Bind a UDP socket; on a wildcard address it tells where each datagram was sent to.

    :param host: an IP address, or empty for all IPv4 addresses (``::`` takes IPv6 and IPv4).
    :param receive_buffer: bytes, 0 = the kernel's default; without CAP_NET_ADMIN at most net.core.rmem_max.
    :raises OSError: as ``bind`` does.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = SocketType(family, _DATAGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            if host == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        elif host in ("", "0.0.0.0"):  # noqa: S104 - compared
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        set_buffers(sock, receive_buffer, send_buffer)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def set_buffers(sock: SocketType, receive_buffer: int, send_buffer: int) -> None:
    """Set the kernel's buffers, where they are not 0; beyond net.core.[rw]mem_max with CAP_NET_ADMIN only."""
    for size, forced, plain in (
        (receive_buffer, _SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (send_buffer, _SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        if size:
            try:
                sock.setsockopt(socket.SOL_SOCKET, forced, size)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, plain, size)


def connect_udp(family: int, address: Any) -> SocketType:
    """
    Open a socket that only hears from and speaks to one backend, so that the kernel reports its ICMP errors.

    :raises OSError: out of descriptors, no route.
    """
    sock = SocketType(family, _DATAGRAM)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def reply_from(ancillary: list[tuple[int, int, bytes]]) -> Ancillary:
    """
    Turn the control messages of a received datagram into those of its reply, which leaves from where that was sent to.

    :return: empty when the kernel told nothing.
    """
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            # struct in_pktinfo: index, spec_dst (the source of the reply), addr; index 0 leaves routing to the kernel
            return [(level, kind, b"\0\0\0\0" + data[4:8] + b"\0\0\0\0")]
        if level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO:
            # struct in6_pktinfo: address, index; the index is kept, link-local addresses need it
            return [(level, kind, data[:20])]
    return []


def kernel_drops(sock: SocketType) -> int:
    """Return how many datagrams the kernel dropped because the receive buffer was full; 0 where it does not tell."""
    try:
        return int(_MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[8])
    except (OSError, struct.error):
        return 0
