"""The table that merges dumps and events."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.conntrack.ctnetlink import DESTROY, NEW, UPDATE, Change
from netappliance.tracker.conntrack.table import Table
from netappliance.tracker.counting.hosts import Host, ignore_rule
from netappliance.tracker.counting.totals import HOW, Totals, how_closed
from tests.tracker.support import REMOTE, change, dump, raw_tuple, table_of

TIME_WAIT, CLOSE = 7, 8


class TableTests(SynchronousTestCase):
    """Dump and events merged."""

    def setUp(self) -> None:
        """Make a table for LOCAL with room for two series."""
        self.table = table_of((ignore_rule("192.0.2.8"),))

    def host(self) -> Host:
        """Return the one remote."""
        return self.table.places.hosts.find(REMOTE, 443, 0.0)

    def totals(self, protocol: str = "tcp", direction: str = "out") -> Totals:
        """Return what is counted."""
        return self.table.places.totals["other", direction, protocol]

    def closed(self) -> dict[str, int]:
        """Return the counters of ends that are not 0."""
        return {how: count for how, count in zip(HOW, self.totals().closed, strict=True) if count}

    def live(self, *lives: tuple[int, int], now: float = 1.0) -> None:
        """Let events of (kind, state) come, a second apart."""
        for index, (kind, state) in enumerate(lives):
            self.table.event(change(kind, state=state), now + index)

    def test_an_update_without_a_state_keeps_the_state(self) -> None:
        """The original exporter replaced its copy here and stopped counting."""
        self.live((NEW, 3), (UPDATE, -1))
        self.assertEqual(self.host().gauges, [0, 1, 0, 0, 0])

    def test_a_life_is_counted_once(self) -> None:
        """Opening, open, closing, gone by FIN; lasting until its end, not until the kernel forgets it."""
        self.live((NEW, 1), (UPDATE, 2), (UPDATE, 3), (UPDATE, 4), (UPDATE, TIME_WAIT))
        self.assertEqual(self.host().gauges, [0, 0, 1, 0, 0])
        self.assertEqual((self.totals().durations.sum, self.totals().handshakes.sum), (4.0, 2.0))
        self.live((DESTROY, TIME_WAIT), now=120.0)
        totals = self.totals()
        self.assertEqual((self.host().gauges, totals.opened, totals.established), ([0] * 5, 1, 1))
        self.assertEqual((self.closed(), totals.durations.sum, len(self.table)), ({"fin": 1}, 4.0, 0))

    def test_a_dump_does_not_revive_what_an_event_destroyed(self) -> None:
        """Events during a dump are newer than what the dump brings; the next connection of that tuple is another."""
        self.live((NEW, 3))
        self.table.begin_dump()
        self.live((DESTROY, 3))
        self.table.dumped([change(UPDATE, state=3)], 2)
        self.assertEqual(len(self.table), 0)
        self.table.dumped([change(UPDATE, state=3, ident=8)], 2)
        self.assertEqual((self.table.sweep(3, 9), len(self.table), self.table.adopted), (False, 1, 1))

    def test_a_dump_repairs_what_lost_events_left(self) -> None:
        """An entry that the dump lacks is closed, unobserved, without a duration; what it brings is adopted."""
        self.live((NEW, 3))
        dump(self.table, change(UPDATE, 40001, state=3))
        self.assertEqual((self.host().gauges, self.closed()), ([0, 1, 0, 0, 0], {"unobserved": 1}))
        self.assertEqual((self.table.unobserved, self.table.adopted, self.totals().durations.count), (1, 1, 0))

    def test_a_dump_ahead_of_the_events_does_not_hide_an_opening(self) -> None:
        """The entry's own events come after the dump brought it, even over already."""
        for state in (3, TIME_WAIT):
            with self.subTest(state=state):
                table = self.table = table_of()
                table.begin_dump()
                table.dumped([change(UPDATE, state=state)], 1)
                self.live((NEW, 1), (UPDATE, 3), (UPDATE, TIME_WAIT), (DESTROY, TIME_WAIT))
                self.assertFalse(table.sweep(2, 9))
                self.assertEqual((self.totals().opened, self.closed(), table.adopted), (1, {"fin": 1}, 0))

    def test_what_was_over_when_first_seen_is_not_counted(self) -> None:
        """Else every start would count all that the kernel remembers."""
        dump(self.table, change(UPDATE, state=TIME_WAIT), change(UPDATE, 40001, state=CLOSE))
        self.live((DESTROY, TIME_WAIT))
        self.assertEqual((self.table.adopted, self.closed(), len(self.table)), (0, {}, 1))

    def test_another_entry_in_the_place_of_one_whose_end_was_lost(self) -> None:
        """The same tuple with another id is another connection."""
        self.live((NEW, 3))
        self.table.event(change(NEW, state=1, ident=8), 2)
        self.assertEqual((self.totals().opened, self.closed(), len(self.table)), (2, {"unobserved": 1}, 1))
        dump(self.table, change(UPDATE, state=3, ident=9))
        self.assertEqual((self.table.unobserved, self.table.adopted), (2, 1))

    def test_a_dump_at_once_is_as_one_by_one(self) -> None:
        """Columns are filled together only where nothing is special; the outcome is the same."""
        plain = [change(UPDATE, port, state=port % 9, ident=port) for port in range(1, 40)]
        plain += [change(UPDATE, port, status=port & 2, protocol=17) for port in range(1, 40)]
        special: tuple[list[Change], ...] = (
            [],
            [change(UPDATE, 7000, state=3, zone=4)],
            [change(UPDATE, 7000, protocol=1)],
            [change(UPDATE, 7000, state=3, traffic=(1, 2, 3, 4))],
            [change(UPDATE, 7000, state=3, times=(10**9,))],
            [change(UPDATE, 7000, state=3, status=0x22)],
            [plain[3]],
        )
        for more in special:
            together, single = table_of(limit=9), table_of(limit=9)
            for table, batches in ((together, [plain + more]), (single, [[each] for each in plain + more])):
                table.begin_dump()
                for batch in batches:
                    table.dumped(batch, 5.0)
                self.assertFalse(table.sweep(5.0, 9))
            self.assertEqual(sorted(together.connections()), sorted(single.connections()))
            self.assertEqual((together.adopted, len(together)), (single.adopted, len(single)))
            for key, totals in together.places.totals.items():
                self.assertEqual(totals.gauges, single.places.totals[key].gauges)
            marks = [[table._marks[table.slots[key]] for key in sorted(table.slots)] for table in (together, single)]
            self.assertEqual(*marks)

    def test_a_failed_dump_proves_nothing(self) -> None:
        """What it did not bring stays, what it brought is kept."""
        self.live((NEW, 3))
        self.table.begin_dump()
        self.table.dumped([change(UPDATE, 40001, state=3)], 2)
        self.table.abandon_dump()
        self.assertEqual((len(self.table), self.table.adopted, self.table.complete), (2, 1, False))

    def test_the_sweep_is_paced(self) -> None:
        """Each call drops at most so many."""
        for port in range(10):
            self.table.event(change(NEW, port, state=3), 1)
        self.table.begin_dump()
        self.assertEqual([self.table.sweep(2, 4) for _ in range(3)], [True, True, False])
        self.assertEqual((len(self.table), self.table.unobserved), (0, 10))

    def test_ignored_connections_are_known_and_not_counted(self) -> None:
        """They are in the table for the sake of exactness alone."""
        self.table.event(change(NEW, destination=bytes((192, 0, 2, 8)), state=3), 1)
        self.assertEqual((len(self.table), self.table.places.totals), (1, {}))

    def test_datagrams(self) -> None:
        """Unanswered until the first answer, then open; how it ends is by timeout."""
        for kind, status in ((NEW, 0), (UPDATE, 2), (DESTROY, 2)):
            self.table.event(change(kind, protocol=17, status=status), 1)
        self.table.event(change(NEW, 5, protocol=17, status=0), 1)
        totals = self.totals("udp")
        self.assertEqual((totals.opened, totals.established, totals.gauges[:2]), (2, 1, [1, 0]))
        self.table.event(change(DESTROY, 5, protocol=17, status=0), 2)
        self.assertEqual([HOW[each] for each, count in enumerate(totals.closed) if count], ["timeout", "unanswered"])

    def test_traffic_is_counted_once(self) -> None:
        """From dumps and from the end; what flowed before the first dump is not ours to count."""
        dump(self.table, change(UPDATE, state=3, traffic=(10, 1000, 20, 2000)))
        self.assertEqual(self.totals().traffic, [0, 0, 0, 0])
        dump(self.table, change(UPDATE, state=3, traffic=(11, 1500, 20, 2000)))
        self.table.event(change(DESTROY, state=3, traffic=(12, 1600, 21, 2002)), 3)
        self.assertEqual(self.totals().traffic, [2, 600, 1, 2])
        self.live((NEW, 1))
        self.table.event(change(DESTROY, state=1, traffic=(1, 60, 0, 0)), 5)
        self.assertEqual(self.totals().traffic, [3, 660, 1, 2])

    def test_the_kernels_timestamps_tell_the_true_age(self) -> None:
        """Of a connection that was there before us."""
        self.table.wall_offset = 1000.0
        dump(self.table, change(UPDATE, state=3, times=(1005 * 10**9,)), now=65.0)
        found = next(self.table.connections())
        self.assertEqual((found.since, found.exact), (5.0, True))

    def test_events_carry_the_kernels_own_time(self) -> None:
        """It counts however late we read them; a time that cannot be is ours instead."""
        self.table.wall_offset = 1000.0
        lives = ((NEW, 1, 1010.0), (UPDATE, 3, 1010.25), (UPDATE, 4, 2000.0), (UPDATE, TIME_WAIT, 1012.5))
        for kind, state, at in lives:
            self.table.event(change(kind, state=state, event_ns=int(at * 1e9)), 15.0)
        totals = self.totals()
        self.assertEqual((totals.handshakes.sum, totals.durations.sum), (0.25, 2.5))
        self.table.event(change(NEW, 2, state=1, event_ns=900 * 10**9), 15.0)
        self.assertIn(15.0, [each.since for each in self.table.connections()])

    def test_a_translated_connection_shows_both_tuples(self) -> None:
        """NAT: the reply tuple is not the inverse; zones keep equal tuples apart."""
        back = raw_tuple(bytes((10, 9, 9, 9)), bytes((10, 0, 0, 1)), 8443, 40000)
        self.table.event(change(NEW, state=3, status=2 | 0x20, reply=back), 1)
        self.table.event(change(NEW, state=3, zone=5), 1)
        first, second = self.table.connections()
        self.assertEqual(
            (first.reply.source_port, first.zone, second.reply.source_port, second.zone), (8443, 0, 443, 5)
        )

    def test_how_a_connection_ended(self) -> None:
        """By its last state, whether it was answered and whether it came before its time."""
        cases = ((7, 2, -1, "fin"), (8, 2, 5, "rst"), (1, 0, 60, "refused"), (1, 0, -1, "unanswered"))
        for state, status, left, how in (*cases, (3, 2, -1, "timeout"), (3, 2, 999, "killed")):
            self.assertEqual(HOW[how_closed(True, state, status, left)], how)


