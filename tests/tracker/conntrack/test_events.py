"""Events, dumps and their order: what is counted when, and what observers are told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.conntrack.ctnetlink import DESTROY, NEW, UPDATE, Change
from netappliance.tracker.conntrack.table import Ending, Table
from netappliance.tracker.counting.hosts import ignore_rule
from netappliance.tracker.counting.places import Place
from netappliance.tracker.counting.totals import FIN, HOW, RST, TIMEOUT, UNANSWERED, Totals
from tests.tracker.support import REMOTE, change, dump, table_of

TIME_WAIT, CLOSE = 7, 8
S = 10**9


class EventTestCase(SynchronousTestCase):
    """A table with room for everybody."""

    def setUp(self) -> None:
        """Know nothing."""
        self.table = table_of(limit=9)

    def totals(self, protocol: str = "tcp") -> Totals:
        """What is counted of connections that this host opened."""
        return self.table.places.totals_of("other", "out", protocol)

    def closed(self, protocol: str = "tcp") -> dict[str, int]:
        """Counters of ends that are not 0."""
        return {how: count for how, count in zip(HOW, self.totals(protocol).closed, strict=True) if count}

    def counted(self) -> tuple[int, int, int, dict[str, int]]:
        """(opened, adopted, unobserved, ends)."""
        return self.totals().opened, self.table.adopted, self.table.unobserved, self.closed()

    def traffic(self) -> list[int]:
        """Packets and bytes each way."""
        return self.totals().traffic

    def bring(self, *changes: Change, now: float = 1.0) -> None:
        """Begin a dump that brings these."""
        self.table.begin_dump()
        self.table.dumped(changes, now)

    def sweep(self, now: float = 9.0) -> None:
        """End it."""
        while self.table.sweep(now, 2):
            pass


class AdoptionTests(EventTestCase):
    """Connections whose NEW event is missing."""

    def test_an_update_of_an_unknown_one(self) -> None:
        """Adopted once, and counted at its end; one that is over already is not."""
        for state in (2, 3, 4):
            self.table.event(change(UPDATE, state=state), 1.0)
        self.assertEqual(self.counted(), (0, 1, 0, {}))
        self.table.event(change(UPDATE, 2, state=TIME_WAIT), 1.0)
        self.table.event(change(UPDATE, 3, state=CLOSE), 1.0)
        self.assertEqual(self.counted(), (0, 1, 0, {}))
        self.table.event(change(DESTROY, state=4), 2.0)
        self.assertEqual(self.counted(), (0, 1, 0, {"fin": 1}))
        self.assertEqual((self.totals().durations.count, self.totals().handshakes.count), (0, 0))

    def test_the_end_of_an_unknown_one(self) -> None:
        """Before the first dump was taken it is from before us; then it is adopted, and ends."""
        self.table.event(change(DESTROY, state=3), 1.0)
        self.assertEqual((self.counted(), len(self.table)), ((0, 0, 0, {}), 0))
        dump(self.table)
        self.table.event(change(DESTROY, state=3), 2.0)
        self.assertEqual((self.counted(), len(self.table)), ((0, 1, 0, {"timeout": 1}), 0))
        self.table.event(change(DESTROY, state=TIME_WAIT), 3.0)
        self.assertEqual(self.counted(), (0, 1, 0, {"timeout": 1}))

    def test_what_a_dump_brings_is_adopted_at_its_end(self) -> None:
        """Unless its NEW event comes; once it has ended, its event makes no difference any more."""
        self.bring(*(change(UPDATE, port, state=3) for port in range(4)))
        self.assertEqual(self.counted(), (0, 0, 0, {}))
        self.table.event(change(NEW, 0, state=3), 2.0)
        self.table.event(change(UPDATE, 1, state=TIME_WAIT), 2.0)
        self.table.event(change(DESTROY, 2, state=3), 2.0)
        self.assertEqual(self.counted(), (1, 2, 0, {"fin": 1, "timeout": 1}))
        self.table.event(change(NEW, 1, state=1), 2.5)
        self.sweep()
        self.assertEqual(self.counted(), (1, 3, 0, {"fin": 1, "timeout": 1}))
        self.assertEqual(len(self.table), 3)

    def test_a_dump_that_failed_adopts_what_it_brought_too(self) -> None:
        """Events that come then find it counted."""
        self.bring(change(UPDATE, state=3), change(UPDATE, 1, state=TIME_WAIT))
        self.table.abandon_dump()
        self.assertEqual((self.counted(), self.table.dumping, self.table.complete), ((0, 1, 0, {}), False, False))
        self.table.event(change(NEW, state=1), 2.0)
        self.assertEqual(self.counted(), (0, 1, 0, {}))

    def test_entries_of_many_dumps_are_adopted_once(self) -> None:
        """Those that stay are what they are."""
        for _ in range(3):
            dump(self.table, change(UPDATE, state=3), change(UPDATE, 1, protocol=17))
        self.assertEqual((self.table.adopted, len(self.table), self.table.unobserved), (2, 2, 0))


class DumpTests(EventTestCase):
    """Entries against events."""

    def test_an_entry_that_events_touched_since_is_older_than_they_are(self) -> None:
        """One that they did not touch says what is true now."""
        for port in (1, 2):
            self.table.event(change(NEW, port, state=1), 1.0)
        self.table.begin_dump()
        self.table.event(change(UPDATE, 1, state=4), 1.0)
        self.table.dumped([change(UPDATE, 1, state=3), change(UPDATE, 2, state=3)], 2.0)
        states = {each.orig.source_port: each.state for each in self.table.connections()}
        self.assertEqual(states, {1: 4, 2: 3})
        self.assertEqual((self.totals().established, self.totals().handshakes.count), (0, 0))
        self.sweep()
        self.assertEqual(len(self.table), 2)

    def test_zones_are_told_apart_in_dumps_and_events(self) -> None:
        """The same tuple in another zone is another connection; in the same zone it is the same one."""
        for zone in (0, 1, 0x1234):
            self.table.event(change(NEW, state=1, zone=zone), 1.0)
        dump(self.table, *(change(UPDATE, state=3, zone=zone) for zone in (0, 1, 0x1234)))
        self.assertEqual((len(self.table), self.counted()), (3, (3, 0, 0, {})))
        self.table.event(change(DESTROY, state=3, zone=0x1234), 2.0)
        self.assertEqual(sorted(each.zone for each in self.table.connections()), [0, 1])

    def test_what_ended_during_the_dump_is_not_brought_back(self) -> None:
        """By its id: the next one of that tuple is another; also with a zone, and when nobody knew it."""
        dump(self.table)
        self.table.begin_dump()
        self.table.event(change(DESTROY, 1, state=3, ident=7), 1.0)
        self.table.event(change(DESTROY, 2, state=3, ident=7, zone=5), 1.0)
        entries = [
            change(UPDATE, port, state=3, ident=ident, zone=zone)
            for port, ident, zone in ((1, 7, 0), (2, 7, 5), (1, 8, 5), (2, 8, 0), (2, 9, 5))
        ]
        self.table.dumped(entries, 2.0)
        self.sweep()
        found = {(each.orig.source_port, each.zone, each.ident) for each in self.table.connections()}
        self.assertEqual(found, {(1, 5, 8), (2, 0, 8), (2, 5, 9)})
        self.table.begin_dump()
        self.table.dumped(entries[:1], 3.0)
        self.assertIn((1, 0), {(each.orig.source_port, each.zone) for each in self.table.connections()})

    def test_another_connection_in_the_place_of_a_known_one(self) -> None:
        """The events that say so may be on their way; without them the known one ended unobserved."""
        old, new = change(NEW, state=3, ident=1), change(UPDATE, state=2, ident=2)
        # neither event comes
        self.table.event(old, 1.0)
        self.bring(new)
        self.assertEqual([each.ident for each in self.table.connections()], [1])
        self.sweep()
        self.assertEqual([each.ident for each in self.table.connections()], [2])
        self.assertEqual(self.counted(), (1, 1, 1, {"unobserved": 1}))
        # both come
        self.setUp()
        self.table.event(old, 1.0)
        self.bring(new)
        self.table.event(change(DESTROY, state=TIME_WAIT, ident=1), 2.0)
        self.table.event(change(NEW, state=1, ident=2), 2.0)
        self.sweep()
        self.assertEqual(self.counted(), (2, 0, 0, {"fin": 1}))
        self.assertEqual([(each.ident, each.state) for each in self.table.connections()], [(2, 1)])
        # only the end of the known one comes
        self.setUp()
        self.table.event(old, 1.0)
        self.bring(new)
        self.table.event(change(DESTROY, state=TIME_WAIT, ident=1), 2.0)
        self.sweep()
        self.assertEqual(self.counted(), (1, 1, 0, {"fin": 1}))
        self.assertEqual([(each.ident, each.state) for each in self.table.connections()], [(2, 2)])
        # the new one came and went, too
        self.setUp()
        self.table.event(old, 1.0)
        self.bring(new)
        for each in (
            change(DESTROY, state=7, ident=1),
            change(NEW, state=1, ident=2),
            change(DESTROY, state=7, ident=2),
        ):
            self.table.event(each, 2.0)
        self.sweep()
        self.assertEqual((self.counted(), len(self.table)), ((2, 0, 0, {"fin": 2}), 0))

    def test_ids_have_32_bits(self) -> None:
        """As the table keeps them."""
        wide = change(UPDATE, state=3)._replace(ident=0x1_0000_0007)
        self.table.event(change(NEW, state=3, ident=7), 1.0)
        dump(self.table, wide)
        self.table.event(wide, 2.0)
        self.assertEqual((len(self.table), self.counted()), (1, (1, 0, 0, {})))

    def test_nothing_is_left_of_a_dump_that_was_given_up(self) -> None:
        """Neither its ends nor what waited for its events."""
        self.table.event(change(NEW, state=3, ident=1), 1.0)
        self.bring(change(UPDATE, state=3, ident=2))
        self.table.event(change(DESTROY, 5, state=3), 1.0)
        self.table.abandon_dump()
        dump(self.table, change(UPDATE, state=3, ident=1), change(UPDATE, 5, state=3))
        self.assertEqual((len(self.table), self.counted()), (2, (1, 1, 0, {})))

    def test_the_sweep_ends_with_a_complete_table(self) -> None:
        """Not before; so many entries go in each call."""
        for port in range(4):
            self.table.event(change(NEW, port, state=3), 1.0)
        self.table.begin_dump()
        self.assertEqual((self.table.dumping, self.table.complete), (True, False))
        self.assertTrue(self.table.sweep(2.0, 4))
        self.assertEqual((len(self.table), self.table.dumping), (0, True))
        self.assertFalse(self.table.sweep(2.0, 1))
        self.assertEqual((self.table.dumping, self.table.complete), (False, True))


class TimeTests(EventTestCase):
    """How long things took."""

    def test_handshakes_and_durations(self) -> None:
        """Fractions of seconds; from NEW to ESTABLISHED, and to the first state that is an end."""
        for kind, state, now in (
            (NEW, 1, 1.0),
            (UPDATE, 3, 1.25),
            (UPDATE, 4, 1.5),
            (UPDATE, 7, 1.75),
            (DESTROY, 7, 99),
        ):
            self.table.event(change(kind, state=state), now)
        totals = self.totals()
        self.assertEqual((totals.handshakes.sum, totals.durations.sum, totals.established), (0.25, 0.75, 1))
        self.assertEqual((totals.handshakes.count, totals.durations.count), (1, 1))

    def test_the_event_knows_the_beginning_better_than_the_dump(self) -> None:
        """Which came later, and had no time of it."""
        self.table.wall_offset = 1000.0
        self.bring(change(UPDATE, state=2), now=20.0)
        self.table.event(change(NEW, state=1, event_ns=1012 * S), 21.0)
        self.table.event(change(UPDATE, state=3, event_ns=1015 * S), 22.0)
        self.assertEqual(self.totals().handshakes.sum, 3.0)
        (found,) = self.table.connections()
        self.assertEqual((found.since, found.exact), (12.0, True))

    def test_times_never_are_negative(self) -> None:
        """When clocks disagree."""
        self.table.wall_offset = 1000.0
        self.table.event(change(NEW, state=1), 20.0)
        self.table.event(change(UPDATE, state=3, event_ns=1015 * S), 21.0)
        self.table.event(change(UPDATE, state=TIME_WAIT, event_ns=1016 * S), 22.0)
        totals = self.totals()
        self.assertEqual((totals.handshakes.sum, totals.handshakes.count), (0.0, 1))
        self.assertEqual((totals.durations.sum, totals.durations.count), (0.0, 1))

    def test_a_second_established_counts_nothing(self) -> None:
        """A tuple that is used again without its end is one connection."""
        for state in (1, 3, 4, 3, TIME_WAIT, 3, CLOSE):
            self.table.event(change(NEW if state == 1 else UPDATE, state=state), 1.0)
        totals = self.totals()
        self.assertEqual((totals.established, totals.handshakes.count, self.closed()), (1, 1, {"fin": 1}))

    def test_the_kernels_own_time_of_an_event(self) -> None:
        """Up to a minute back; at a minute, or ahead of us, our clock counts."""
        self.table.wall_offset = 1000.0
        for port, (at, since) in enumerate(
            ((1040.5, 40.5), (1040.0, 100.0), (1039.0, 100.0), (1099.5, 99.5), (1100.0, 100.0), (1101.0, 100.0))
        ):
            self.table.event(change(NEW, port, state=1, event_ns=int(at * S)), 100.0)
            found = {each.orig.source_port: each.since for each in self.table.connections()}
            self.assertEqual(found[port], since)

    def test_the_kernels_own_times_of_a_connection(self) -> None:
        """Start and stop where both are there, else from what we saw; never below zero."""
        told: list[Ending | None] = []
        self.table.on_event = lambda change, place, state, ending, now: told.append(ending)
        self.table.event(change(NEW, 1, state=3), 10.0)
        self.table.event(change(DESTROY, 1, state=4, times=(5 * S, 9 * S + S // 2)), 11.0)
        self.table.event(change(NEW, 2, state=3), 10.0)
        self.table.event(change(DESTROY, 2, state=4, times=(5 * S,)), 11.5)
        self.table.event(change(NEW, 3, state=3), 10.0)
        self.table.event(change(DESTROY, 3, state=4), 9.0)
        self.table.event(change(UPDATE, 4, state=3), 10.0)
        self.table.event(change(DESTROY, 4, state=4), 19.0)
        endings = [ending for ending in told if ending is not None]
        self.assertEqual(endings, [(FIN, 4.5), (FIN, 1.5), (FIN, 0.0), (FIN, -1.0)])
        self.assertEqual((self.totals().durations.sum, self.totals().durations.count), (6.0, 3))

    def test_a_start_that_the_kernel_gives_makes_the_duration_known(self) -> None:
        """Also of what was there before us."""
        self.table.wall_offset = 1000.0
        self.bring(change(UPDATE, state=3, times=(1001 * S,)), now=5.0)
        self.sweep()
        self.table.event(change(UPDATE, state=TIME_WAIT), 6.5)
        self.assertEqual((self.totals().durations.sum, self.totals().durations.count), (5.5, 1))
        self.table.event(change(NEW, 2, state=1, times=(1003 * S,)), 7.0)
        self.table.event(change(UPDATE, 2, state=3), 7.0)
        self.assertEqual(self.totals().handshakes.sum, 4.0)

    def test_what_a_dump_made_known_of_states_is_not_timed(self) -> None:
        """Nobody saw when it happened; an end that it tells counts all the same."""
        for port in (1, 2):
            self.table.event(change(NEW, port, state=1), 1.0)
        dump(self.table, change(UPDATE, 1, state=3), change(UPDATE, 2, state=CLOSE), now=4.0)
        totals = self.totals()
        self.assertEqual((totals.established, totals.handshakes.count, self.closed()), (0, 0, {"rst": 1}))
        self.assertEqual((totals.durations.sum, totals.gauges), (3.0, [0, 1, 0, 1, 0]))

    def test_lost_ones_have_no_duration(self) -> None:
        """Unless they had ended before they were lost."""
        self.table.event(change(NEW, 1, state=3), 1.0)
        self.table.event(change(NEW, 2, state=3), 1.0)
        self.table.event(change(UPDATE, 2, state=TIME_WAIT), 3.0)
        dump(self.table, now=9.0)
        totals = self.totals()
        self.assertEqual((self.closed(), self.table.unobserved), ({"fin": 1, "unobserved": 1}, 2))
        self.assertEqual((totals.durations.sum, totals.durations.count, totals.gauges), (2.0, 1, [0] * 5))


class EndTests(EventTestCase):
    """How connections end."""

    def test_the_last_state_and_status_that_are_known(self) -> None:
        """The message's own where it has them, 0 included."""
        for port, known, last, how in (
            (1, {"state": 3, "status": 2}, {"state": 4, "status": 2}, FIN),
            (2, {"state": 4, "status": 2}, {"state": -1, "status": 2}, FIN),
            (3, {"state": 3, "status": 2}, {"state": CLOSE, "status": 2}, RST),
            (4, {"state": 1, "status": 2}, {"state": 1, "status": 0}, UNANSWERED),
            (5, {"state": 1, "status": 0}, {"state": 1, "status": 2}, TIMEOUT),
            (6, {"state": 4, "status": 2}, {"state": 0, "status": 2}, TIMEOUT),
        ):
            before = list(self.totals().closed)
            self.table.event(change(NEW, port, **known), 1.0)
            self.table.event(change(DESTROY, port, **last), 2.0)
            after = self.totals().closed
            self.assertEqual([index for index in range(7) if after[index] != before[index]], [how], port)
        self.table.event(change(NEW, 9, state=1, status=0), 1.0)
        self.table.event(change(DESTROY, 9, state=1)._replace(status=-1), 2.0)
        self.assertEqual(self.closed()["unanswered"], 2)

    def test_datagrams(self) -> None:
        """Established with the first answer, seen live; at the end by the last status."""
        self.table.event(change(NEW, 1, protocol=17, status=0), 1.0)
        self.assertEqual(self.totals("udp").gauges, [1, 0, 0, 0, 0])
        dump(self.table, change(UPDATE, 1, protocol=17, status=2))
        self.assertEqual((self.totals("udp").gauges, self.totals("udp").established), ([0, 1, 0, 0, 0], 0))
        self.table.event(change(NEW, 2, protocol=17, status=0), 1.0)
        for _ in range(2):
            self.table.event(change(UPDATE, 2, protocol=17, status=0xE), 1.5)
        self.assertEqual((self.totals("udp").gauges, self.totals("udp").established), ([0, 2, 0, 0, 0], 1))
        self.table.event(change(NEW, 3, protocol=17, status=8), 1.0)
        self.assertEqual(self.totals("udp").gauges, [1, 2, 0, 0, 0])
        for port in (1, 2, 3):
            self.table.event(change(DESTROY, port, protocol=17)._replace(status=-1), 3.0)
        self.assertEqual(self.closed("udp"), {"timeout": 2, "unanswered": 1})
        self.assertEqual((self.totals("udp").handshakes.count, self.totals("udp").durations.count), (0, 3))

    def test_gauges_of_hosts_and_groups_move_together(self) -> None:
        """Each state has its own; a state that is none of the kernel's has none that is shown."""
        for state, shown in (
            (1, 0),
            (2, 0),
            (3, 1),
            (4, 2),
            (5, 2),
            (6, 2),
            (TIME_WAIT, 2),
            (CLOSE, 3),
            (9, 0),
            (10, 4),
        ):
            self.setUp()
            self.table.event(change(NEW, state=0), 1.0)
            self.table.event(change(UPDATE, state=state), 5.0)
            host = self.table.places.hosts.find(REMOTE, 443, 0.0)
            wanted = [int(index == shown) for index in range(5)]
            self.assertEqual((host.gauges, self.totals().gauges), (wanted, wanted), state)
            if shown != 4:
                self.assertEqual(host.used, 5.0)
            self.table.event(change(DESTROY, state=state), 7.0)
            self.assertEqual((host.gauges, self.totals().gauges, host.used), ([0] * 5, [0] * 5, 7.0))


