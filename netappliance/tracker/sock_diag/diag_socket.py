"""NETLINK_SOCK_DIAG sockets, and one of them on the reactor."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netappliance.tracker.netlink_reader import NetlinkReader
from netappliance.tracker.sockets import open_netlink

_NETLINK_SOCK_DIAG = 4
_RECEIVE = 65536


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


class DiagReader(NetlinkReader):
    """
    A sock_diag socket that is on the reactor from the start.

    :param on_data: takes what one receive brought; False ends this turn.
    :param on_error: takes an OSError that is not about a full buffer, and learns when the reactor gives the socket up.
    """

    def __init__(
        self,
        opened: socket.SocketType,
        on_data: Callable[[bytes], bool],
        on_error: Callable[[OSError], None],
        reactor: Any,
        clock: Callable[[], float],
    ) -> None:
        super().__init__("sock_diag", opened, _RECEIVE, on_data, on_error, clock)
        self._reactor = reactor
        reactor.addReader(self)

    def connectionLost(self, reason: object) -> None:
        """The reactor gives the descriptor up, because reading it went wrong."""
        if self.socket.fileno() >= 0:
            self.socket.close()
            self._on_error(OSError(errno.EBADF, "the reactor gave its socket up"))

    def close(self) -> None:
        """Leave the reactor and close."""
        self._reactor.removeReader(self)
        self.socket.close()
