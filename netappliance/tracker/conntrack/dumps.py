"""Readings of the kernel's whole table of connections, in turns."""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import SocketType
from typing import Any

from twisted.logger import Logger

from netappliance.tracker.conntrack import ctnetlink
from netappliance.tracker.conntrack.decoder import Decoder
from netappliance.tracker.conntrack.table import Table
from netappliance.tracker.netlink_reader import NetlinkReader

STALL_S = 10.0
"""A dump that brings nothing for so long has failed (seconds)."""

SWEEP = 1000
"""Entries that one turn drops after a dump."""

_BUFFER = 1 << 20
_RECEIVE = 65536
#: receives that are decoded together; the kernel fills 32 KiB each, in a tenth of a turn or less
_TOGETHER = 4


class Dumps:
    """
    Reads the kernel's whole table into ours, one dump at a time.

    A dump is asked for, begins, brings entries, and is swept: what it did not bring is gone. It begins and ends between
    two events: those that wait are taken first, so that no event from before the dump undoes what the dump repaired,
    and none that waits is taken for lost. Each step takes a turn of the reactor or a part of one. What one that failed
    has brought stays, and another is needed.

    :ivar needed: events were lost since the last one began, or it failed.
    :ivar complete: those that were taken to their end. :ivar refused: that failed. :ivar malformed: messages that were
        garbage. :ivar last_s: seconds that the last complete one took.
    :param drain: takes events that wait, for one turn; True when none is left.
    """

    _log = Logger()

    def __init__(
        self,
        table: Table,
        decoder: Decoder,
        reactor: Any,
        clock: Callable[[], float],
        open_socket: Callable[[tuple[int, ...], int], SocketType],
        drain: Callable[[], bool],
    ) -> None:
        self.needed = False
        self.complete = self.refused = self.malformed = 0
        self.last_s = 0.0
        self._table = table
        self._decoder = decoder
        self._reactor = reactor
        self._clock = clock
        self._open_socket = open_socket
        self._drain = drain
        self._reader: NetlinkReader | None = None
        self._later: Any = None  # the next step's call
        self._stopped = False
        self._began = 0.0
        self._progress = 0.0  # when it last brought something
        self._failing = False  # the last one failed, and the log says so

    def ask(self) -> None:
        """Begin one as soon as the events that wait are taken, unless one is under way."""
        self._stopped = False
        if not self._table.dumping and self._later is None:
            self._soon(self._begin)

    def check(self) -> None:
        """Give up one that stalls; ask for one that is needed. Call once a second."""
        if self._reader is not None and self._clock() - self._progress > STALL_S:
            self._fail("it stalled")
        if self.needed:
            self.ask()

    def stop(self) -> None:
        """Give up, whatever is under way."""
        self._stopped = True
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._close()
        if self._table.dumping:
            self._table.abandon_dump()

    def _soon(self, step: Callable[[], None]) -> None:
        self._later = self._reactor.callLater(0, step)

    def _between_events(self, step: Callable[[], None]) -> bool:
        """Take the events that wait; False when they are too many for this turn, and ``step`` comes in another."""
        self._later = None
        drained = self._drain()
        if self._stopped:
            return False
        if not drained:
            self._soon(step)
        return drained

    def _begin(self) -> None:
        if not self._between_events(self._begin):
            return
        self.needed = False
        self._began = self._progress = self._clock()
        self._table.begin_dump()
        try:
            opened = self._open_socket((), _BUFFER)
            self._reader = NetlinkReader(
                "conntrack", opened, _RECEIVE, self._on_data, self._on_error, self._clock, _TOGETHER
            )
            opened.send(ctnetlink.dump_request(1))
        except OSError as problem:
            self._on_error(problem)
            return
        self._reactor.addReader(self._reader)

    def _on_data(self, data: bytes) -> bool:
        found = self._decoder.dump(data)
        self.malformed += found.malformed
        self._progress = now = self._clock()
        for run in found.runs:
            self._table.dumped_run(run, now)
        self._table.dumped(found.changes, now)
        if found.errno:
            self._fail(errno.errorcode.get(found.errno, str(found.errno)))
        elif found.done:
            self._close()
            self._soon(self._sweep)
        return not (found.errno or found.done)

    def _sweep(self) -> None:
        if not self._between_events(self._sweep):
            return
        if self._table.sweep(self._clock(), SWEEP):
            self._soon(self._sweep)
            return
        self.complete += 1
        self._failing = False
        self.last_s = self._clock() - self._began

    def _on_error(self, problem: OSError) -> None:
        self._fail(problem.strerror or str(problem))

    def _fail(self, why: str) -> None:
        self.refused += 1
        self.needed = True
        self._close()
        self._drain()  # what waits may be the openings of what the dump brought
        self._table.abandon_dump()
        if not self._failing:
            self._failing = True
            self._log.warn("[tracker] a dump of the kernel's connections failed: {why}; it is tried again", why=why)

    def _close(self) -> None:
        if self._reader is not None:
            self._reactor.removeReader(self._reader)
            self._reader.socket.close()
            self._reader = None
