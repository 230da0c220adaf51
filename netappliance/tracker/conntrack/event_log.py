"""The log of connection events, a line for each, within a rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from netappliance.logs.line_log import CallLater, LineLog
from netappliance.logs.reopenable import ReopenableFile
from netappliance.tracker.conntrack.ctnetlink import Change
from netappliance.tracker.conntrack.event_lines import json_line, netfilter_line
from netappliance.tracker.conntrack.table import Ending, Table
from netappliance.tracker.counting.places import Place

if TYPE_CHECKING:
    from netappliance.tracker.section import TrackerSection

BUFFER = 1 << 20
"""Bytes of lines that may wait while the file takes none."""


def event_log(
    section: TrackerSection, table: Table, call_later: CallLater, clock: Callable[[], float]
) -> EventLog | None:
    """Return the log that the section asks for; None for ``none``."""
    if section.event_log == "none":
        return None
    form, rate = section.event_log_format, section.event_log_rate
    return EventLog(table, section.event_log, form, rate, call_later, clock)


class EventLog(LineLog):
    """
    Observes a table.

    :param rate: lines a second, with bursts of as many; 0 = no limit. :param form: ``json`` or ``netfilter``.
    :ivar suppressed_total: events without a line because there were more than ``rate``.
    """

    def __init__(
        self, table: Table, path: str, form: str, rate: int, call_later: CallLater, clock: Callable[[], float]
    ) -> None:
        super().__init__("[tracker] event_log", ReopenableFile(path), BUFFER, call_later, clock)
        self.suppressed_total = 0
        self._table = table
        self._json = form == "json"
        self._rate = rate
        self._allowance = float(rate)
        self._last = clock()

    def startService(self) -> None:
        """Open the file and observe."""
        super().startService()
        self._table.on_event = self.event

    def stopService(self) -> Deferred[None]:
        """Observe no more, write what waits."""
        self._table.on_event = None
        return super().stopService()

    def event(self, change: Change, place: Place, state: int, ending: Ending | None, now: float) -> None:
        """Make a line, unless there are too many."""
        if self._rate:
            self._allowance = min(float(self._rate), self._allowance + (now - self._last) * self._rate)
            self._last = now
            if self._allowance < 1.0:
                self.suppressed_total += 1
                return
            self._allowance -= 1.0
        if self._json:
            self.put(json_line(change, place[1], state, ending, now + self._table.wall_offset))
        else:
            self.put(netfilter_line(change))
