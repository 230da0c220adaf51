"""The conntrack source: events on one socket, dumps on another, loss counted exactly and repaired."""

from __future__ import annotations

from collections.abc import Callable
from socket import SocketType
from typing import Any

from twisted.logger import Logger

from netappliance.tracker import sockets
from netappliance.tracker.conntrack import ctnetlink
from netappliance.tracker.conntrack.decoder import Decoder
from netappliance.tracker.conntrack.dumps import Dumps
from netappliance.tracker.conntrack.table import Table
from netappliance.tracker.netlink_reader import NetlinkReader

_RECEIVE = 16384


class ConntrackSource:
    """
    Keeps a :class:`Table` equal to the kernel's: by its events, and by dumps at the start and after a loss.

    :ivar up: it has the kernel's events. :ivar lost: events that the kernel dropped for want of buffer.
    :ivar events: events received. :ivar dumps: the readings of the whole table.
    """

    _log = Logger()

    def __init__(
        self,
        table: Table,
        reactor: Any,
        clock: Callable[[], float],
        receive_buffer: int,
        open_socket: Callable[[tuple[int, ...], int], SocketType] = sockets.open_netfilter,
    ) -> None:
        """:param open_socket: opens a ctnetlink socket that is a member of groups; tests and namespaces give theirs."""
        self.table = table
        self.up = False
        self.lost = self.events = 0
        self._malformed = 0
        self._reactor = reactor
        self._clock = clock
        self._receive_buffer = receive_buffer
        self._open_socket = open_socket
        self._decoder = Decoder()
        self._drops = 0  # the kernel's counter, as last read
        self._events: NetlinkReader | None = None
        self.dumps = Dumps(table, self._decoder, reactor, clock, open_socket, self._drain)

    @property
    def malformed(self) -> int:
        """Messages that were garbage."""
        return self._malformed + self.dumps.malformed

    @property
    def resyncs(self) -> int:
        """Complete dumps."""
        return self.dumps.complete

    @property
    def refused(self) -> int:
        """Dumps that failed."""
        return self.dumps.refused

    @property
    def dump_secs(self) -> float:
        """How long the last one took."""
        return self.dumps.last_s

    def count_on(self, *, events: int, lost: int, malformed: int, resyncs: int, refused: int) -> None:
        """Add what another source counted that this one takes the place of."""
        self.events += events
        self.lost += lost
        self._malformed += malformed
        self.dumps.complete += resyncs
        self.dumps.refused += refused

    def start(self) -> None:
        """
        Subscribe, then dump.

        :raises OSError: when the kernel or our rights do not allow it.
        """
        groups = (ctnetlink.GROUP_NEW, ctnetlink.GROUP_UPDATE, ctnetlink.GROUP_DESTROY)
        opened = self._open_socket(groups, self._receive_buffer)
        self._events = NetlinkReader("conntrack", opened, _RECEIVE, self._on_events, self._fail_events, self._clock)
        self._drops = 0
        self.up = True
        self._reactor.addReader(self._events)
        self.resync()

    def stop(self) -> None:
        """Close both sockets; the kernel's table is left as it is."""
        self.up = False
        if self._events is not None:
            self._reactor.removeReader(self._events)
            self._events.socket.close()
            self._events = None
        self.dumps.stop()

    def check_loss(self) -> bool:
        """Read the drop counter; have a dump when events were lost. Call once a second."""
        if self._events is None:
            return False
        try:
            drops = sockets.drops(self._events.socket)
        except OSError as problem:
            self._fail_events(problem)
            return False
        fresh = (drops - self._drops) & 0xFFFFFFFF
        self.lost += fresh
        self._drops = drops
        if fresh:
            self.dumps.needed = True
        self.dumps.check()
        return bool(fresh)

    def resync(self) -> None:
        """Start a dump as soon as the events that wait are taken, unless one is under way."""
        if self.up:
            self.dumps.ask()

    def _drain(self) -> bool:
        return self._events is None or self._events.drain()

    def _on_events(self, data: bytes) -> bool:
        change = self._decoder.single(data)
        if change is not None:
            self.events += 1
            self.table.event(change, self._clock())
            return True
        batch = self._decoder.decode(data)
        self._malformed += batch.malformed
        now = self._clock()
        for change in batch.changes:
            self.events += 1
            self.table.event(change, now)
        return True

    def _fail_events(self, problem: OSError) -> None:
        self._log.warn("[tracker] the kernel's connection events ended: {why}", why=problem.strerror or str(problem))
        self.stop()
