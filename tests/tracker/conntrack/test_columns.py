"""What the table keeps of each connection, and what it shows of it."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.conntrack.columns import Connection
from netappliance.tracker.conntrack.ctnetlink import DESTROY, NEW, UPDATE, Change, Ends
from netappliance.tracker.conntrack.decoder import Decoder
from tests.tracker.support import LOCAL, REMOTE, change, dump, message, raw_tuple, table_of

SIX, SIX_REMOTE = (socket.inet_pton(socket.AF_INET6, each) for each in ("2001:db8::1", "2001:db8::2"))


class ConnectionTests(SynchronousTestCase):
    """One connection to look at."""

    def shown(self, *changes: Change, offset: float = 0.0) -> Connection:
        """The one connection that events make."""
        table = table_of(limit=9)
        table.wall_offset = offset
        for index, each in enumerate(changes):
            table.event(each, 10.0 + index)
        (found,) = table.connections()
        return found

    def test_all_that_is_known(self) -> None:
        """Of a plain connection of TCP."""
        found = self.shown(change(NEW, 40000, state=1, status=0x1D, ident=0x89ABCDEF))
        there, back = Ends(LOCAL, REMOTE, 6, 40000, 443), Ends(REMOTE, LOCAL, 6, 443, 40000)
        wanted = Connection(there, back, 0, 1, 0x1D, 0x89ABCDEF, 10.0, True, "other", "out", (0, 0, 0, 0))
        self.assertEqual(found, wanted)

    def test_updates_change_what_they_carry(self) -> None:
        """State, status and traffic; the beginning stays, and so does what a message lacks."""
        found = self.shown(
            change(NEW, state=1, status=8, traffic=(1, 60, 0, 0)),
            change(UPDATE, state=3, status=0xE, traffic=(5, 500, 6, 6000)),
            change(UPDATE, state=-1, status=0xE),
        )
        kept = found.state, found.status, found.traffic, found.since, found.exact
        self.assertEqual(kept, (3, 0xE, (5, 500, 6, 6000), 10.0, True))

    def test_without_ports_or_states(self) -> None:
        """Datagrams have no state; echo requests have no ports; zones and both families are told."""
        datagrams = self.shown(change(NEW, protocol=17))
        self.assertEqual((datagrams.state, datagrams.orig.destination_port), (-1, 443))
        echo = self.shown(change(NEW, protocol=1))
        self.assertEqual((echo.orig, echo.reply), (Ends(LOCAL, REMOTE, 1, 0, 0), Ends(REMOTE, LOCAL, 1, 0, 0)))
        zone = self.shown(change(NEW, state=1, zone=0x1234))
        self.assertEqual((zone.zone, zone.orig.source_port), (0x1234, 40000))
        six = self.shown(change(NEW, state=1, source=SIX, destination=SIX_REMOTE, zone=7))
        there, back = Ends(SIX, SIX_REMOTE, 6, 40000, 443), Ends(SIX_REMOTE, SIX, 6, 443, 40000)
        self.assertEqual((six.orig, six.reply, six.zone), (there, back, 7))

    def test_translated_ones_keep_their_reply(self) -> None:
        """Source or destination NAT; each with its own bit."""
        back = raw_tuple(REMOTE, bytes((10, 9, 9, 9)), 443, 1)
        for bit in (0x10, 0x20, 0x30):
            found = self.shown(change(NEW, state=1, status=bit, reply=back))
            self.assertEqual(found.reply, Ends(REMOTE, bytes((10, 9, 9, 9)), 6, 443, 1))
        plain = self.shown(change(NEW, state=1, status=0x4F, reply=back))
        self.assertEqual(plain.reply, Ends(REMOTE, LOCAL, 6, 443, 40000))

    def test_the_kernels_beginning_counts_where_there_is_one(self) -> None:
        """On our clock; never later than now."""
        for seconds, since in ((1003, 3.0), (1010, 10.0), (1999, 10.0)):
            found = self.shown(change(UPDATE, state=3, times=(seconds * 10**9,)), offset=1000.0)
            self.assertEqual((found.since, found.exact), (since, True))
        unknown = self.shown(change(UPDATE, state=3))
        self.assertEqual((unknown.since, unknown.exact), (10.0, False))

    def test_a_tuple_of_no_known_family_is_not_shown(self) -> None:
        """It is known all the same."""
        table = table_of()
        table.event(change(NEW, state=1)._replace(orig=b"\0" * 40, reply=b"\0" * 40), 1.0)
        self.assertEqual((len(table), list(table.connections())), (1, []))
        table.event(change(NEW, state=1, status=0x20)._replace(reply=b"\0" * 40), 1.0)
        self.assertEqual((len(table), list(table.connections())), (2, []))


class SlotTests(SynchronousTestCase):
    """Room for entries."""

    def test_places_of_ended_ones_are_used_again_without_a_trace(self) -> None:
        """Neither traffic, translation, state nor times of the one before."""
        back = raw_tuple(REMOTE, bytes((10, 9, 9, 9)), 443, 1)
        table = table_of(limit=9)
        first = change(NEW, 1, state=1, status=0x20, reply=back, traffic=(9, 900, 9, 900), times=(10**9,))
        table.event(first, 5.0)
        table.event(change(DESTROY, 1, state=3, status=0x20), 6.0)
        table.event(change(UPDATE, 2, protocol=17, status=0), 7.0)
        (found,) = table.connections()
        self.assertEqual((found.traffic, found.state, found.status), ((0, 0, 0, 0), -1, 0))
        self.assertEqual((found.since, found.exact, found.reply), (7.0, False, Ends(REMOTE, LOCAL, 17, 443, 2)))

    def test_many_more_than_fit_at_first(self) -> None:
        """One by one and in a dump; those of before stay what they are, with their traffic."""
        table = table_of(limit=9)
        table.event(change(NEW, 1, state=3, traffic=(1, 2, 3, 4)), 1.0)
        for port in range(2, 5000):
            table.event(change(NEW, port, state=1, ident=port), 2.0)
        dump(table, *(change(UPDATE, port, state=3, ident=port, service=80) for port in range(1, 9000)), now=3.0)
        found = {(each.orig.source_port, each.orig.destination_port): each for each in table.connections()}
        self.assertEqual(len(found), 8999)
        self.assertEqual((found[8999, 80].ident, found[8999, 80].since, found[8999, 80].state), (8999, 3.0, 3))

    def test_traffic_of_entries_that_came_before_any_was_counted(self) -> None:
        """The kernel may be told to count later on."""
        table = table_of(limit=9)
        for port in (1, 2):
            table.event(change(NEW, port, state=3), 1.0)
        table.event(change(UPDATE, 2, state=3, traffic=(1, 2, 3, 4)), 2.0)
        found = {each.orig.source_port: each.traffic for each in table.connections()}
        self.assertEqual(found, {1: (0, 0, 0, 0), 2: (1, 2, 3, 4)})


class RunTests(SynchronousTestCase):
    """Dumps that are taken column by column, and those that cannot be."""

    def compare(self, batch: list[bytes], known: tuple[Change, ...] = (), during: tuple[Change, ...] = ()) -> None:
        """Check that a receive does the same as its entries one by one, in the first dump and in the next."""
        outcomes = []
        for together in (True, False):
            table, decoder = table_of(limit=99), Decoder()
            decoder.decode(b"".join(batch))
            for each in known:
                table.event(each, 1.0)
            seen: list[object] = []
            for now in (5.0, 6.0):
                table.begin_dump()
                for each in during:
                    table.event(each, now)
                found = decoder.dump(b"".join(batch))
                for run in found.runs:
                    if together:
                        table.dumped_run(run, now)
                    else:
                        table.dumped(run.changes(), now)
                self.assertEqual((found.changes, found.malformed), ([], 0))
                while table.sweep(now, 9):
                    pass
                gauges = {key: (totals.gauges, totals.traffic) for key, totals in table.places.totals.items()}
                hosts = {host.label: host.gauges for host in table.places.hosts.series()}
                seen.append((table.adopted, table.unobserved, len(table), repr(gauges), repr(hosts)))
                seen.append(sorted(table.connections()))
            outcomes.append(seen)
        self.assertEqual(*outcomes)

    def plain(self, count: int) -> list[bytes]:
        """Entries that have nothing special."""
        return [message(UPDATE, port, state=port % 10, status=port & 0xF, ident=port) for port in range(1, count + 1)]

    def test_small_and_large_receives(self) -> None:
        """Of TCP in every state and of datagrams, over both families; also where all are over."""
        for count in (1, 7, 8, 9, 60):
            self.compare(self.plain(count))
            self.compare([message(UPDATE, port, protocol=17, status=port & 2) for port in range(1, count + 1)])
            self.compare([message(UPDATE, port, state=3, source=SIX, destination=SIX_REMOTE) for port in range(1, 9)])
        self.compare([message(UPDATE, port, state=7 + port % 2) for port in range(1, 20)])
        self.compare([message(UPDATE, port, state=3, ident=0x89ABCDEF, status=0x10E) for port in range(1, 20)])

    def test_layouts_that_take_turns(self) -> None:
        """Each has its run, whatever comes between."""
        mixed = [
            message(UPDATE, port, state=3, ident=port) if port % 3 else message(UPDATE, port, protocol=17, ident=port)
            for port in range(1, 60)
        ]
        self.compare(mixed)
        self.compare([*mixed, message(UPDATE, 7000, protocol=1)])

    def test_what_is_special_in_any_place(self) -> None:
        """First, in the middle, last."""
        back = raw_tuple(REMOTE, bytes((10, 9, 9, 9)), 443, 1)
        specials = (
            message(UPDATE, 7000, state=3, zone=4),
            message(UPDATE, 7000, protocol=1),
            message(UPDATE, 7000, protocol=17),
            message(UPDATE, 7000, state=3, protocol=17),
            message(UPDATE, 7000),
            message(UPDATE, 7000, state=3, source=SIX, destination=SIX_REMOTE),
            message(UPDATE, 7000, state=3, traffic=(1, 0, 0, 0)),
            message(UPDATE, 7000, state=3, traffic=(0, 0, 1, 0)),
            message(UPDATE, 7000, state=3, traffic=(0, 0, 0, 0)),
            message(UPDATE, 7000, state=3, times=(2 * 10**9,)),
            message(UPDATE, 7000, state=3, status=0x10, reply=back),
            message(UPDATE, 7000, state=3, status=0x20, reply=back),
            message(UPDATE, 3, state=3, ident=3),
        )
        for special in specials:
            for at in (0, 4, 12):
                batch = self.plain(12)
                batch.insert(at, special)
                self.compare(batch)
            self.compare([special] * 12)

    def test_a_kind_of_entry_that_is_special_throughout(self) -> None:
        """With counters, with time stamps, in a zone, translated."""
        back = raw_tuple(REMOTE, bytes((10, 9, 9, 9)), 443, 1)
        for more in (
            {"traffic": (1, 2, 3, 4)},
            {"times": (2 * 10**9,)},
            {"zone": 9},
            {"reply": back, "status": 0x10},
            {"reply": back, "status": 0x20},
            {"protocol": 132},
            {"protocol": 1},
        ):
            self.compare([message(UPDATE, port, state=3, ident=port, **more) for port in range(1, 20)])

    def test_entries_that_are_known_already(self) -> None:
        """From events before or during the dump, in any place, as they are or changed, or ended meanwhile."""
        for port in (1, 5, 12):
            for each in (
                change(NEW, port, state=1, ident=port),
                change(NEW, port, state=port % 10, status=port & 0xF, ident=port),
                change(NEW, port, state=port % 10, status=8, ident=port),
                change(NEW, port, state=1, ident=99),
            ):
                self.compare(self.plain(12), (each,))
                self.compare(self.plain(12), (), (each,))
        self.compare(self.plain(12), (change(NEW, 900, state=1),))
        new, gone = change(NEW, 5, state=1, ident=5), change(DESTROY, 5, state=1, ident=5)
        self.compare(self.plain(12), (new, gone))
        self.compare(self.plain(12), (new,), (gone,))
        self.compare(self.plain(12), (), (gone,))
        self.compare(self.plain(12), (), (new, gone, change(NEW, 5, state=1, ident=6)))

    def test_entries_that_are_all_known(self) -> None:
        """Those of which the dump says something new take it, the others stay."""
        for odd in (1, 5, 12):
            for more in ({"state": 9}, {"status": 0x20F}, {"ident": 99}, {}):
                known = []
                for port in range(1, 13):
                    told = {"state": port % 10, "status": port & 0xF, "ident": port}
                    known.append(change(NEW, port, **{**told, **(more if port == odd else {})}))
                self.compare(self.plain(12), tuple(known))
                self.compare(self.plain(12), (), tuple(known))
        datagrams = [message(UPDATE, port, protocol=17, status=2) for port in range(1, 13)]
        self.compare(datagrams, tuple(change(NEW, port, protocol=17, status=2 * (port % 2)) for port in range(1, 13)))

    def test_an_entry_that_comes_twice(self) -> None:
        """The kernel's walk may meet one again."""
        self.compare(self.plain(12) + self.plain(12))
        self.compare([*self.plain(12), *self.plain(3)])

    def test_plain_entries_are_added_at_once(self) -> None:
        """All or none; the number is of those that have not ended."""
        for state, protocol, living in ((3, 6, 9), (7, 6, 0), (8, 6, 0), (-1, 17, 9)):
            table, decoder = table_of(limit=9), Decoder()
            raw = [message(UPDATE, port, state=state, protocol=protocol) for port in range(9)]
            decoder.decode(raw[0])
            (run,) = decoder.dump(b"".join(raw)).runs
            self.assertEqual((run.is_plain(), table._add_all(run.origs(), run, 1.0)), (True, living))
            self.assertEqual((len(table), table._used, table._see_unchanged(run.origs(), run)), (9, 9, bytes(9)))
            self.assertEqual((table._add_all(run.origs(), run, 1.0), len(table), table._used), (-1, 9, 9))

    def test_places_that_are_free_are_filled(self) -> None:
        """A table does not grow for ever where entries go one by one and come in dumps."""
        table, decoder = table_of(limit=9), Decoder()
        for turn in range(20):
            table.begin_dump()
            batch = [message(UPDATE, port, state=3, ident=port, service=turn) for port in range(1, 101)]
            for _ in range(2):
                for run in decoder.dump(b"".join(batch)).runs:
                    table.dumped_run(run, 1.0)
            while table.sweep(1.0, 999):
                pass
            for each in table.slots.copy():
                table.event(
                    decoder.decode(batch[0])
                    .changes[0]
                    ._replace(kind=DESTROY, orig=each, ident=table._idents[table.slots[each]]),
                    2.0,
                )
            self.assertEqual(len(table), 0)
        self.assertLessEqual(table._used, 300)
