"""
What is known of each connection, in columns. Sans-I/O.

Columns instead of one object for each connection: the collector of garbage has nothing to visit in them, and a table of
200 000 costs it no pause.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from itertools import compress
from operator import ne
from typing import NamedTuple

from netappliance.tracker.conntrack.ctnetlink import SEEN_REPLY, TRANSLATED, Change, Ends, ends, inverse
from netappliance.tracker.conntrack.layout import NOT, Run
from netappliance.tracker.counting.hosts import Host
from netappliance.tracker.counting.places import Place, Places
from netappliance.tracker.counting.totals import OPEN, OPENING, STATE_GAUGE, Totals

_GROWTH = 4096
NO_STATE = 255
ESTABLISHED, TIME_WAIT, CLOSE = 3, 7, 8
#: values of the column ``seen``
FREE, STALE, CURRENT = range(3)
#: bits of the column ``marks``: opened or adopted, time of its beginning known, handshake seen or missed, ended, and
#: brought by the dump that is under way so that its NEW event may still come
COUNTED, TIMED, MET, ENDED, FOUND = 1, 2, 4, 8, 16
#: TCP states that a connection arrives at once -> marks of an entry that was in it already
AT_STATE = [0] * 256
AT_STATE[ESTABLISHED], AT_STATE[TIME_WAIT], AT_STATE[CLOSE] = MET, MET | ENDED, MET | ENDED
FOUND_AT_STATE = bytes(each | FOUND for each in AT_STATE)
#: low byte of ``status`` -> gauge of what has no state
_DATAGRAM_GAUGE = bytes(OPEN if each & SEEN_REPLY else OPENING for each in range(256))
U32 = 0xFFFFFFFF
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


class Columns:
    """
    A dictionary of slots, and a column for each thing known.

    :ivar slots: key -> slot; the key is the raw original tuple, with the zone's two bytes where there is one.
    :ivar complete: a dump was taken to its end.
    :ivar wall_offset: wall-clock seconds minus the appliance's clock, to place the kernel's timestamps.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.slots: dict[bytes, int] = {}
        self.complete = False
        self.wall_offset = 0.0
        self._free: list[int] = []
        self._used = 0
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

    def __len__(self) -> int:
        """Entries known."""
        return len(self.slots)

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
            -1 if state == NO_STATE else state,
            self._status[slot],
            self._idents[slot],
            self._since[slot],
            bool(self._marks[slot] & TIMED),
            totals.group,
            totals.direction,
            traffic,
        )

    def _add(self, key: bytes, change: Change, now: float) -> int:
        """Store an unknown entry; it is neither opened nor adopted yet."""
        slot = self._free.pop() if self._free else self._unused(1)
        _, orig, reply, _, status, state, _, ident, _, packets, _, replied, _, start_ns, _, _ = change
        if status < 0:
            status = 0
        translated = status & TRANSLATED
        host, totals = place = self.places.find(orig, reply, translated, now)
        self.slots[key] = slot
        self._keys[slot] = key
        self._places[slot] = place
        self._seen[slot] = CURRENT
        self._status[slot] = status
        self._idents[slot] = ident & U32
        self._since[slot] = now
        if totals.tcp:
            state &= 0xFF
            self._states[slot] = state
            gauge = STATE_GAUGE[state]
            self._marks[slot] = AT_STATE[state]
        else:
            self._states[slot] = NO_STATE
            gauge = OPEN if status & SEEN_REPLY else OPENING
        self._gauges[slot] = gauge
        host.gauges[gauge] += 1
        totals.gauges[gauge] += 1
        if start_ns > 0:
            self._since[slot] = min(now, start_ns / 1e9 - self.wall_offset)
            self._marks[slot] |= TIMED
        if translated or len(orig) not in _INVERTIBLE:
            self._replies[slot] = reply
        if packets >= 0 or replied >= 0:
            self._count_traffic(slot, change, totals if self.complete else None)
        return slot

    def _add_all(self, keys: list[bytes], run: Run, now: float) -> int:
        """
        Store plain entries of a dump at once, column by column: the first dump is of hundreds of thousands.

        :param keys: their original tuples.
        :return: how many of them have not ended; -1, and nothing is done, unless all are unknown.
        """
        count, first, before = len(keys), self._used, len(self.slots)
        end = first + count
        deque(map(self.slots.setdefault, keys, range(first, end)), 0)
        if len(self.slots) != before + count:
            for key in set(keys):
                if self.slots[key] >= first:
                    del self.slots[key]
            return -1
        self._unused(count)
        places = self.places.find_all(run.ways(), now)
        if run.has_states:
            states = run.states()
            gauges = states.translate(STATE_GAUGE)
        else:
            states = bytes((NO_STATE,)) * count
            gauges = run.low_status().translate(_DATAGRAM_GAUGE)
        for index, (host, totals) in enumerate(places):
            gauge = gauges[index]
            host.gauges[gauge] += 1
            totals.gauges[gauge] += 1
        self._keys[first:end] = keys
        self._places[first:end] = places
        self._gauges[first:end] = gauges
        self._states[first:end] = states
        self._marks[first:end] = states.translate(FOUND_AT_STATE)
        self._seen[first:end] = bytes((CURRENT,)) * count
        self._status[first:end] = run.numbers("status")
        self._idents[first:end] = run.numbers("ident")
        self._since[first:end] = array("d", (now,)) * count
        return count - states.count(TIME_WAIT) - states.count(CLOSE)

    def _see_unchanged(self, keys: list[bytes], run: Run) -> bytes:
        """
        Mark plain entries that are known as seen, where the dump says nothing new of them.

        :param keys: their original tuples.
        :return: a byte for each: 1 where it says something else.
        """
        slots = list(map(self.slots.__getitem__, keys))
        states = run.states() if run.has_states else bytes((NO_STATE,)) * len(run)
        before = zip(
            map(self._idents.__getitem__, slots),
            map(self._status.__getitem__, slots),
            map(self._states.__getitem__, slots),
            strict=True,
        )
        after = zip(run.numbers("ident"), run.numbers("status"), states, strict=True)
        changed = bytes(map(ne, before, after))
        for slot in compress(slots, changed.translate(NOT)):
            self._seen[slot] = CURRENT
        return changed

    def _unused(self, count: int) -> int:
        """Return the first of so many slots in a row that were never used."""
        first = self._used
        self._used += count
        if self._used > len(self._keys):
            more = max(count, _GROWTH)
            self._keys += [b""] * more
            self._places += [_NOWHERE] * more
            for column in (self._states, self._gauges, self._marks, self._seen):
                column.extend(bytes(more))
            for numbers in (self._status, self._idents, *self._traffic):
                numbers.frombytes(bytes(more * numbers.itemsize))
            self._since.frombytes(bytes(more * self._since.itemsize))
        return first

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

    def _release(self, slot: int, now: float) -> None:
        gauge = self._gauges[slot]
        host, totals = self._places[slot]
        host.gauges[gauge] -= 1
        host.used = now
        totals.gauges[gauge] -= 1
        del self.slots[self._keys[slot]]
        self._keys[slot] = b""
        self._places[slot] = _NOWHERE
        self._seen[slot] = FREE
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
