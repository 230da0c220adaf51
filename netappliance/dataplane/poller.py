"""
The data-plane poller: one epoll object for every data socket, nested in Twisted's reactor.

The reactor watches a single descriptor, the epoll object itself. Sockets are registered once, edge-triggered and for
both directions, so a connection costs one ``epoll_ctl`` in its whole life and none when it stalls. The price is a rule
for owners: after an edge, read until a short read or EAGAIN, or remember that there is more (``poller.later`` or a
flag).
"""

from __future__ import annotations

import errno
import select
from collections.abc import Callable
from socket import SocketType
from typing import Any, Final, Protocol

from mypy_extensions import mypyc_attr
from twisted.logger import Logger

from netappliance.dataplane.receive_buffer import ReceiveBuffer

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
ERROR: Final = select.EPOLLERR
HANGUP: Final = select.EPOLLHUP
PEER_FIN: Final = select.EPOLLRDHUP
#: the edge of a stream that has bytes and takes some: by far the most frequent one
READY: Final = READABLE | WRITABLE
#: anything that a read tells more about
READ_SIDE: Final = READABLE | ERROR | HANGUP | PEER_FIN
#: the end of the stream is behind the bytes that are there: a short read is no proof that all was read
ENDING: Final = ERROR | HANGUP | PEER_FIN

OnReady = Callable[[int], None]

_EDGES: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_log = Logger(__name__)


class PollerOwner(Protocol):
    """An owner whose ``on_ready`` raised is told, so that it ends with cause ``internal`` and hurts no other."""

    def crashed(self) -> None:
        """Close everything that belongs together; must not raise."""


@mypyc_attr(allow_interpreted_subclasses=True)
class RoundOwner:
    """Who asked to be called at the end of a round."""

    __slots__ = ()

    def round_ended(self) -> None:
        """All events of the round were handed out."""
        raise TypeError

    def crashed(self) -> None:
        """``round_ended`` raised; as of a :class:`PollerOwner`."""
        raise TypeError


class PollerReactor(Protocol):
    """What the poller needs of Twisted's reactor (IReactorFDSet and IReactorTime)."""

    def addReader(self, reader: Any) -> None:
        """Call ``reader.doRead()`` whenever its descriptor is readable."""

    def removeReader(self, reader: Any) -> None:
        """Call it no more."""

    def callLater(self, delay: float, callable: Any) -> Any:  # noqa: A002 - Twisted's name
        """Call once, ``delay`` seconds from now."""


