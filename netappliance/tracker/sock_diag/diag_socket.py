"""NETLINK_SOCK_DIAG sockets, and one of them on the reactor."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from netappliance.tracker.sockets import open_netlink

_NETLINK_SOCK_DIAG = 4
_RECEIVE = 65536
#: seconds that one socket may keep the reactor
SLICE_S = 0.005


def open_diag(groups: tuple[int, ...], receive_buffer: int) -> socket.SocketType:
    """Open a sock_diag socket, as :func:`netappliance.tracker.sockets.open_netlink`; needs no rights."""
    return open_netlink(_NETLINK_SOCK_DIAG, groups, receive_buffer)


def ephemeral_ports(proc: Path = Path("/proc/sys/net/ipv4/ip_local_port_range")) -> tuple[int, int]:
    """Return the first and the last port that the kernel gives to those who connect."""
    try:
        low, high = proc.read_text().split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 32768, 60999


@implementer(IReadDescriptor)
class DiagReader:
    """
    A netlink socket on the reactor.

    :param on_data: takes what one receive brought; False ends this turn.
    :param on_error: takes an OSError that is not about a full buffer.
    """

    def __init__(
        self,
        opened: socket.SocketType,
        on_data: Callable[[bytes], bool],
        on_error: Callable[[OSError], None],
        reactor: Any,
        clock: Callable[[], float],
    ) -> None:
        self.socket = opened
        self._on_data = on_data
        self._on_error = on_error
        self._reactor = reactor
        self._clock = clock
        reactor.addReader(self)

    def fileno(self) -> int:
        """The descriptor, -1 once closed."""
        return self.socket.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return "sock_diag"

    def doRead(self) -> None:
        """Read for at most SLICE_S; the reactor calls again while there is more."""
        until = self._clock() + SLICE_S
        while self._clock() < until:
            try:
                data = self.socket.recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno not in (errno.ENOBUFS, errno.EINTR):
                    self._on_error(problem)
                    return
                continue
            if not self._on_data(data):
                return

    def connectionLost(self, reason: object) -> None:
        """The reactor gives the descriptor up, because reading it went wrong."""
        if self.socket.fileno() >= 0:
            self.socket.close()
            self._on_error(OSError(errno.EBADF, "the reactor gave its socket up"))

    def close(self) -> None:
        """Leave the reactor and close."""
        self._reactor.removeReader(self)
        self.socket.close()
