"""A netlink socket on the reactor, read for a few milliseconds a turn."""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import SocketType

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

_PASSING = (errno.EAGAIN, errno.ENOBUFS, errno.EINTR)

TURN_S = 0.005
"""Reading goes on for at most this long in one turn of the reactor (seconds)."""


@implementer(IReadDescriptor)
class NetlinkReader:
    """
    Reads what there is; its owner adds it to the reactor and takes it out.

    :param name: for Twisted's log. :param size: bytes of one receive.
    :param on_data: takes what one receive brought; False ends this turn.
    :param on_error: takes an OSError that is not about a full buffer.
    :param together: most receives that are handed over as one.
    """

    def __init__(
        self,
        name: str,
        opened: SocketType,
        size: int,
        on_data: Callable[[bytes], bool],
        on_error: Callable[[OSError], None],
        clock: Callable[[], float],
        together: int = 1,
    ) -> None:
        self.socket = opened
        self._name = name
        self._size = size
        self._on_data = on_data
        self._on_error = on_error
        self._clock = clock
        self._together = together

    def fileno(self) -> int:
        """The descriptor, -1 once closed."""
        return self.socket.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return self._name

    def doRead(self) -> None:
        """Read what there is, as long as a turn may take; the reactor calls again while there is more."""
        self.drain()

    def drain(self) -> bool:
        """Read for one turn, which ends before a step that lasts as long as the last; True when nothing is left."""
        began = now = self._clock()
        before = began
        while 2 * now - before <= began + TURN_S:
            before = now
            try:
                data = self.socket.recv(self._size) if self._together == 1 else self._receive_some()
            except BlockingIOError:
                return True
            except OSError as problem:
                if problem.errno not in _PASSING:
                    self._on_error(problem)
                    return True
            else:
                if not self._on_data(data):
                    return False
            now = self._clock()
        return False

    def _receive_some(self) -> bytes:
        """Return what the next receives bring, up to the first that brings nothing."""
        received = [self.socket.recv(self._size)]
        while len(received) < self._together:
            try:
                received.append(self.socket.recv(self._size))
            except OSError as problem:
                if problem.errno in _PASSING:
                    break
                raise
        return b"".join(received)

    def connectionLost(self, reason: object) -> None:
        """The reactor gives the descriptor up."""
        self.socket.close()
