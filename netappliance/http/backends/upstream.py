"""A connection to a backend that carries requests, one after another, of whichever client."""

from __future__ import annotations

import array
import fcntl
import termios
from socket import MSG_PEEK, SocketType
from typing import TYPE_CHECKING, Protocol

from netappliance.clusters.backend import Backend
from netappliance.dataplane.eager_writer import EagerWriter
from netappliance.dataplane.poller import ENDING, ERROR, HANGUP, READ_SIDE, READY, WRITABLE, Poller
from netappliance.dataplane.sockets import pending_error

if TYPE_CHECKING:
    from netappliance.http.backends.pool import BackendPool

_waiting = array.array("i", [0])


class UpstreamUser(Protocol):
    """The exchange that an upstream connection serves at the moment."""

    def upstream_connected(self) -> None:
        """The connection is there."""

    def upstream_readable(self) -> None:
        """There is something to read, or the end."""

    def upstream_took(self) -> None:
        """A part of what waited was sent."""

    def upstream_writable(self) -> None:
        """Everything that waited was sent."""

    def upstream_failed(self, error: OSError) -> None:
        """Connecting, reading or writing failed."""

    def crashed(self) -> None:
        """A callback raised."""


class Upstream(EagerWriter):
    """
    One connection to a backend.

    :ivar user: the exchange it serves, None while idle in the pool. :ivar served: responses it has carried.
    :ivar out: bytes that the kernel did not take yet, or None. :ivar readable: an edge came that was not read to its
        end.
    :ivar ending: FIN, error or hang-up was seen, so a short read proves nothing.

    :ivar round: the poller's, of the last edge; 0 = there may be bytes that were not looked at.
    :ivar idle_since: monotonic seconds. :ivar connect_started: likewise. :ivar connecting: no edge has come yet.
    """

    __slots__ = (
        "backend",
        "connect_started",
        "connecting",
        "ending",
        "fd",
        "idle_since",
        "out",
        "poller",
        "pool",
        "readable",
        "recv",
        "recv_into",
        "round",
        "send",
        "sent",
        "served",
        "sock",
        "user",
    )

    def __init__(self, sock: SocketType, backend: Backend, pool: BackendPool, poller: Poller) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.recv_into = sock.recv_into
        self.send = sock.send
        self.backend = backend
        self.pool = pool
        self.poller = poller
        self.user: UpstreamUser | None = None
        self.out: memoryview | None = None
        self.readable = False
        self.ending = False
        self.connecting = True
        self.served = 0
        self.sent = 0
        self.round = 0
        self.idle_since = 0.0
        self.connect_started = poller.now

    def on_ready(self, mask: int) -> None:
        """Edges of the socket."""
        self.round = self.poller.round
        user = self.user
        if user is None:
            # unasked bytes or the end: nothing that a next request may meet
            if mask & READ_SIDE:
                self.pool.discard(self)
            return
        usual = mask == READY and not self.connecting and self.out is None
        if not usual and not self._other_edges(user, mask):
            return
        self.readable = True
        user.upstream_readable()

    def _other_edges(self, user: UpstreamUser, mask: int) -> bool:
        """See to what is not just something to read; True when there is that too."""
        if mask & ENDING:
            self.ending = True
            if mask & ERROR or (self.connecting and mask & HANGUP):
                user.upstream_failed(pending_error(self.sock))
                return False
        if mask & WRITABLE:
            if self.connecting:
                self.connecting = False
                user.upstream_connected()
            elif self.out is not None:
                self.flush()
        return bool(mask & READ_SIDE) and self.user is user

    def write_failed(self, error: OSError) -> None:
        """Tell the user."""
        if self.user is not None:
            self.user.upstream_failed(error)

    def took(self) -> None:
        """Tell the user."""
        if self.user is not None:
            self.user.upstream_took()

    def drained(self) -> None:
        """Tell the user."""
        if self.user is not None:
            self.user.upstream_writable()

    def silent(self) -> bool:
        """
        True when nothing waits to be read, as must be before a request is sent.

        Bytes that are there already would be taken for its response. In a round of the poller it is known whose edges
        are still to be handed out; else the kernel is asked.
        """
        poller = self.poller
        if self.round:
            if self.round == poller.round:
                return True
            if poller.ready is not None:
                return self.fd not in poller.ready
        try:
            fcntl.ioctl(self.fd, termios.FIONREAD, _waiting)
        except OSError:
            return False
        return not _waiting[0]

    def alive(self) -> bool:
        """True when neither bytes nor the end wait to be read; costs more than :meth:`silent`."""
        try:
            self.sock.recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def crashed(self) -> None:
        """A callback raised."""
        if self.user is not None:
            self.user.crashed()
        else:
            self.pool.discard(self)
