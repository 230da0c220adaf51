"""``enable = yes``: the appliance makes the kernel track connections, for as long as it runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from socket import SocketType

from twisted.logger import Logger

from netappliance.tracker import sockets
from netappliance.tracker.conntrack import nftables

_TOO_OLD = (errno.EINVAL, errno.EOPNOTSUPP)


class TrackingRule:
    """
    The appliance's own nftables table. It is the kernel that removes it when our socket closes, after a crash too.

    :ivar active: the table is there and ours.
    """

    _log = Logger()

    def __init__(self, open_socket: Callable[[tuple[int, ...], int], SocketType] = sockets.open_netfilter) -> None:
        self.active = False
        self._open_socket = open_socket
        self._socket: SocketType | None = None
        self._owned = False
        self._told = 0

    def start(self) -> None:
        """Make the table; when that fails, the log says why once; it may be called again."""
        if self.active:
            return
        try:
            self._socket = self._open_socket((), 1 << 16)
            self._socket.settimeout(2.0)
            number = self._ask(nftables.create_owned())
            self._owned = number == 0
            if number in _TOO_OLD:
                number = self._ask(nftables.create_anew())
        except OSError as problem:
            number = problem.errno or errno.EIO
        self.active = number == 0
        if self.active:
            self._log.info("[tracker] enable: the nftables table inet {table} is made", table=nftables.TABLE)
            return
        self._close()
        if number == self._told:
            return
        self._told = number
        if number == errno.EEXIST:
            why = f"there is a table inet {nftables.TABLE} of another process"
        else:
            why = os.strerror(number)
        self._log.warn("[tracker] enable: cannot make the kernel track connections: {why}", why=why)

    def stop(self) -> None:
        """Remove the table; connections that the kernel knows stay as they are."""
        if self.active and not self._owned:
            try:
                number = self._ask(nftables.delete())
            except OSError as problem:
                number = problem.errno or errno.EIO
            if number not in (0, errno.ENOENT):
                self._log.warn("[tracker] enable: cannot remove the table: {why}", why=os.strerror(number))
        self.active = False
        self._close()

    def _ask(self, batch: bytes) -> int:
        """Send a batch and return the errno of the kernel's answer."""
        if self._socket is None:
            return errno.EBADF
        self._socket.send(batch)
        while True:
            number = nftables.verdict(self._socket.recv(65536))
            if number is not None:
                return number

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
