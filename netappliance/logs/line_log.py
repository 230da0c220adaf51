"""A log of lines that is written in batches and never waits for its file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.application.service import Service
from twisted.logger import Logger

from netappliance.errors import StartError
from netappliance.logs.reopenable import ReopenableFile

_log = Logger()

FLUSH_S = 0.25
"""Lines wait at most this long for each other (seconds)."""

RETRY_S = 1.0
"""After a failed or short write the next attempt comes this much later (seconds)."""

COMPLAIN_S = 60.0
"""A failing file is logged at most once in this time (seconds)."""


class IDelayed(Protocol):
    """What ``call_later`` returns."""

    def cancel(self) -> None:
        """Forget the call."""


CallLater = Callable[[float, Callable[[], None]], IDelayed]


class LineLog(Service):
    """
    Lines collect for at most :data:`FLUSH_S` and go out in one write.

    While the file takes nothing (disk full, a pipe's reader stuck) up to ``buffer_bytes`` of lines wait; more are
    counted and lost. A line is never torn: what a short write left over goes first next time.

    :param what: the option that asks for the log, for messages. :param target: opened when the service starts.
    :param buffer_bytes: limit on lines that wait. :param call_later: the reactor's ``callLater``.
    :param clock: monotonic seconds.

    :ivar lines_total: lines made. :ivar dropped_total: lines lost. :ivar errors_total: writes and reopens that failed.
    """

    def __init__(
        self, what: str, target: ReopenableFile, buffer_bytes: int, call_later: CallLater, clock: Callable[[], float]
    ) -> None:
        self.lines_total = 0
        self.dropped_total = 0
        self.errors_total = 0
        self._what = what
        self._target = target
        self._limit = buffer_bytes
        self._call_later = call_later
        self._clock = clock
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._flush_call: IDelayed | None = None
        self._next_complaint = float("-inf")

    def put(self, text: str) -> None:
        """Let a line (with its newline) wait for the next write; what is not ASCII is escaped."""
        line = text.encode("ascii", "backslashreplace")
        self.lines_total += 1
        if self._waiting_bytes + len(line) > self._limit:
            self.dropped_total += 1
            return
        self._lines.append(line)
        self._waiting_bytes += len(line)
        if self._flush_call is None:
            self._flush_call = self._call_later(FLUSH_S, self._flush_now)

    def privilegedStartService(self) -> None:
        """
        Open the file.

        :raises StartError: it cannot be opened.
        """
        super().privilegedStartService()
        try:
            self._target.open()
        except OSError as error:
            raise StartError(f"{self._what}: cannot open {self._target.path}: {error.strerror}") from error

    def startService(self) -> None:
        """Open the file unless that is done."""
        if not self._target.is_open:
            self.privilegedStartService()
        super().startService()

    def stopService(self) -> None:
        """Write what waits and close; what the file does not take now is counted as dropped."""
        super().stopService()
        if self._flush_call is not None:
            self._flush_call.cancel()
            self._flush_call = None
        if self._target.is_open:
            self._write()
        self.dropped_total += len(self._lines)
        self._lines.clear()
        self._waiting_bytes = 0
        self._target.close()

    def reopen(self) -> None:
        """Write what waits into the old file, go on in a new one at the same path; a failure is logged and counted."""
        if not self._target.is_open:
            return
        self._write()
        try:
            self._target.reopen()
        except OSError as error:
            self._failed(error)

    def _flush_now(self) -> None:
        self._flush_call = None
        if not self._write():
            self._flush_call = self._call_later(RETRY_S, self._flush_now)

    def _write(self) -> bool:
        """Write all that waits; False when something is left."""
        if not self._lines:
            return True
        data = b"".join(self._lines)
        try:
            taken = self._target.write(data)
        except OSError as error:
            self._failed(error)
            return False
        self._forget(taken)
        return not self._lines

    def _forget(self, taken: int) -> None:
        self._waiting_bytes -= taken
        lines = self._lines
        while taken:
            first = lines.popleft()
            if taken < len(first):
                lines.appendleft(first[taken:])
                return
            taken -= len(first)

    def _failed(self, error: OSError) -> None:
        self.errors_total += 1
        now = self._clock()
        if now >= self._next_complaint:
            self._next_complaint = now + COMPLAIN_S
            _log.error(
                "{what} {path}: {error}; {dropped} lines lost so far",
                what=self._what,
                path=self._target.path,
                error=str(error),
                dropped=self.dropped_total,
            )
