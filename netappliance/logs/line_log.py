"""A log of lines that is written in batches and never waits for its file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, execute, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from netappliance.errors import StartError
from netappliance.logs.reopenable import ReopenableFile

_log = Logger()

FLUSH_S = 0.25
"""Lines wait at most this long for each other (seconds)."""

FLUSH_BYTES = 65536
"""So many bytes of lines, or half of what may wait, do not wait for more."""

RETRY_S = 1.0
"""After a failed or short write the next attempt comes this much later (seconds)."""

COMPLAIN_S = 60.0
"""A failing file is logged at most once in this time (seconds)."""


class IDelayed(Protocol):
    """What ``call_later`` returns."""

    def cancel(self) -> None:
        """Forget the call."""


CallLater = Callable[[float, Callable[[], None]], IDelayed]
Made = TypeVar("Made")


class AtOnce:
    """Runs what may wait for a disk here and now."""

    def run(self, call: Callable[[], Made]) -> Deferred[Made]:
        """Return what fires with the call's result, or fails with its exception, in the reactor's thread."""
        return execute(call)

    def stop(self) -> None:
        """End; nothing is under way."""


class LineLog(Service):
    """
    Lines collect for at most :data:`FLUSH_S` and go out in one write.

    While the file takes nothing (disk full, a pipe's reader stuck) or a write is under way up to ``buffer_bytes`` of
    lines wait; more are counted and lost. A line is never torn: what a short write left over goes first next time.

    :param what: the option that asks for the log, for messages. :param target: opened when the service starts.
    :param buffer_bytes: limit on lines that wait. :param call_later: the reactor's ``callLater``.
    :param clock: monotonic seconds. :param runner: runs writes and reopens, one at a time; without one they are done
        at once.

    :ivar lines_total: lines made. :ivar dropped_total: lines lost. :ivar errors_total: writes and reopens that failed.
    """

    def __init__(
        self,
        what: str,
        target: ReopenableFile,
        buffer_bytes: int,
        call_later: CallLater,
        clock: Callable[[], float],
        runner: AtOnce | None = None,
    ) -> None:
        self.lines_total = 0
        self.dropped_total = 0
        self.errors_total = 0
        self._what = what
        self._target = target
        self._limit = buffer_bytes
        self._call_later = call_later
        self._clock = clock
        self._runner = runner or AtOnce()
        self._lines: deque[str] = deque()
        #: of lines that wait or are being written
        self._waiting_bytes = 0
        self._enough = min(FLUSH_BYTES, buffer_bytes // 2)
        self._flush_call: IDelayed | None = None
        self._busy = False
        self._failing = False
        self._reopening = False
        self._stopped: Deferred[None] | None = None
        self._next_complaint = float("-inf")

    def put(self, text: str) -> None:
        """Let a line (with its newline) wait for the next write; what is not ASCII is escaped."""
        if not text.isascii():
            text = text.encode("ascii", "backslashreplace").decode("ascii")
        self.lines_total += 1
        waiting = self._waiting_bytes + len(text)
        if waiting > self._limit:
            self.dropped_total += 1
            return
        self._lines.append(text)
        self._waiting_bytes = waiting
        if self._flush_call is None:
            # a write that is under way calls for the next one itself
            if not self._busy:
                self._flush_call = self._call_later(FLUSH_S, self._flush_now)
        elif waiting >= self._enough and not self._failing:
            self._flush_call.cancel()
            self._flush_now()

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

    def stopService(self) -> Deferred[None]:
        """
        Write what waits and close; what the file does not take now is counted as dropped.

        :return: fires when the file is closed.
        """
        super().stopService()
        stopped = self._stopped = Deferred()
        if not self._busy:
            if self._target.is_open:
                self._write()
            else:
                self._end()
        return stopped

    def reopen(self) -> None:
        """Write what waits into the old file, go on in a new one at the same path; a failure is logged and counted."""
        if self._target.is_open:
            self._reopening = True
            if not self._busy:
                self._write()

    def _flush_now(self) -> None:
        self._flush_call = None
        self._write()

    def _write(self) -> None:
        """Have all that waits written, and after it reopen the file or end if that was asked for."""
        if self._flush_call is not None:
            self._flush_call.cancel()
            self._flush_call = None
        self._busy = True
        data = "".join(self._lines).encode("ascii")
        written = self._runner.run(partial(self._target.write, data)) if data else succeed(0)
        written.addErrback(self._failed, 0).addCallback(self._written, len(data), self._reopening)

    def _written(self, taken: int, given: int, reopening: bool) -> None:
        """:param reopening: asked for before the write began, so that what belongs into the old file is there now."""
        self._forget(taken)
        if reopening:
            self._reopening = False
            self._runner.run(self._target.reopen).addErrback(self._failed, None).addCallback(self._go_on, taken < given)
        else:
            self._go_on(None, taken < given)

    def _go_on(self, _: None, short: bool) -> None:
        self._busy = False
        self._failing = short
        if self._reopening or (self._stopped is not None and self._lines and not short):
            self._write()
        elif self._stopped is not None:
            self._end()
        elif self._lines:
            late = RETRY_S if short else 0.0 if self._waiting_bytes >= self._enough else FLUSH_S
            self._flush_call = self._call_later(late, self._flush_now)

    def _end(self) -> None:
        stopped, self._stopped = self._stopped, None
        self.dropped_total += len(self._lines)
        self._lines.clear()
        self._waiting_bytes = 0
        self._target.close()
        self._runner.stop()
        if stopped is not None:
            stopped.callback(None)

    def _forget(self, taken: int) -> None:
        self._waiting_bytes -= taken
        lines = self._lines
        while taken:
            first = lines.popleft()
            if taken < len(first):
                lines.appendleft(first[taken:])
                return
            taken -= len(first)

    def _failed(self, failure: Failure, instead: Made) -> Made:
        """Count and, at times, log; return the result to go on with."""
        self.errors_total += 1
        now = self._clock()
        if now >= self._next_complaint:
            self._next_complaint = now + COMPLAIN_S
            _log.error(
                "{what} {path}: {error}; {dropped} lines lost so far",
                what=self._what,
                path=self._target.path,
                error=failure.getErrorMessage(),
                dropped=self.dropped_total,
            )
        return instead