class TrafficTests(EventTestCase):
    """Counters of the kernel."""

    def test_what_is_new_is_added(self) -> None:
        """Of each of the four by itself; a counter that went back began anew."""
        self.table.event(change(NEW, state=1, traffic=(1, 10, 100, 1000)), 1.0)
        self.assertEqual(self.traffic(), [0, 0, 0, 0])
        dump(self.table)
        self.setUp()
        dump(self.table)
        for traffic, total in (
            ((1, 10, 100, 1000), [1, 10, 100, 1000]),
            ((2, 12, 103, 1004), [2, 12, 103, 1004]),
            ((2, 12, 103, 1004), [2, 12, 103, 1004]),
            ((1, 5, 3, 4), [3, 17, 106, 1008]),
        ):
            kind = NEW if traffic[3] == 1000 else UPDATE
            self.table.event(change(kind, state=3, traffic=traffic), 1.0)
            self.assertEqual(self.traffic(), total)

    def test_one_way_alone_and_nothing(self) -> None:
        """What a message does not carry stays."""
        dump(self.table)
        self.table.event(change(NEW, state=3, traffic=(1, 10, 2, 20)), 1.0)
        only_reply = change(UPDATE, state=3, traffic=(0, 0, 5, 50))._replace(orig_packets=-1, orig_bytes=-1)
        only_orig = change(UPDATE, state=3, traffic=(4, 40, 0, 0))._replace(reply_packets=-1, reply_bytes=-1)
        for each, total in (
            (only_reply, [1, 10, 5, 50]),
            (only_orig, [4, 40, 5, 50]),
            (change(UPDATE, state=3), [4, 40, 5, 50]),
        ):
            self.table.event(each, 2.0)
            self.assertEqual(self.traffic(), total)
        self.table.event(only_reply._replace(kind=DESTROY, reply_packets=6, reply_bytes=51), 3.0)
        self.assertEqual(self.traffic(), [4, 40, 6, 51])
        for each in (only_reply, only_orig):
            self.table.event(each._replace(kind=NEW), 4.0)
            self.table.event(each._replace(kind=DESTROY), 4.0)
        self.assertEqual(self.traffic(), [8, 80, 11, 101])

    def test_zero_is_a_number(self) -> None:
        """Counters that stand at zero are counted from there."""
        dump(self.table)
        for each in ((NEW, (0, 0, 0, 0)), (UPDATE, (0, 0, 1, 1)), (DESTROY, (1, 1, 1, 1))):
            self.table.event(change(each[0], state=3, traffic=each[1]), 1.0)
        self.assertEqual(self.traffic(), [1, 1, 1, 1])

    def test_what_flowed_in_a_connection_whose_event_comes_after_the_dump_is_ours(self) -> None:
        """In one that was there before us it is not."""
        self.bring(change(UPDATE, 1, state=3, traffic=(1, 10, 2, 20)), change(UPDATE, 2, state=3, traffic=(5, 5, 5, 5)))
        self.assertEqual(self.traffic(), [0, 0, 0, 0])
        self.table.event(change(NEW, 1, state=3), 2.0)
        self.assertEqual(self.traffic(), [1, 10, 2, 20])
        self.sweep()
        self.table.event(change(UPDATE, 2, state=3, traffic=(6, 7, 8, 9)), 3.0)
        self.assertEqual(self.traffic(), [2, 12, 5, 24])
        # with a complete table the dump's numbers were counted when they came
        self.bring(change(UPDATE, 3, state=3, traffic=(100, 100, 100, 100)))
        self.assertEqual(self.traffic(), [102, 112, 105, 124])
        self.table.event(change(NEW, 3, state=3), 4.0)
        self.assertEqual(self.traffic(), [102, 112, 105, 124])


