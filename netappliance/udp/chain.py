"""The filter chain: order, counters, and crashes that stay where they happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netappliance.metrics.histogram import Histogram
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop
from netappliance.udp.foreign import guarded

#: seconds; Quilkin's own steps
DURATION_BUCKETS = tuple(round(0.000125 * 2.5**step, 9) for step in range(11))
#: every so many datagrams one is timed
SAMPLE = 128
#: a filter that keeps raising is logged at most once in this time (seconds)
LOG_EVERY_S = 60.0


class FilterCounters:
    """What one filter of one service did in one direction; kept by name, so that it survives a reload."""

    __slots__ = ("dropped", "durations", "errors", "last_logged", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.dropped = 0
        self.errors = 0
        self.durations = Histogram(DURATION_BUCKETS)
        self.last_logged = float("-inf")


class Step:
    """One filter in one direction."""

    __slots__ = ("counters", "filter", "name")

    def __init__(self, name: str, made: DatagramFilter, counters: FilterCounters) -> None:
        self.name = name
        self.filter = made
        self.counters = counters


#: (filter name, "read" or "write") -> counters
Counters = dict[tuple[str, str], FilterCounters]


class FilterChain:
    """
    Runs datagrams through the filters.

    :param filters: (name, filter) in the order of the configuration.
    :param timer: seconds of a fine clock, for the sampled durations. :param counters: kept from the chain before, or
        empty. :param on_error: told of a filter that raised, at most once a minute each.
    :ivar reads, writes: False when no filter acts on that side, so that it can be skipped whole.
    """

    def __init__(
        self,
        filters: Sequence[tuple[str, Any]],
        counters: Counters | None = None,
        on_error: Callable[[str, BaseException], None] | None = None,
        timer: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.counters: Counters = counters if counters is not None else {}
        self._on_error = on_error
        self._timer = timer
        self._read = self._steps(filters, "read")
        self._write = self._steps(list(reversed(filters)), "write")
        self.reads = bool(self._read)
        self.writes = bool(self._write)
        self._turn = 0

    def _steps(self, filters: Sequence[tuple[str, Any]], side: str) -> list[Step]:
        steps = []
        for name, made in filters:
            # a side that is inherited from the base class does nothing and costs nothing
            if getattr(type(made), side, None) is getattr(DatagramFilter, side):
                continue
            counters = self.counters.setdefault((name, side), FilterCounters())
            steps.append(Step(name, guarded(made), counters))
        return steps

    def read(self, datagram: Datagram) -> Drop | None:
        """Client to backend, first to last; the first that drops ends it."""
        return self._run(self._read, datagram, write=False)

    def write(self, datagram: Datagram) -> Drop | None:
        """Backend to client, last to first."""
        return self._run(self._write, datagram, write=True)

    def _run(self, steps: list[Step], datagram: Datagram, *, write: bool) -> Drop | None:
        self._turn += 1
        if self._turn >= SAMPLE:
            self._turn = 0
            return self._run_timed(steps, datagram, write=write)
        for step in steps:
            counters = step.counters
            counters.seen += 1
            try:
                drop = step.filter.write(datagram) if write else step.filter.read(datagram)
            except Exception as error:  # noqa: BLE001 - a filter's bug costs one datagram
                return self._failed(step, error, datagram.now)
            if drop is not None:
                counters.dropped += 1
                return drop
        return None

    def _run_timed(self, steps: list[Step], datagram: Datagram, *, write: bool) -> Drop | None:
        for step in steps:
            counters = step.counters
            counters.seen += 1
            started = self._timer()
            try:
                drop = step.filter.write(datagram) if write else step.filter.read(datagram)
            except Exception as error:  # noqa: BLE001 - as above
                return self._failed(step, error, datagram.now)
            finally:
                counters.durations.observe(self._timer() - started)
            if drop is not None:
                counters.dropped += 1
                return drop
        return None

    def _failed(self, step: Step, error: BaseException, now: float) -> Drop:
        counters = step.counters
        counters.errors += 1
        if now - counters.last_logged >= LOG_EVERY_S:
            counters.last_logged = now
            if self._on_error is not None:
                self._on_error(step.name, error)
        return Drop.FILTER_ERROR
