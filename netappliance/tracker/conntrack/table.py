"""The kernel's connections as we know them: dump and events merged, loss repaired by a later dump. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from netappliance.tracker.conntrack.columns import (
    AT_STATE,
    CLOSE,
    COUNTED,
    CURRENT,
    ENDED,
    ESTABLISHED,
    FOUND,
    FREE,
    MET,
    STALE,
    TIMED,
    U32,
    Columns,
)
from netappliance.tracker.conntrack.ctnetlink import DESTROY, NEW, SEEN_REPLY, Change
from netappliance.tracker.conntrack.layout import FEW, Run
from netappliance.tracker.counting.places import Place, Places
from netappliance.tracker.counting.totals import FIN, OPEN, RST, STATE_GAUGE, UNOBSERVED, how_closed

_ADOPT = bytes((each & ~FOUND) | (COUNTED if each & FOUND else 0) for each in range(256))
_STALE_ALL = bytes((FREE, STALE, STALE)) + bytes(253)


MAX_LATE_S = 60.0
"""An event whose own time is further back than this is timed by our clock: the wall clock was set (seconds)."""


class Ending(NamedTuple):
    """What is known when a connection is forgotten: index of HOW, seconds that it lasted (-1: not known)."""

    how: int
    duration_s: float


Observer = Callable[[Change, Place, int, Ending | None, float], None]


class Table(Columns):
    """
    Connections by (original tuple, zone).

    At any time ``opened + adopted - closed`` of what is counted is the number of entries that have not ended.

    :ivar adopted: connections that a dump or an event brought and whose NEW event is missing.
    :ivar unobserved: entries that a dump, or another entry in their place, proved gone without an event.
    :ivar dumping: between ``begin_dump`` and the end of the sweep.
    :ivar on_event: told of every event that is not ignored, after it was taken: (change, place, state, ending, now).
    """

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self.adopted = 0
        self.unobserved = 0
        self.dumping = False
        self.on_event: Observer | None = None
        self._destroyed: dict[bytes, int] = {}
        self._ahead: list[tuple[bytes, Change]] = []
        self._found = 0
        self._swept = 0

    def begin_dump(self) -> None:
        """From here to the end of the sweep entries of a dump are expected, while events go on."""
        self._seen[:] = self._seen.translate(_STALE_ALL)
        self._destroyed = {}
        self._ahead.clear()
        self._found = 0
        self._swept = 0
        self.dumping = True

    def dumped_run(self, run: Run, now: float) -> None:
        """Take entries of a dump that have one layout, as :meth:`dumped` does but faster."""
        if len(run) < FEW or not run.is_plain():
            self.dumped(run.changes(), now)
            return
        keys = run.origs()
        # places that are free are filled before the table grows much beyond them
        if len(self._free) <= len(run) and (not self._destroyed or self._destroyed.keys().isdisjoint(keys)):
            found = self._add_all(keys, run, now)
            if found >= 0:
                self._found += found
                return
        known = bytes(map(self.slots.__contains__, keys))
        if 0 in known and 1 in known:
            for part in run.split(known):
                self.dumped_run(part, now)
        elif 0 in known:
            self.dumped(run.changes(), now)
        elif 1 in (changed := self._see_unchanged(keys, run)):
            self.dumped(run.split(changed)[1].changes(), now)

    def dumped(self, changes: Sequence[Change], now: float) -> None:
        """Take entries of a dump; events that came during the dump are newer than they are."""
        slots, seen, idents, destroyed = self.slots, self._seen, self._idents, self._destroyed
        for change in changes:
            key = change.orig + change.zone.to_bytes(2, "big") if change.zone else change.orig
            slot = slots.get(key, -1)
            if slot >= 0:
                if seen[slot] == CURRENT:
                    continue
                if idents[slot] == change.ident & U32:
                    seen[slot] = CURRENT
                    self._merge(slot, change, now, live=False)
                    continue
                # another connection in its place: the events that say so may be on their way
                self._ahead.append((key, change))
                continue
            if destroyed and destroyed.get(key) == change.ident:
                continue
            self._find(key, change, now)

    def _find(self, key: bytes, change: Change, now: float) -> None:
        """Store an entry that a dump brought."""
        slot = self._add(key, change, now)
        if not self._marks[slot] & ENDED:
            self._found += 1
        self._marks[slot] |= FOUND

    def _catch_up(self, now: float) -> None:
        """Take those entries of the dump of which its events, by now all taken, said nothing."""
        for key, change in self._ahead:
            slot = self.slots.get(key, -1)
            if slot >= 0 and self._idents[slot] == change.ident & U32:
                continue
            if self._destroyed.get(key) != change.ident:
                if slot >= 0:
                    self._lose(slot, now)
                self._find(key, change, now)
        self._ahead.clear()

    def sweep(self, now: float, limit: int) -> bool:
        """
        After the last entry of a dump: what was neither in it nor touched since is gone. Repeat while it returns True.

        :param limit: most entries to drop in this call.
        """
        if self._ahead:
            self._catch_up(now)
        for _ in range(limit):
            slot = self._seen.find(STALE, self._swept)
            if slot < 0:
                self.abandon_dump()
                self.complete = True
                return False
            self._swept = slot
            self._lose(slot, now)
        return True

    def abandon_dump(self) -> None:
        """The dump failed; what it brought stays, nothing is concluded from what it did not bring."""
        self.dumping = False
        self.adopted += self._found
        self._found = 0
        self._marks[:] = self._marks.translate(_ADOPT)
        self._destroyed = {}
        self._ahead.clear()

    def event(self, change: Change, now: float) -> None:
        """Take a NEW, UPDATE or DESTROY event; attributes it does not carry keep their value."""
        if change.event_ns > 0:  # the kernel's own time: we may have been late to read it
            at = change.event_ns / 1e9 - self.wall_offset
            if now - MAX_LATE_S < at < now:
                now = at
        key = change.orig + change.zone.to_bytes(2, "big") if change.zone else change.orig
        slot = self.slots.get(key, -1)
        if slot >= 0 and self._idents[slot] != change.ident & U32:
            self._lose(slot, now)
            slot = -1
        ending = None
        if change.kind == DESTROY:
            if self.dumping:
                self._destroyed[key] = change.ident
            if slot < 0:
                if not self.complete:
                    return  # from before we looked
                slot = self._add(key, change, now)
                self._adopt(slot)
            place, state = self._places[slot], self._states[slot] if change.state < 0 else change.state
            ending = self._destroy(slot, change, now)
        else:
            if slot < 0:
                slot = self._add(key, change, now)
                if change.kind != NEW:
                    self._adopt(slot)
            elif change.kind == NEW and self._marks[slot] & FOUND:
                self._reopen(slot)
            if change.kind == NEW and not self._marks[slot] & COUNTED:
                self._open(slot, change, now)
            self._seen[slot] = CURRENT
            self._merge(slot, change, now, live=True)
            place, state = self._places[slot], self._states[slot]
        if self.on_event is not None and place[1].group:
            self.on_event(change, place, state, ending, now)

    def _adopt(self, slot: int) -> None:
        """Its NEW event is missing for good."""
        if not self._marks[slot] & ENDED:
            self.adopted += 1
        self._marks[slot] |= COUNTED

    def _reopen(self, slot: int) -> None:
        """The dump was ahead of the event that we get now: the entry is not adopted but opened."""
        marks = self._marks[slot]
        if not marks & ENDED:
            self._found -= 1
        self._marks[slot] = marks & TIMED
        if self._traffic and not self.complete:
            totals = self._places[slot][1].traffic
            for index, column in enumerate(self._traffic):
                totals[index] += column[slot]

    def _open(self, slot: int, change: Change, now: float) -> None:
        """Count a connection whose NEW event came."""
        if change.start_ns <= 0 and not self._marks[slot] & TIMED:
            self._since[slot] = now
        self._marks[slot] |= COUNTED | TIMED
        self._places[slot][1].opened += 1

    def _merge(self, slot: int, change: Change, now: float, *, live: bool) -> None:
        """Take what a message says about a known entry; ``live``: it is an event, not a dump."""
        status, totals = change.status, self._places[slot][1]
        if status >= 0:
            self._status[slot] = status
        if totals.tcp:
            state = change.state
            if state >= 0 and state != self._states[slot]:
                self._states[slot] = state
                self._move(slot, STATE_GAUGE[state], now)
                if AT_STATE[state]:
                    self._arrive(slot, state, now, live=live)
        elif status >= 0 and status & SEEN_REPLY and self._gauges[slot] != OPEN:
            self._move(slot, OPEN, now)
            totals.established += live
        if change.orig_packets >= 0 or change.reply_packets >= 0:
            self._count_traffic(slot, change, totals)

    def _arrive(self, slot: int, state: int, now: float, *, live: bool) -> None:
        """A TCP connection is established or over."""
        marks, totals = self._marks[slot], self._places[slot][1]
        if state == ESTABLISHED:
            if not marks & MET:
                self._marks[slot] = marks | MET
                if live:
                    totals.established += 1
                    if marks & TIMED:
                        totals.handshakes.observe(max(0.0, now - self._since[slot]))
        elif not marks & ENDED:
            self._end(slot, RST if state == CLOSE else FIN, now - self._since[slot])

    def _end(self, slot: int, how: int, duration_s: float) -> None:
        marks, totals = self._marks[slot], self._places[slot][1]
        if marks & FOUND:  # its NEW event can no longer make a difference
            self._found -= 1
            self.adopted += 1
        self._marks[slot] = (marks & ~FOUND) | COUNTED | ENDED
        totals.closed[how] += 1
        if marks & TIMED:
            totals.durations.observe(max(0.0, duration_s))

    def _destroy(self, slot: int, change: Change, now: float) -> Ending:
        """Take a DESTROY event of a known entry."""
        totals, marks = self._places[slot][1], self._marks[slot]
        duration = (change.stop_ns - change.start_ns) / 1e9 if change.start_ns > 0 < change.stop_ns else -1.0
        if duration < 0 and marks & TIMED:
            duration = max(0.0, now - self._since[slot])
        state = change.state if change.state >= 0 else self._states[slot]
        status = self._status[slot] if change.status < 0 else change.status
        how = how_closed(totals.tcp, state, status, change.timeout)
        if not marks & ENDED:
            self._end(slot, how, duration)
        if change.orig_packets >= 0 or change.reply_packets >= 0:
            self._count_traffic(slot, change, totals)
        self._release(slot, now)
        return Ending(how, duration)

    def _lose(self, slot: int, now: float) -> None:
        """The entry is gone and no event said so."""
        self.unobserved += 1
        if not self._marks[slot] & ENDED:
            self._marks[slot] &= ~TIMED
            self._end(slot, UNOBSERVED, 0.0)
        self._release(slot, now)
