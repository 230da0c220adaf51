"""The sock_diag source: destroy notices on one socket, paced dumps on another; and /proc/net/tcp where that fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import SocketType
from typing import Any

from twisted.logger import Logger

from netappliance.tracker import sockets
from netappliance.tracker.netlink_reader import TURN_S
from netappliance.tracker.sock_diag import inet_diag, proc_tcp
from netappliance.tracker.sock_diag.diag_socket import DiagReader, open_diag
from netappliance.tracker.sock_diag.socket_table import SocketTable

_FAMILIES = (inet_diag.AF_INET, inet_diag.AF_INET6)
#: a reading may take this share of the time until the next one
_SHARE = 0.1

STALL_S = 10.0
"""A dump that takes so long beyond our own part of it has failed (seconds)."""

Opener = Callable[[tuple[int, ...], int], SocketType]


class _Readings:
    """
    What both sources keep: their table, the numbers of a source, and when the next whole reading begins.

    :param interval_s: seconds from one reading to the next; longer where one takes more than a tenth of it.
    """

    def __init__(self, table: SocketTable, reactor: Any, clock: Callable[[], float], interval_s: float) -> None:
        self.table = table
        self.up = False
        self.dump_secs = 0.0
        self.lost = self.malformed = self.resyncs = self.refused = self.events = 0
        self._reactor = reactor
        self._clock = clock
        self._interval_s = interval_s
        self._next = 0.0
        self._began = 0.0
        self._busy_s = 0.0

    def _read_whole(self, now: float) -> None:
        """A reading is complete."""
        self.table.end_dump(now)
        self.resyncs += 1
        self.dump_secs = now - self._began
        self._next = self._began + max(self._interval_s, self._busy_s / _SHARE) - 0.5

    def _give_up(self, now: float) -> None:
        """A reading failed; the next one waits longer."""
        self.refused += 1
        self.table.abandon_dump()
        self._next = now + 10 * self._interval_s


class SocketSource(_Readings):
    """
    Keeps a :class:`SocketTable` equal to the kernel's tables of sockets.

    :ivar up: it works. :ivar lost: notices that the kernel dropped for want of buffer.
    :ivar malformed: messages that were garbage. :ivar resyncs: complete dumps. :ivar refused: dumps that failed.
    :ivar events: notices received. :ivar dump_secs: how long the last one took.
    """

    name = "sock_diag"
    _log = Logger()

    def __init__(
        self,
        table: SocketTable,
        reactor: Any,
        clock: Callable[[], float],
        receive_buffer: int,
        interval_s: float,
        opener: Opener = open_diag,
    ) -> None:
        super().__init__(table, reactor, clock, interval_s)
        self._receive_buffer = receive_buffer
        self._opener = opener
        self._drops = 0
        self._dump_lost = 0
        self._sequence = 0
        self._families: list[int] = []
        self._events: DiagReader | None = None
        self._dumps: DiagReader | None = None
        self._queries: SocketType | None = None

    def start(self) -> None:
        """
        Subscribe, then dump.

        :raises OSError: when the kernel does not allow it.
        """
        groups = (inet_diag.GROUP_TCP4_DESTROY, inet_diag.GROUP_TCP6_DESTROY)
        opened = self._opener(groups, self._receive_buffer)
        self._events = DiagReader(opened, self._on_notices, self._fail_notices, self._reactor, self._clock)
        self._drops = 0
        self._dump_lost = -1  # whatever ended while nobody listened
        self._queries = self._opener((), 1 << 18)
        self.table.ask_listening = self._ask_listening
        self.up = True
        self.resync()

    def stop(self) -> None:
        """Close all sockets."""
        self.up = False
        for reader in (self._events, self._dumps):
            if reader is not None:
                reader.close()
        self._events = self._dumps = None
        if self._queries is not None:
            self._queries.close()
            self._queries = None
        self.table.ask_listening = None
        if self.table.dumping:
            self.table.abandon_dump()

    def check_loss(self) -> bool:
        """
        Read the drop counter; start a dump when it is time for one. Call about once a second.

        :return: notices were lost since the last call.
        """
        if self._events is None:
            return False
        now = self._clock()
        try:
            drops = sockets.drops(self._events.socket)
        except OSError as problem:
            self._fail_notices(problem)
            return False
        fresh = (drops - self._drops) & 0xFFFFFFFF
        self.lost += fresh
        self._drops = drops
        if self.table.dumping and now - self._began > STALL_S + self._busy_s:
            self._failed(OSError(errno.ETIMEDOUT, "a dump stalled"))
        if now >= self._next:
            self.resync()
        return bool(fresh)

    def resync(self) -> None:
        """Start a dump unless one is under way."""
        if self.table.dumping or self._events is None:
            return
        if self._dumps is None:
            try:
                self._dumps = self._reader(self._opener((), 1 << 20), self._on_dump)
            except OSError as problem:
                self._failed(problem)
                return
        self._began = self._clock()
        self._dump_lost, lost = self.lost, self._dump_lost
        self._busy_s = 0.0
        self._families = list(_FAMILIES)
        self.table.begin_dump(lost=self.lost != lost)
        self._ask()

    def _reader(self, opened: SocketType, on_data: Callable[[bytes], bool]) -> DiagReader:
        return DiagReader(opened, on_data, self._failed, self._reactor, self._clock)

    def _ask_listening(self) -> None:
        """Read the few listening sockets at once: the kernel answers within the system call."""
        assert self._queries is not None
        for family in _FAMILIES:
            try:
                self._queries.send(inet_diag.dump_request(0, family, 1 << inet_diag.LISTEN, info=False))
                done = False
                while not done:
                    batch = inet_diag.decode(self._queries.recv(65536))
                    for found in batch.sockets:
                        self.table.listens(found)
                    done = batch.done
            except OSError:
                return  # the next dump knows them

    def _ask(self) -> None:
        assert self._dumps is not None
        self._sequence += 1
        try:
            self._dumps.socket.send(inet_diag.dump_request(self._sequence, self._families.pop(0)))
        except OSError as problem:
            self._failed(problem)

    def _on_notices(self, data: bytes) -> bool:
        batch = inet_diag.decode(data, inet_diag.DESTROYED)
        self.malformed += batch.malformed
        now = self._clock()
        for found in batch.sockets:
            self.events += 1
            self.table.destroyed(found, now)
        return True

    def _on_dump(self, data: bytes) -> bool:
        if not self.table.dumping:
            return False
        now = self._clock()
        batch = inet_diag.decode(data)
        self.malformed += batch.malformed
        for found in batch.sockets:
            self.table.dumped(found, now)
        self._busy_s += self._clock() - now
        # a kernel without IPv6 has no such table
        if batch.errno and not (batch.errno in (errno.ENOENT, errno.EAFNOSUPPORT) and not self._families):
            self._failed(OSError(batch.errno, os.strerror(batch.errno)))
            return False
        if not batch.done:
            return True
        if self._families:
            self._ask()
            return self.table.dumping
        self._read_whole(now)
        return False

    def _fail_notices(self, problem: OSError) -> None:
        self._log.warn("[tracker] notices of ended sockets ended: {why}", why=problem.strerror or str(problem))
        self.stop()

    def _failed(self, problem: OSError) -> None:
        self._log.warn("[tracker] the kernel's sockets cannot be read: {why}", why=problem.strerror or str(problem))
        self._give_up(self._clock())
        if self._dumps is not None:
            self._dumps.close()
            self._dumps = None


class ProcSource(_Readings):
    """
    Reads /proc/net/tcp and tcp6 again and again, in slices.

    It never learns of connections that begin and end between two readings, and needs nothing but /proc.
    """

    name = "proc"
    _log = Logger()

    def __init__(
        self,
        table: SocketTable,
        reactor: Any,
        clock: Callable[[], float],
        interval_s: float,
        folder: Path = Path("/proc/net"),
    ) -> None:
        super().__init__(table, reactor, clock, interval_s)
        self._folder = folder
        self._call: Any = None

    def start(self) -> None:
        """
        Read once.

        :raises OSError: there is no /proc/net/tcp that we may read.
        """
        with (self._folder / "tcp").open("rb"):
            pass
        self.up = True
        self.resync()

    def stop(self) -> None:
        """Stop reading."""
        self.up = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self.table.dumping:
            self.table.abandon_dump()

    def check_loss(self) -> bool:
        """Read again when it is time to; nothing can be lost here. Call about once a second."""
        if self.up and self._clock() >= self._next:
            self.resync()
        return False

    def resync(self) -> None:
        """Start a reading unless one is under way."""
        if self.table.dumping:
            return
        self.table.begin_dump()
        self._began = self._clock()
        self._busy_s = 0.0
        self._step(self._pieces())

    def _pieces(self) -> Iterator[list[str]]:
        """
        Yield the lines of each read.

        :raises OSError: a file cannot be read.
        """
        for name in ("tcp", "tcp6"):
            path = self._folder / name
            if name == "tcp6" and not path.exists():
                continue
            with path.open("rb", buffering=0) as stream:
                rest = b""
                while piece := stream.read(65536):
                    whole, _, rest = (rest + piece).rpartition(b"\n")
                    yield whole.decode("ascii", "replace").split("\n")

    def _step(self, pieces: Iterator[list[str]]) -> None:
        self._call = None
        started = now = self._clock()
        try:
            while now - started < TURN_S:
                lines = next(pieces, None)
                if lines is None:
                    self._read_whole(now)
                    return
                found, malformed = proc_tcp.parse(lines)
                self.malformed += malformed
                for each in found:
                    self.table.dumped(each, now)
                now = self._clock()
        except OSError as problem:
            self._log.warn("[tracker] /proc/net cannot be read: {why}", why=problem.strerror)
            self._give_up(now)
            return
        self._busy_s += now - started
        self._call = self._reactor.callLater(0, self._step, pieces)