class KernelModel:
    """A kernel's table: it sends events, of which some are lost, and a dump is read bit by bit while they go on."""

    def __init__(self, lossy: bool) -> None:
        self.lossy = lossy
        self.entries: dict[int, tuple[int, int]] = {}
        self.queue: list[Change] = []
        self.dump: list[Change] | None = None
        self.opened = self.ended = self.idents = 0
        self.over: set[int] = set()

    def step(self, table: Table, word: str, port: int, state: int, *, lose: bool) -> None:
        """One thing happens in the kernel or is read by us."""
        if word == "new" and port not in self.entries:
            self.idents += 1
            self.entries[port] = (self.idents, 1)
            self.opened += 1
            self.send(NEW, port, lose)
        elif word == "move" and port in self.entries and self.entries[port][1] < state:
            self.entries[port] = (self.entries[port][0], state)
            self.over_at(port, state in (TIME_WAIT, CLOSE))
            self.send(UPDATE, port, lose)
        elif word == "gone" and port in self.entries:
            self.over_at(port, True)
            self.send(DESTROY, port, lose)
            del self.entries[port]
        elif word == "take":
            self.take(table)
        elif word == "dump" and self.dump is None:
            self.take(table)
            table.begin_dump()
            self.dump = []
        elif word == "read" and self.dump is not None and port in self.entries:
            self.dump.append(self.say(UPDATE, port))
            if lose:
                table.dumped([self.dump.pop()], 1.0)

    def over_at(self, port: int, over: bool) -> None:
        """Count an end once."""
        ident = self.entries[port][0]
        if over and ident not in self.over:
            self.over.add(ident)
            self.ended += 1

    def say(self, kind: int, port: int) -> Change:
        """Return a message about an entry."""
        ident, state = self.entries[port]
        return change(kind, port, state=state, ident=ident)

    def send(self, kind: int, port: int, lose: bool) -> None:
        """Queue an event, or lose it."""
        if not (lose and self.lossy):
            self.queue.append(self.say(kind, port))

    def take(self, table: Table) -> None:
        """Read the events that wait."""
        for each in self.queue:
            table.event(each, 1.0)
        self.queue.clear()

    def settle(self, table: Table) -> None:
        """End the dump that is under way without a conclusion, and take a whole one."""
        self.take(table)
        if table.dumping:
            table.abandon_dump()
        dump(table, *(self.say(UPDATE, port) for port in self.entries))


