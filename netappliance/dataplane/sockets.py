"""Sockets as the data plane wants them: non-blocking, close-on-exec, no delay."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from socket import SocketType
from typing import Any, Final

from netappliance.sessions.session import Address, unix_address

#: this host is out of descriptors or memory: accepting pauses and goes on later
OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_RESET: Final = struct.pack("ii", 1, 0)
_STREAM: Final = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_TCP: Final = socket.IPPROTO_TCP
_NODELAY: Final = socket.TCP_NODELAY
_QUICKACK: Final = socket.TCP_QUICKACK


def peer_address(address: Any) -> Address:
    """
    Bring what ``accept`` or ``getsockname`` returns to (host, port).

    Scope and flow of IPv6 are dropped, a v4-mapped address is written as IPv4, a unix socket is (path, 0).
    """
    if isinstance(address, tuple):
        host = address[0]
        if len(address) > 2 and host.startswith("::ffff:") and "." in host:
            host = host[7:]
        return host, address[1]
    return unix_address(address if isinstance(address, bytes) else os.fsencode(address or ""))


def listen_tcp(host: str, port: int, backlog: int, *, reuse_port: bool = False, v6only: bool = False) -> SocketType:
    """
    Open a listening TCP socket; accepted sockets inherit TCP_NODELAY from it.

    :param host: an IP address, or empty for all IPv4 addresses (``::`` takes IPv6, and IPv4 too unless ``v6only``).
    :raises OSError: as ``bind`` and ``listen`` do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = SocketType(family, _STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(_TCP, _NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def listen_unix(path: str, backlog: int, mode: int) -> SocketType:
    """
    Open a listening unix socket; a socket file that nobody listens on any more is replaced.

    :param mode: permission bits of the file.
    :raises OSError: EADDRINUSE when somebody listens there, EEXIST when the path is no socket, else as ``bind``.
    """
    _remove_stale(path)
    sock = SocketType(socket.AF_UNIX, _STREAM)
    try:
        old_mask = os.umask(0o777 & ~mode)
        try:
            sock.bind(path)
        finally:
            os.umask(old_mask)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            raise OSError(errno.EEXIST, "exists and is not a socket", path)
    except FileNotFoundError:
        return
    probe = SocketType(socket.AF_UNIX, _STREAM)
    try:
        result = probe.connect_ex(path)
    finally:
        probe.close()
    if result != errno.ECONNREFUSED:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
    Path(path).unlink()


def accepted(listener: SocketType, fd: int) -> SocketType:
    """Wrap a descriptor that ``listener._accept()`` returned into a non-blocking socket."""
    sock = SocketType(listener.family, listener.type, listener.proto, fd)
    sock.setblocking(False)
    return sock


def start_connect(
    family: int,
    address: tuple[Any, ...] | str,
    options: Sequence[tuple[int, int, int]] = (),
    *,
    speaks_first: bool = False,
) -> SocketType:
    """
    Begin a stream connection; a WRITABLE edge without ERROR tells that it is there.

    :param speaks_first: bytes will be sent as soon as it is there: the handshake's last segment then goes with them,
        which is a packet less, and the peer wakes once.
    :raises OSError: when it failed at once (out of descriptors, no route, unix socket with a full backlog, refused).
    """
    sock = SocketType(family, _STREAM)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(_TCP, _NODELAY, 1)
            if speaks_first:
                sock.setsockopt(_TCP, _QUICKACK, 0)
        for level, name, value in options:
            sock.setsockopt(level, name, value)
        result = sock.connect_ex(address)
        if result not in (0, errno.EINPROGRESS):
            raise OSError(result, os.strerror(result))
    except OSError:
        sock.close()
        raise
    return sock


def pending_error(sock: SocketType) -> OSError:
    """Take the error that the kernel holds for a socket; ECONNRESET when it holds none."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
    return OSError(code, os.strerror(code))


def reset_on_close(sock: SocketType) -> None:
    """Have ``close`` send RST instead of FIN, so that the peer cannot take a truncated stream for a whole one."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except OSError:
        return  # already disconnected: there is nobody to tell
