"""The conntrack source: events on one socket, paced dumps on another, loss counted exactly and repaired."""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import SocketType
from typing import Any

from twisted.logger import Logger

from netappliance.tracker import sockets
from netappliance.tracker.conntrack import ctnetlink
from netappliance.tracker.conntrack.decoder import Decoder
from netappliance.tracker.conntrack.table import Table
from netappliance.tracker.netlink_reader import NetlinkReader

STALL_S = 10.0
"""A dump that brings nothing for so long has failed (seconds)."""

SWEEP = 1000
"""Entries that one turn drops after a dump."""

_RECEIVE_EVENT = 16384
_RECEIVE_DUMP = 65536
#: receives of a dump that are decoded together; the kernel fills 32 KiB each, in a tenth of a turn or less
_DUMP_TOGETHER = 4


class ConntrackSource:
    """
    Keeps a :class:`Table` equal to the kernel's.

    A dump begins and ends between two events: the event socket is read empty first, so that no event from before the
    dump undoes what the dump repaired, and none that waits is taken for lost.

    :ivar up: it has the kernel's events. :ivar lost: events that the kernel dropped for want of buffer.
    :ivar malformed: messages that were garbage. :ivar events: events received.
    :ivar resyncs: complete dumps. :ivar refused: dumps that failed. :ivar dump_secs: how long the last one took.
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
        self.lost = self.malformed = self.resyncs = self.refused = self.events = 0
        self.dump_secs = 0.0
        self._reactor = reactor
        self._clock = clock
        self._receive_buffer = receive_buffer
        self._open_socket = open_socket
        self._decoder = Decoder()
        self._drops = 0
        self._dump_lost = 0
        self._dump_wanted = False
        self._failing = False
        self._began = 0.0
        self._progress = 0.0
        self._sequence = 0
        self._events: NetlinkReader | None = None
        self._dumps: NetlinkReader | None = None
        self._later: Any = None

    def start(self) -> None:
        """
        Subscribe, then dump.

        :raises OSError: when the kernel or our rights do not allow it.
        """
        groups = (ctnetlink.GROUP_NEW, ctnetlink.GROUP_UPDATE, ctnetlink.GROUP_DESTROY)
        opened = self._open_socket(groups, self._receive_buffer)
        self._events = NetlinkReader(
            "conntrack", opened, _RECEIVE_EVENT, self._on_events, self._fail_events, self._clock
        )
        self._drops = 0
        self.up = True
        self._reactor.addReader(self._events)
        self.resync()

    def stop(self) -> None:
        """Close both sockets; the kernel's table is left as it is."""
        self.up = False
        self._dump_wanted = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._events is not None:
            self._reactor.removeReader(self._events)
            self._events.socket.close()
            self._events = None
        self._close_dumps()
        if self.table.dumping:
            self.table.abandon_dump()

    def check_loss(self) -> bool:
        """Read the drop counter; ask for a dump when events were lost; end one that stalls. Call once a second."""
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
        if self.table.dumping and self._dumps is not None and self._clock() - self._progress > STALL_S:
            self._fail_dump("it stalled")
        if self.lost != self._dump_lost:
            self.resync()
        return bool(fresh)

    def resync(self) -> None:
        """Start a dump as soon as the events that wait are taken, unless one is under way."""
        if self.up and not self.table.dumping and not self._dump_wanted:
            self._dump_wanted = True
            self._soon(self._begin_dump)

    def _soon(self, call: Callable[[], None]) -> None:
        self._later = self._reactor.callLater(0, call)

    def _drained(self, again: Callable[[], None]) -> bool:
        """Take the events that wait; False when the turn is over before, and ``again`` is called in another."""
        self._later = None
        if self._events is not None and not self._events.drain():
            self._soon(again)
            return False
        return self.up

    def _begin_dump(self) -> None:
        if not self._drained(self._begin_dump):
            return
        self._dump_wanted = False
        self._dump_lost = self.lost
        self._sequence += 1
        self._began = self._progress = self._clock()
        self.table.begin_dump()
        try:
            opened = self._open_socket((), 1 << 20)
            self._dumps = NetlinkReader(
                "conntrack", opened, _RECEIVE_DUMP, self._on_dump, self._dump_error, self._clock, _DUMP_TOGETHER
            )
            opened.send(ctnetlink.dump_request(self._sequence))
        except OSError as problem:
            self._dump_error(problem)
            return
        self._reactor.addReader(self._dumps)

    def _on_events(self, data: bytes) -> bool:
        change = self._decoder.single(data)
        if change is not None:
            self.events += 1
            self.table.event(change, self._clock())
            return True
        batch = self._decoder.decode(data)
        self.malformed += batch.malformed
        now = self._clock()
        for change in batch.changes:
            self.events += 1
            self.table.event(change, now)
        return True

    def _on_dump(self, data: bytes) -> bool:
        batch = self._decoder.dump(data)
        self.malformed += batch.malformed
        self._progress = now = self._clock()
        for run in batch.runs:
            self.table.dumped_run(run, now)
        self.table.dumped(batch.changes, now)
        if batch.errno:
            self._fail_dump(errno.errorcode.get(batch.errno, str(batch.errno)))
        elif batch.done:
            self._close_dumps()
            self._soon(self._sweep)
        return not (batch.errno or batch.done)

    def _sweep(self) -> None:
        if not self._drained(self._sweep):
            return
        if self.table.sweep(self._clock(), SWEEP):
            self._soon(self._sweep)
            return
        self.resyncs += 1
        self._failing = False
        self.dump_secs = self._clock() - self._began

    def _dump_error(self, problem: OSError) -> None:
        self._fail_dump(problem.strerror or str(problem))

    def _fail_dump(self, why: str) -> None:
        self.refused += 1
        self._dump_lost = -1  # so that the next check tries again
        self._close_dumps()
        if self._events is not None:
            self._events.drain()  # what waits may be the openings of what the dump brought
        self.table.abandon_dump()
        if not self._failing:
            self._failing = True
            self._log.warn("[tracker] a dump of the kernel's connections failed: {why}; it is tried again", why=why)

    def _close_dumps(self) -> None:
        if self._dumps is not None:
            self._reactor.removeReader(self._dumps)
            self._dumps.socket.close()
            self._dumps = None

    def _fail_events(self, problem: OSError) -> None:
        self._log.warn("[tracker] the kernel's connection events ended: {why}", why=problem.strerror or str(problem))
        self.stop()
