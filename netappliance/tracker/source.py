"""The conntrack source: events on one socket, paced dumps on another, loss counted exactly and repaired."""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import SocketType
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from netappliance.tracker import ctnetlink, sockets
from netappliance.tracker.table import Table

_RECEIVE = 65536


@implementer(IReadDescriptor)
class _Reader:
    """A netlink socket on the reactor."""

    def __init__(self, opened: SocketType, on_data: Callable[[bytes], bool], clock: Callable[[], float]) -> None:
        self.socket = opened
        self._on_data = on_data
        self._clock = clock

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "conntrack"

    def doRead(self) -> None:
        """Read for at most ~5 ms; the reactor calls again while there is more."""
        until = self._clock() + 0.005
        while self._clock() < until:
            try:
                data = self.socket.recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno not in (errno.ENOBUFS, errno.EINTR):
                    raise
                continue
            if not self._on_data(data):
                return

    def connectionLost(self, reason: object) -> None:
        """The reactor gives the descriptor up."""
        self.socket.close()


class ConntrackSource:
    """
    Keeps a :class:`Table` equal to the kernel's.

    :ivar lost: events that the kernel dropped for want of buffer. :ivar malformed: messages that were garbage.
    :ivar resyncs: complete dumps. :ivar refused: dumps that the kernel refused. :ivar events: events received.
    """

    _log = Logger()

    def __init__(self, table: Table, reactor: Any, clock: Callable[[], float], receive_buffer: int) -> None:
        self.table = table
        self.lost = self.malformed = self.resyncs = self.refused = self.events = 0
        self._reactor = reactor
        self._clock = clock
        self._receive_buffer = receive_buffer
        self._drops = 0
        self._dump_lost = 0
        self._sequence = 0
        self._events: _Reader | None = None
        self._dumps: _Reader | None = None

    def start(self) -> None:
        """
        Subscribe, then dump.

        :raises OSError: when the kernel or our rights do not allow it.
        """
        groups = (ctnetlink.GROUP_NEW, ctnetlink.GROUP_UPDATE, ctnetlink.GROUP_DESTROY)
        opened = sockets.open_netfilter(groups, self._receive_buffer)
        self._events = _Reader(opened, self._on_events, self._clock)
        self._reactor.addReader(self._events)
        self.resync()

    def stop(self) -> None:
        """Close both sockets; the kernel's table is left as it is."""
        for reader in (self._events, self._dumps):
            if reader is not None:
                self._reactor.removeReader(reader)
                reader.socket.close()
        self._events = self._dumps = None

    def check_loss(self) -> bool:
        """Read the drop counter; start a dump when events were lost since. Call about once a second."""
        if self._events is None:
            return False
        now = sockets.drops(self._events.socket)
        fresh = (now - self._drops) & 0xFFFFFFFF
        self._drops = now
        self.lost += fresh
        if self.lost != self._dump_lost and not self.table.dumping:
            self.resync()
        return bool(fresh)

    def resync(self) -> None:
        """Start a dump unless one is under way."""
        if self.table.dumping:
            return
        if self._dumps is None:
            self._dumps = _Reader(sockets.open_netfilter((), 1 << 20), self._on_dump, self._clock)
            self._reactor.addReader(self._dumps)
        self._dump_lost = self.lost
        self._sequence += 1
        self.table.begin_dump()
        try:
            self._dumps.socket.send(ctnetlink.dump_request(self._sequence))
        except OSError:
            self._fail_dump()
            raise

    def _on_events(self, data: bytes) -> bool:
        batch = ctnetlink.decode(data)
        self.malformed += batch.malformed
        now = self._clock()
        for change in batch.changes:
            self.events += 1
            self.table.event(change, now)
        return True

    def _on_dump(self, data: bytes) -> bool:
        if not self.table.dumping:
            return False
        batch = ctnetlink.decode(data)
        self.malformed += batch.malformed
        now = self._clock()
        for change in batch.changes:
            self.table.dumped(change, now)
        if batch.errno:
            self._fail_dump()
            self._log.warn("the kernel refused a dump of its connections: {why}", why=errno.errorcode.get(batch.errno))
        elif batch.done:
            self.table.end_dump(now)
            self.resyncs += 1
            return False
        return True

    def _fail_dump(self) -> None:
        self.refused += 1
        self.table.abandon_dump()
        if self._dumps is not None:
            self._reactor.removeReader(self._dumps)
            self._dumps.socket.close()
            self._dumps = None