steps = st.lists(
    st.tuples(
        st.sampled_from(("new", "move", "gone", "gone", "take", "dump", "read", "read")),
        st.integers(0, 4),
        st.sampled_from((1, 2, 3, 4, 7, 8)),
        st.booleans(),
    ),
    max_size=60,
)


class FaithfulnessTests(SynchronousTestCase):
    """Whatever is lost, a dump makes the table equal to the kernel's."""

    @settings(deadline=None, max_examples=200)
    @given(steps, st.booleans())
    def test_the_table_is_the_kernels_again(self, script: list[tuple[str, int, int, bool]], lossy: bool) -> None:
        """Counters add up at any time, and without loss openings and ends are exact."""
        table, kernel = table_of(limit=9), KernelModel(lossy)
        for word, port, state, lose in script:
            kernel.step(table, word, port, state, lose=lose)
            self.check_sums(table)
        kernel.settle(table)
        self.check_sums(table)
        known = {each.orig.source_port: (each.ident, each.state) for each in table.connections()}
        self.assertEqual(known, kernel.entries)
        if not lossy:
            totals = table.places.totals.get(("other", "out", "tcp"), Totals("", "", ""))
            self.assertEqual((totals.opened, table.unobserved, table.adopted), (kernel.opened, 0, 0))
            self.assertEqual(sum(totals.closed), kernel.ended)

    def check_sums(self, table: Table) -> None:
        """Check ``opened + adopted - closed == entries that have not ended``, and gauges equal the entries."""
        totals = table.places.totals.get(("other", "out", "tcp"), Totals("", "", ""))
        self.assertEqual(sum(totals.gauges), len(table))
        living = totals.opened + table.adopted + table._found - sum(totals.closed)
        self.assertEqual(living, sum(not table._marks[slot] & 8 for slot in table.slots.values()))
        shown = [sum(column) for column in zip(*(h.gauges for h in table.places.hosts.series()), strict=True)]
        self.assertEqual(shown, totals.gauges)