class Poller:
    """
    Calls the owners of descriptors when these become ready; to the reactor it is an ``IReadDescriptor``.

    :ivar now: monotonic seconds of this turn; owners use it instead of asking the clock for each packet.
    :ivar round: number of the last poll that brought events, or of what ran since. Whose edge was handed out in
        this very round has seen all that came before it.
    :ivar crashes_total: callbacks that raised. :ivar buffer: where owners read to.
    """

    #: polls in one reactor turn, and the seconds after which no further one begins, while there is more to do
    MAX_ROUNDS: Final = 64
    MAX_TURN_S: Final = 0.002

    def __init__(
        self,
        reactor: PollerReactor,
        clock: Callable[[], float],
        *,
        buffer: ReceiveBuffer | None = None,
        max_events: int = 512,
        linger_s: float = 0.0,
    ) -> None:
        """
        :param max_events: taken from the kernel at once: the fairness budget against timers and other services.
        :param linger_s: how long a turn that found events waits for more; that is cheaper than a turn of the reactor.
        """
        self.clock = clock
        self.buffer = buffer or ReceiveBuffer()
        self.max_events = max_events
        self.linger_s = linger_s
        self.now = clock()
        self.round = 1
        self.crashes_total = 0
        self._reactor = reactor
        self._callbacks: dict[int, OnReady] = {}
        self._doomed: list[SocketType] = []
        self._in_round = False
        self._events: list[tuple[int, int]] | None = None
        self._ready: dict[int, int] | None = None
        self._round_owners: list[RoundOwner] = []
        self._put_off: list[RoundOwner] = []
        self._later: list[Callable[[], None]] = []
        self._later_scheduled = False
        self._epoll: select.epoll | None = None

    def start(self) -> None:
        """Open the epoll object and hang it into the reactor."""
        self._epoll = select.epoll()
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Leave the reactor and close the epoll object; the sockets belong to their owners."""
        if self._epoll is not None:
            self._reactor.removeReader(self)
            self._epoll.close()
            self._epoll = None
        self._callbacks.clear()
        self._later.clear()

    def __len__(self) -> int:
        return len(self._callbacks)

    def add(self, fd: int, on_ready: OnReady, *, level: bool = False) -> None:
        """
        Watch a descriptor; ``on_ready(mask)`` is called on every edge with ``EPOLL*`` bits.

        :param level: call for as long as there is something to read instead, and for nothing else. For datagrams,
            where the read that finds nothing would cost as much as the datagram.
        :raises OSError: ENOSPC or ENOMEM when the kernel watches too many.
        """
        epoll = self._epoll
        if epoll is None:
            raise OSError(errno.EBADF, "the poller is stopped")
        epoll.register(fd, select.EPOLLIN if level else _EDGES)
        self._callbacks[fd] = on_ready

    def redirect(self, fd: int, on_ready: OnReady) -> None:
        """Give a watched descriptor to another owner, who tries at once: edges that came before are gone."""
        self._callbacks[fd] = on_ready

    def close(self, sock: SocketType) -> None:
        """
        Stop calling the owner of a socket and close it.

        During a round the close waits for the round's end: a descriptor number that is given out again at once would be
        handed the old socket's remaining events. The kernel forgets a descriptor when it is closed.
        """
        self._callbacks.pop(sock.fileno(), None)
        if self._in_round:
            self._doomed.append(sock)
        else:
            sock.close()

    def at_round_end(self, owner: RoundOwner) -> None:
        """
        Call ``owner.round_ended()`` when the events of this round are handed out; at once when there is no round.

        For writes: sent one right after the other they find the processes that get them awake. Sent between one event's
        work and the next, each has to wake a process that went to sleep in between, which costs more than the write.
        """
        if self._in_round:
            self._round_owners.append(owner)
        else:
            owner.round_ended()

    def after_next_round(self, owner: RoundOwner) -> None:
        """
        Call ``owner.round_ended()`` at the end of the next round, or as soon as there is none; at once outside of one.

        For what may be needless then: who is told that a connection ends may be about to end it too.
        """
        if self._in_round:
            self._put_off.append(owner)
        else:
            owner.round_ended()

    def later(self, callback: Callable[[], None]) -> None:
        """Call once on the next reactor turn: for the rest of work that exceeded its fairness budget."""
        self._later.append(callback)
        if not self._later_scheduled:
            self._later_scheduled = True
            self._reactor.callLater(0, self._run_later)

    def tick(self) -> float:
        """Bring ``now`` up to date outside of a round, for timers, and return it."""
        self.now = self.clock()
        self.round += 1
        return self.now

    def fileno(self) -> int:
        """The epoll object is what the reactor watches."""
        return self._epoll.fileno() if self._epoll is not None else -1

    def logPrefix(self) -> str:
        """Name this descriptor in Twisted's log context."""
        return "dataplane"

    def connectionLost(self, reason: Any) -> None:
        """Called by the reactor at its end."""

    def doRead(self) -> None:
        """Hand out the events that are there; bounded, so that the reactor's timers and services have their turn."""
        epoll = self._epoll
        if epoll is None:
            return
        patience = 0.0
        until = 0.0
        for _ in range(self.MAX_ROUNDS):
            events = epoll.poll(0.0 if self._put_off else patience, self.max_events)
            if events:
                self.now = self.clock()
                self.round += 1
                if not until:
                    until = self.now + self.MAX_TURN_S
                    patience = self.linger_s
            elif not self._put_off:
                break
            self._run_round(events)
            if self._later_scheduled or self.now >= until:
                break
        while self._put_off:
            self._run_round([])

    def waiting(self) -> dict[int, int] | None:
        """Return descriptor -> edges of this round, handed out or not; None between rounds, or if there may be more."""
        if self._ready is None and self._events is not None:
            self._ready = dict(self._events)
        return self._ready

    def _run_round(self, events: list[tuple[int, int]]) -> None:
        """Hand out events, then what waits for their end."""
        callbacks = self._callbacks
        put_off, self._put_off = self._put_off, []
        self._in_round = True
        self._events = events if len(events) < self.max_events else None
        for fd, mask in events:
            # absent when an earlier callback of this round closed it
            callback = callbacks.get(fd)
            if callback is not None:
                try:
                    callback(mask)
                except Exception:  # noqa: BLE001 - one session's bug ends that session only
                    self._crashed(callback)
        while self._round_owners:
            owners, self._round_owners = self._round_owners, []
            self._tell(owners)
        if put_off:
            self._tell(put_off)
        self._in_round = False
        self._events = self._ready = None
        if self._doomed:
            doomed, self._doomed = self._doomed, []
            for sock in doomed:
                sock.close()

    def _tell(self, owners: list[RoundOwner]) -> None:
        for owner in owners:
            try:
                owner.round_ended()
            except Exception:  # noqa: BLE001 - as above
                self._crashed(owner.round_ended)

    def _run_later(self) -> None:
        self._later_scheduled = False
        callbacks, self._later = self._later, []
        self.tick()
        for callback in callbacks:
            self.call(callback)

    def call(self, callback: Callable[[], None]) -> None:
        """Call now; when it raises its owner is told, and the caller goes on with others."""
        try:
            callback()
        except Exception:  # noqa: BLE001 - as in doRead
            self._crashed(callback)

    def _crashed(self, callback: Callable[..., None]) -> None:
        self.crashes_total += 1
        owner = getattr(callback, "__self__", None)
        _log.failure("a data-plane callback of {owner} raised; its session is closed", owner=type(owner).__name__)
        crashed = getattr(owner, "crashed", None)
        if crashed is not None:
            try:
                crashed()
            except Exception:  # noqa: BLE001 - nothing more can be done for it
                _log.failure("closing after the failure above failed too")
