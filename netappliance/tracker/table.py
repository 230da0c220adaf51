"""
The kernel's connections as we know them: dump and events merged, loss repaired by a later dump. Sans-I/O.

Columns instead of one object for each connection: the collector of garbage has nothing to visit in them, and a table of
200 000 costs it no pause.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from netappliance.tracker.ctnetlink import DESTROY, NEW, SEEN_REPLY, TRANSLATED, Change, Ends, ends, inverse
from netappliance.tracker.hosts import Host
from netappliance.tracker.places import Place, Places
from netappliance.tracker.totals import (
    FIN,
    OPEN,
    OPENING,
    RST,
    STATE_GAUGE,
    UNOBSERVED,
    Totals,
    how_closed,
)

_GROWTH = 4096
_NO_STATE = 255
_ESTABLISHED, _TIME_WAIT, _CLOSE = 3, 7, 8
#: values of the column ``seen``
_FREE, _STALE, _CURRENT = range(3)
#: bits of the column ``marks``: opened or adopted, time of its beginning known, handshake seen or missed, ended, and
#: brought by the dump that is under way so that its NEW event may still come
_COUNTED, _TIMED, _MET, _ENDED, _FOUND = 1, 2, 4, 8, 16
#: TCP states that a connection arrives at once -> marks of an entry that was in it already
_AT_STATE = [0] * 256
_AT_STATE[_ESTABLISHED], _AT_STATE[_TIME_WAIT], _AT_STATE[_CLOSE] = _MET, _MET | _ENDED, _MET | _ENDED
_ADOPT = bytes((each & ~_FOUND) | (_COUNTED if each & _FOUND else 0) for each in range(256))
_U32 = 0xFFFFFFFF
_STALE_ALL = bytes((_FREE, _STALE, _STALE)) + bytes(253)
#: lengths of raw tuples of port protocols over IPv4 and IPv6
_INVERTIBLE = (48, 72)


_NOWHERE: Place = (Host(""), Totals("", "", "other"))


class Connection(NamedTuple):
    """
    A connection to look at.

    ``zone`` 0 unless set; ``state`` TCP's 0-9 or -1; ``since`` on the appliance's clock: when it began, or was first
    seen where ``exact`` is False; ``traffic`` [packets, bytes, reply packets, reply bytes], zeros where not counted.
    """

    orig: Ends
    reply: Ends
    zone: int
    state: int
    status: int
    ident: int
    since: float
    exact: bool
    group: str
    direction: str
    traffic: tuple[int, ...]


class Ending(NamedTuple):
    """What is known when a connection is forgotten: index of HOW, seconds that it lasted (-1: not known)."""

    how: int
    duration_s: float


Observer = Callable[[Change, Place, int, Ending | None, float], None]


class Table:
    """
    Connections by (original tuple, zone): a dictionary of slots, and a column for each thing known.

    At any time ``opened + adopted - closed`` of what is counted is the number of entries that have not ended.

    :ivar slots: key -> slot; the key is the raw original tuple, with the zone's two bytes where there is one.
    :ivar adopted: connections that a dump or an event brought and whose NEW event is missing.
    :ivar unobserved: entries that a dump, or another entry in their place, proved gone without an event.
    :ivar dumping: between ``begin_dump`` and the end of the sweep. :ivar complete: a dump was taken to its end.
    :ivar on_event: told of every event that is not ignored, after it was taken: (change, place, state, ending, now).
    :ivar wall_offset: wall-clock seconds minus the appliance's clock, to place the kernel's timestamps.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.slots: dict[bytes, int] = {}
        self.adopted = 0
        self.unobserved = 0
        self.dumping = False
        self.complete = False
        self.wall_offset = 0.0
        self.on_event: Observer | None = None
        self._free: list[int] = []
        self._keys: list[bytes] = []
        self._places: list[Place] = []
        self._states = bytearray()
        self._gauges = bytearray()
        self._marks = bytearray()
        self._seen = bytearray()
        self._status = array("I")
        self._idents = array("I")
        self._since = array("d")
        self._traffic: tuple[array[int], ...] = ()
        self._replies: dict[int, bytes] = {}
        self._destroyed: dict[bytes, int] = {}
        self._found = 0
        self._swept = 0

    def __len__(self) -> int:
        """Entries known."""
        return len(self.slots)

    def begin_dump(self) -> None:
        """From here to the end of the sweep entries of a dump are expected, while events go on."""
        self._seen[:] = self._seen.translate(_STALE_ALL)
        self._destroyed = {}
        self._found = 0
        self._swept = 0
        self.dumping = True

    def dumped(self, changes: Iterable[Change], now: float) -> None:
        """Take entries of a dump; events that came during the dump are newer than they are."""
        slots, seen, idents, marks, destroyed = self.slots, self._seen, self._idents, self._marks, self._destroyed
        for change in changes:
            key = change.orig + change.zone.to_bytes(2, "big") if change.zone else change.orig
            slot = slots.get(key, -1)
            if slot >= 0:
                if seen[slot] == _CURRENT:
                    continue
                if idents[slot] == change.ident & _U32:
                    seen[slot] = _CURRENT
                    self._merge(slot, change, now, live=False)
                    continue
                self._lose(slot, now)
            elif destroyed and destroyed.get(key) == change.ident:
                continue
            slot = self._add(key, change, now)
            if not marks[slot] & _ENDED:
                self._found += 1
            marks[slot] |= _FOUND

    def sweep(self, now: float, limit: int) -> bool:
        """
        After the last entry of a dump: what was neither in it nor touched since is gone. Repeat while it returns True.

        :param limit: most entries to drop in this call.
        """
        for _ in range(limit):
            slot = self._seen.find(_STALE, self._swept)
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

    def event(self, change: Change, now: float) -> None:
        """Take a NEW, UPDATE or DESTROY event; attributes it does not carry keep their value."""
        key = change.orig + change.zone.to_bytes(2, "big") if change.zone else change.orig
        slot = self.slots.get(key, -1)
        if slot >= 0 and self._idents[slot] != change.ident & _U32:
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
            elif change.kind == NEW and self._marks[slot] & _FOUND:
                self._reopen(slot)
            if change.kind == NEW and not self._marks[slot] & _COUNTED:
                self._open(slot, change, now)
            self._seen[slot] = _CURRENT
            self._merge(slot, change, now, live=True)
            place, state = self._places[slot], self._states[slot]
        if self.on_event is not None and place[1].group:
            self.on_event(change, place, state, ending, now)

    def connections(self) -> Iterator[Connection]:
        """Yield every connection; the table must not change meanwhile."""
        for slot in self.slots.values():
            found = self.connection(slot)
            if found is not None:
                yield found

    def connection(self, slot: int) -> Connection | None:
        """Return what is known of one; None where its tuple is of no known family."""
        raw, zone = self._keys[slot], 0
        if len(raw) % 4:
            raw, zone = raw[:-2], int.from_bytes(raw[-2:], "big")
        orig = ends(raw)
        reply = ends(self._replies[slot] if slot in self._replies else inverse(raw))
        if orig is None or reply is None:
            return None
        totals, state = self._places[slot][1], self._states[slot]
        traffic = tuple(column[slot] for column in self._traffic) or (0, 0, 0, 0)
        return Connection(
            orig,
            reply,
            zone,
            -1 if state == _NO_STATE else state,
            self._status[slot],
            self._idents[slot],
            self._since[slot],
            bool(self._marks[slot] & _TIMED),
            totals.group,
            totals.direction,
            traffic,
        )

    def _add(self, key: bytes, change: Change, now: float) -> int:
        """Store an unknown entry; it is neither opened nor adopted yet."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        _, orig, reply, _, status, state, _, ident, _, packets, _, replied, _, start_ns, _, _ = change
        if status < 0:
            status = 0
        translated = status & TRANSLATED
        place = self.places.find(orig, reply, translated, now)
        host, totals = place
        self.slots[key] = slot
        self._keys[slot] = key
        self._places[slot] = place
        self._seen[slot] = _CURRENT
        self._status[slot] = status
        self._idents[slot] = ident & _U32
        self._since[slot] = now
        if totals.tcp:
            state &= 0xFF
            self._states[slot] = state
            gauge = STATE_GAUGE[state]
            self._marks[slot] = _AT_STATE[state]
        else:
            self._states[slot] = _NO_STATE
            gauge = OPEN if status & SEEN_REPLY else OPENING
        self._gauges[slot] = gauge
        host.gauges[gauge] += 1
        totals.gauges[gauge] += 1
        if start_ns > 0:
            self._since[slot] = min(now, start_ns / 1e9 - self.wall_offset)
            self._marks[slot] |= _TIMED
        if translated or len(orig) not in _INVERTIBLE:
            self._replies[slot] = reply
        if packets >= 0 or replied >= 0:
            self._count_traffic(slot, change, totals if self.complete else None)
        return slot

    def _grow(self) -> None:
        old = len(self._keys)
        self._keys += [b""] * _GROWTH
        self._places += [_NOWHERE] * _GROWTH
        for column in (self._states, self._gauges, self._marks, self._seen):
            column.extend(bytes(_GROWTH))
        for numbers in (self._status, self._idents, *self._traffic):
            numbers.frombytes(bytes(_GROWTH * numbers.itemsize))
        self._since.frombytes(bytes(_GROWTH * self._since.itemsize))
        self._free.extend(range(old + _GROWTH - 1, old - 1, -1))

    def _adopt(self, slot: int) -> None:
        """Its NEW event is missing for good."""
        if not self._marks[slot] & _ENDED:
            self.adopted += 1
        self._marks[slot] |= _COUNTED

    def _reopen(self, slot: int) -> None:
        """The dump was ahead of the event that we get now: the entry is not adopted but opened."""
        marks = self._marks[slot]
        if not marks & _ENDED:
            self._found -= 1
        self._marks[slot] = marks & _TIMED
        if self._traffic and not self.complete:
            totals = self._places[slot][1].traffic
            for index, column in enumerate(self._traffic):
                totals[index] += column[slot]

    def _open(self, slot: int, change: Change, now: float) -> None:
        """Count a connection whose NEW event came."""
        if change.start_ns <= 0 and not self._marks[slot] & _TIMED:
            self._since[slot] = now
        self._marks[slot] |= _COUNTED | _TIMED
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
                if _AT_STATE[state]:
                    self._arrive(slot, state, now, live=live)
        elif status >= 0 and status & SEEN_REPLY and self._gauges[slot] != OPEN:
            self._move(slot, OPEN, now)
            totals.established += live
        if change.orig_packets >= 0 or change.reply_packets >= 0:
            self._count_traffic(slot, change, totals)

    def _move(self, slot: int, gauge: int, now: float) -> None:
        old = self._gauges[slot]
        if old != gauge:
            self._gauges[slot] = gauge
            host, totals = self._places[slot]
            host.gauges[old] -= 1
            host.gauges[gauge] += 1
            host.used = now
            totals.gauges[old] -= 1
            totals.gauges[gauge] += 1

    def _arrive(self, slot: int, state: int, now: float, *, live: bool) -> None:
        """A TCP connection is established or over."""
        marks, totals = self._marks[slot], self._places[slot][1]
        if state == _ESTABLISHED:
            if not marks & _MET:
                self._marks[slot] = marks | _MET
                if live:
                    totals.established += 1
                    if marks & _TIMED:
                        totals.handshakes.observe(max(0.0, now - self._since[slot]))
        elif not marks & _ENDED:
            self._end(slot, RST if state == _CLOSE else FIN, now - self._since[slot])

    def _end(self, slot: int, how: int, duration_s: float) -> None:
        marks, totals = self._marks[slot], self._places[slot][1]
        if marks & _FOUND:  # its NEW event can no longer make a difference
            self._found -= 1
            self.adopted += 1
        self._marks[slot] = (marks & ~_FOUND) | _COUNTED | _ENDED
        totals.closed[how] += 1
        if marks & _TIMED:
            totals.durations.observe(max(0.0, duration_s))

    def _destroy(self, slot: int, change: Change, now: float) -> Ending:
        """Take a DESTROY event of a known entry."""
        totals, marks = self._places[slot][1], self._marks[slot]
        duration = (change.stop_ns - change.start_ns) / 1e9 if change.start_ns > 0 < change.stop_ns else -1.0
        if duration < 0 and marks & _TIMED:
            duration = max(0.0, now - self._since[slot])
        state = change.state if change.state >= 0 else self._states[slot]
        status = self._status[slot] if change.status < 0 else change.status
        how = how_closed(totals.tcp, state, status, change.timeout)
        if not marks & _ENDED:
            self._end(slot, how, duration)
        if change.orig_packets >= 0 or change.reply_packets >= 0:
            self._count_traffic(slot, change, totals)
        self._release(slot, now)
        return Ending(how, duration)

    def _lose(self, slot: int, now: float) -> None:
        """The entry is gone and no event said so."""
        self.unobserved += 1
        if not self._marks[slot] & _ENDED:
            self._marks[slot] &= ~_TIMED
            self._end(slot, UNOBSERVED, 0.0)
        self._release(slot, now)

    def _release(self, slot: int, now: float) -> None:
        gauge = self._gauges[slot]
        host, totals = self._places[slot]
        host.gauges[gauge] -= 1
        host.used = now
        totals.gauges[gauge] -= 1
        del self.slots[self._keys[slot]]
        self._keys[slot] = b""
        self._places[slot] = _NOWHERE
        self._seen[slot] = _FREE
        self._marks[slot] = 0
        self._replies.pop(slot, None)
        for column in self._traffic:
            column[slot] = 0
        self._free.append(slot)

    def _count_traffic(self, slot: int, change: Change, totals: Totals | None) -> None:
        """Keep the entry's counters and add what is new to the totals (None: it was before we looked)."""
        if not self._traffic:
            self._traffic = tuple(array("Q", bytes(8 * len(self._keys))) for _ in range(4))
        numbers = change.orig_packets, change.orig_bytes, change.reply_packets, change.reply_bytes
        for index, (column, value) in enumerate(zip(self._traffic, numbers, strict=True)):
            if value < 0:
                continue
            if totals is not None:
                before = column[slot]
                totals.traffic[index] += value - before if value >= before else value
            column[slot] = value