class ObserverTests(EventTestCase):
    """Who is told of every event."""

    def observed(self, table: Table) -> list[tuple[int, str, int, Ending | None, float]]:
        """Record what is told: kind, host, state, ending, now."""
        told: list[tuple[int, str, int, Ending | None, float]] = []

        def tell(each: Change, place: Place, state: int, ending: Ending | None, now: float) -> None:
            told.append((each.kind, place[0].label, state, ending, now))

        table.on_event = tell
        return told

    def test_all_events_of_what_is_not_ignored(self) -> None:
        """With the state after it, at the kernel's time; an end with how and how long."""
        table = table_of((ignore_rule("192.0.2.8"),), limit=9)
        table.wall_offset = 1000.0
        told = self.observed(table)
        ignored = bytes((192, 0, 2, 8))
        table.event(change(NEW, state=1), 1.0)
        table.event(change(UPDATE, state=3, event_ns=1001 * S + S // 2), 2.0)
        table.event(change(UPDATE, state=-1), 3.0)
        table.event(change(NEW, destination=ignored, state=1), 3.0)
        table.event(change(DESTROY, destination=ignored, state=1), 3.0)
        table.event(change(DESTROY, state=4), 5.0)
        table.event(change(DESTROY, 9, state=4), 6.0)
        label = "192.0.2.7:443"
        events = [(NEW, 1, None, 1.0), (UPDATE, 3, None, 1.5), (UPDATE, 3, None, 3.0), (DESTROY, 4, (FIN, 4.0), 5.0)]
        self.assertEqual(told, [(kind, label, state, ending, now) for kind, state, ending, now in events])

    def test_the_state_at_the_end(self) -> None:
        """The last that was known, where the message has none."""
        told = self.observed(self.table)
        self.table.event(change(NEW, state=3), 1.0)
        self.table.event(change(DESTROY, state=-1), 2.0)
        self.table.event(change(NEW, state=3), 3.0)
        self.table.event(change(DESTROY, state=0), 4.0)
        self.assertEqual([state for kind, _, state, _, _ in told if kind == DESTROY], [3, 0])
