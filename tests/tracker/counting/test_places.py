"""Hosts, directions and groups of connections."""

from __future__ import annotations

import socket

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.conntrack.ctnetlink import DESTROY, NEW, Ends
from netappliance.tracker.counting import places
from netappliance.tracker.counting.hosts import Host, Hosts, ignore_rule
from netappliance.tracker.counting.places import Group, Places, group_rule
from tests.tracker.support import LOCAL, OTHER_REMOTE, REMOTE, change, raw_tuple, table_of

FAR = bytes((198, 51, 100, 9))


class GroupRuleTests(SynchronousTestCase):
    """One line of ``groups``."""

    def test_good_lines(self) -> None:
        """Networks of both families, one port for all of them."""
        db = group_rule("db = 10.0.0.0/8, 192.0.2.7:5432")
        self.assertEqual((db.name, db.port, len(db.networks)), ("db", 5432, 2))
        self.assertTrue(db.matches(bytes((10, 1, 2, 3)), 5432) and not db.matches(bytes((10, 1, 2, 3)), 5433))
        wide = socket.inet_pton(socket.AF_INET6, "2001:db8::7")
        for line, port in (("six = 2001:db8::/32", 0), ("six = 10.0.0.0/8, [2001:db8::/32]:443", 443)):
            self.assertEqual((group_rule(line).port, group_rule(line).matches(wide, 443)), (port, True))

    def test_bad_lines_are_refused(self) -> None:
        """With what was expected."""
        for line in ("", "db", "db =", "other = 10.0.0.0/8", "a b = ::/0", "a = 10.0.0.0/33", "a = 10.0.0.1:0"):
            self.assertRaises(ValueError, group_rule, line)
        for line in (
            "a = 10.0.0.1:99999",
            "a = 10.0.0.1:",
            "a = [::1]",
            "a = [::1]:x",
            "a = 1.2.3.4,,5.6.7.8",
            "=::/0",
        ):
            self.assertRaises(ValueError, group_rule, line)

    def test_networks_and_ports_at_their_edges(self) -> None:
        """First and last address, the family, the port; every port unless one is given."""
        group = group_rule(" a.b-c_9  =  192.0.2.0/30 , 2001:db8::/127 ")
        self.assertEqual((group.name, group.port), ("a.b-c_9", 0))
        for last, inside in ((0, True), (3, True), (4, False)):
            self.assertEqual(group.matches(bytes((192, 0, 2, last)), 7), inside)
        self.assertFalse(group.matches(bytes((192, 0, 1, 255)), 7))
        for text, inside in (("2001:db8::", True), ("2001:db8::1", True), ("2001:db8::2", False)):
            self.assertEqual(group.matches(socket.inet_pton(socket.AF_INET6, text), 7), inside)
        for port in (1, 65535):
            self.assertEqual(group_rule(f"a = 192.0.2.0/24 : {port}").port, port)
            self.assertEqual(group_rule(f"a = [2001:db8::/32] :{port}").port, port)
        self.assertEqual(group_rule("x" * 64 + " = 10.0.0.0/8").name, "x" * 64)

    def test_the_words_of_refusals(self) -> None:
        """Each part has its own."""
        shape = "NAME = CIDR[,CIDR...][:PORT], the name of letters, digits, _ . - and not 'other'"
        port = "a port from 1 to 65535 at the end of group 'a'"
        networks = "networks like 10.0.0.0/8 or [2001:db8::/32]:443 in group 'a'"
        for line, words in (
            *(("a", shape), ("= 10.0.0.0/8", shape), ("other = 10.0.0.0/8", shape), ("a b = 10.0.0.0/8", shape)),
            *((f"{'x' * 65} = 10.0.0.0/8", shape), ("a = 10.0.0.1:0", port), ("a = 10.0.0.1:65536", port)),
            *(("a = 10.0.0.1:x", port), ("a = [::1]", port), ("a = 10.0.0.1:", port), ("a = [::1]:100000", port)),
            *(("a = 10.0.0.0/33", networks), ("a = ", networks), ("a = 10.0.0.1,:80", networks), ("a = x", networks)),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, group_rule, line)), words, line)

    @settings(deadline=None, max_examples=200)
    @given(st.text(alphabet="ab=10.:/[], ", max_size=30) | st.text(max_size=20))
    def test_any_line_gives_a_group_or_a_reason(self, line: str) -> None:
        """And nothing else."""
        try:
            found = group_rule(line)
        except ValueError as error:
            self.assertTrue(str(error))
        else:
            self.assertTrue(found.networks and 0 <= found.port < 65536)


class PlacesTests(SynchronousTestCase):
    """Remote end, direction and group by tuples."""

    def setUp(self) -> None:
        """Make places of the host LOCAL with two groups."""
        groups = (group_rule("web = 0.0.0.0/0:443"), group_rule("all = 0.0.0.0/0"))
        self.places = Places(Hosts(5, 60), (), groups)
        self.places.set_local(frozenset({LOCAL}))

    def place(self, orig: bytes, reply: bytes) -> tuple[str, str, str]:
        """Return (host, direction, group) of raw tuples."""
        host, totals = self.places.find(orig, reply, 1, 0.0)
        return host.label, totals.direction, totals.group

    def test_what_we_open(self) -> None:
        """The original destination, before translation; the first group that matches wins."""
        back = raw_tuple(FAR, LOCAL, 8443, 999)
        self.assertEqual(self.place(raw_tuple(LOCAL, REMOTE, 999, 443), back), ("192.0.2.7:443", "out", "web"))
        self.assertEqual(self.place(raw_tuple(LOCAL, REMOTE, 999, 25), back), ("192.0.2.7:25", "out", "all"))

    def test_what_is_opened_to_us(self) -> None:
        """The client without its port; the group's port is our service's."""
        there, back = raw_tuple(REMOTE, LOCAL, 5000, 443), raw_tuple(LOCAL, REMOTE, 443, 5000)
        self.assertEqual(self.place(there, back), ("192.0.2.7", "in", "web"))
        again = self.places.find(raw_tuple(REMOTE, LOCAL, 5001, 443), raw_tuple(LOCAL, REMOTE, 443, 5001), 0, 0.0)
        self.assertIs(again[0], self.places.hosts.find(REMOTE, 0, 0.0))

    def test_what_is_translated_to_us(self) -> None:
        """A redirect to this host: the client, never with its port."""
        there, back = raw_tuple(REMOTE, FAR, 5000, 443), raw_tuple(LOCAL, REMOTE, 8443, 5000)
        self.assertEqual(self.place(there, back), ("192.0.2.7", "in", "web"))

    def test_what_we_forward(self) -> None:
        """The real backend."""
        there, back = raw_tuple(REMOTE, FAR, 5000, 443), raw_tuple(OTHER_REMOTE, REMOTE, 8443, 5000)
        self.assertEqual(self.place(there, back), ("192.0.2.8:8443", "forward", "all"))

    def test_the_same_destination_with_another_backend(self) -> None:
        """What is remembered by tuple tells translated connections apart."""
        there = raw_tuple(REMOTE, FAR, 5000, 443)
        for backend in (OTHER_REMOTE, bytes((192, 0, 2, 9))):
            label = self.place(there, raw_tuple(backend, REMOTE, 80, 5000))[0]
            self.assertEqual(label, f"{socket.inet_ntoa(backend)}:80")

    def test_ipv6(self) -> None:
        """With brackets before the port."""
        ours, theirs = (socket.inet_pton(socket.AF_INET6, each) for each in ("2001:db8::1", "2001:db8::2"))
        self.places.set_local(frozenset({ours}))
        found = self.place(raw_tuple(ours, theirs, 9, 443), raw_tuple(theirs, ours, 443, 9))
        self.assertEqual(found, ("[2001:db8::2]:443", "out", "other"))

    def test_new_addresses_of_this_host_are_learnt(self) -> None:
        """What was remembered with the old ones is forgotten."""
        there, back = raw_tuple(FAR, REMOTE, 5000, 443), raw_tuple(REMOTE, FAR, 443, 5000)
        self.assertEqual(self.place(there, back)[1], "forward")
        self.places.set_local(frozenset({LOCAL, FAR}))
        self.assertEqual(self.place(there, back)[1], "out")

    def test_loopback_is_this_host(self) -> None:
        """Whatever addresses it has; the first octet tells, in IPv4 only."""
        for source, direction in (
            ("127.0.0.1", "out"),
            ("127.9.9.9", "out"),
            ("1.127.0.1", "forward"),
            ("126.0.0.1", "forward"),
            ("128.0.0.1", "forward"),
        ):
            ours = socket.inet_aton(source)
            self.assertEqual(self.place(raw_tuple(ours, FAR, 9, 25), raw_tuple(FAR, ours, 25, 9))[1], direction, source)
        six = bytes((127, *range(15)))
        theirs = socket.inet_pton(socket.AF_INET6, "2001:db8::2")
        self.assertEqual(self.place(raw_tuple(six, theirs, 9, 25), raw_tuple(theirs, six, 25, 9))[1], "forward")

    def test_places_are_remembered_without_the_clients_port(self) -> None:
        """Of both families, and without the id of an echo request; with all else."""
        six, other_six = (socket.inet_pton(socket.AF_INET6, each) for each in ("2001:db8::1", "2001:db8::2"))
        for source, destination, protocol in ((LOCAL, REMOTE, 6), (six, other_six, 6), (LOCAL, REMOTE, 1)):
            self.places.set_local(frozenset({source}))
            before = len(self.places._cache)
            found = set()
            for port in (1, 2, 256, 65535):
                there = raw_tuple(source, destination, port, 443, protocol)
                back = raw_tuple(destination, source, 443, port, protocol)
                found.add(id(self.places.find(there, back, 0, 0.0)))
            self.assertEqual((len(found), len(self.places._cache) - before), (1, 1))
        base = (LOCAL, REMOTE, 9, 443, 6)
        different = {
            base,
            (LOCAL, OTHER_REMOTE, 9, 443, 6),
            (FAR, REMOTE, 9, 443, 6),
            (LOCAL, REMOTE, 9, 444, 6),
            (LOCAL, REMOTE, 9, 443, 17),
        }
        self.places.set_local(frozenset({LOCAL}))
        places_ = {
            each: self.place(raw_tuple(*each), raw_tuple(each[1], each[0], each[3], each[2], each[4]))
            for each in different
        }
        self.assertEqual(places_[base], ("192.0.2.7:443", "out", "web"))
        self.assertEqual(places_[LOCAL, OTHER_REMOTE, 9, 443, 6], ("192.0.2.8:443", "out", "web"))
        self.assertEqual(places_[FAR, REMOTE, 9, 443, 6], ("192.0.2.7:443", "forward", "web"))
        self.assertEqual(places_[LOCAL, REMOTE, 9, 444, 6], ("192.0.2.7:444", "out", "all"))
        self.assertEqual(places_[LOCAL, REMOTE, 9, 443, 17], ("", "out", "web"))

    def test_translated_connections_are_remembered_with_their_backend(self) -> None:
        """In IPv6 too; the backend's port counts, the client's on the way back does not."""
        for front, backends, client in (
            (FAR, (OTHER_REMOTE, LOCAL), REMOTE),
            *(
                (
                    socket.inet_pton(socket.AF_INET6, "2001:db8::f"),
                    tuple(socket.inet_pton(socket.AF_INET6, f"2001:db8::{last}") for last in (1, 2)),
                    socket.inet_pton(socket.AF_INET6, "2001:db8::c"),
                ),
            ),
        ):
            self.places.set_local(frozenset())
            before = len(self.places._cache)
            seen = set()
            for backend in backends:
                for port in (80, 81):
                    for sport in (5000, 5001):
                        there, back = raw_tuple(client, front, sport, 443), raw_tuple(backend, client, port, sport)
                        seen.add(self.place(there, back))
            self.assertEqual((len(seen), len(self.places._cache) - before), (4, 4))

    def test_places_of_many_are_those_of_each(self) -> None:
        """Also of those that are known."""
        pairs = [(raw_tuple(LOCAL, REMOTE, port, 440 + port % 5), b"") for port in range(1, 20)]
        pairs = [(there, raw_tuple(REMOTE, LOCAL, 440 + port % 5, port)) for port, (there, _) in enumerate(pairs, 1)]
        ways = [LOCAL + REMOTE + (440 + port % 5).to_bytes(2, "big") + b"\6" for port in range(1, 20)]
        together = self.places.find_all(ways, 1.0)
        again = [self.places.find(*each, 0, 2.0) for each in pairs]
        self.assertEqual([list(map(id, each)) for each in together], [list(map(id, each)) for each in again])
        self.assertEqual(len(self.places._cache), 5)

    def test_what_is_no_tuple_is_counted_nowhere(self) -> None:
        """Nor what is ignored; TCP keeps its gauges apart."""
        ignoring = Places(Hosts(5, 60), (ignore_rule("192.0.2.7:443"),), ())
        ignoring.set_local(frozenset({LOCAL}))
        for source, destination, port, protocol, shown in (
            (LOCAL, REMOTE, 443, 6, False),
            (LOCAL, REMOTE, 443, 17, False),
            (LOCAL, REMOTE, 444, 6, True),
            (REMOTE, LOCAL, 443, 6, True),
        ):
            there = raw_tuple(source, destination, 9, port, protocol)
            place = ignoring.find(there, raw_tuple(destination, source, port, 9, protocol), 0, 1.0)
            self.assertEqual(ignoring.is_ignored(place), not shown)
            if not shown:
                self.assertEqual((place[0].label, place[1].tcp), ("", protocol == 6))
        place = ignoring.find(b"\0" * 60, b"", 0, 1.0)
        self.assertEqual((ignoring.is_ignored(place), place[1].tcp, place[0].label), (True, False, ""))
        self.assertEqual(sorted(ignoring.totals), [("other", "in", "tcp"), ("other", "out", "tcp")])

    def test_remote_ends(self) -> None:
        """Packed address, port and direction; a client's port is none."""
        ours, theirs, far = LOCAL, REMOTE, FAR
        for orig, reply, remote in (
            (Ends(ours, theirs, 6, 9, 443), Ends(theirs, ours, 6, 443, 9), (theirs, 443, "out")),
            (Ends(theirs, ours, 6, 9, 22), Ends(ours, theirs, 6, 22, 9), (theirs, 0, "in")),
            (Ends(theirs, far, 6, 9, 22), Ends(ours, theirs, 6, 2222, 9), (theirs, 0, "in")),
            (Ends(theirs, far, 6, 9, 22), Ends(far, theirs, 6, 2222, 9), (far, 2222, "forward")),
        ):
            self.assertEqual(self.places.remote(orig, reply), remote)

    def test_what_is_remembered_is_limited(self) -> None:
        """Beyond the limit it starts anew."""
        self.patch(places, "CACHE", 3)
        for port in range(1, 9):
            self.place(raw_tuple(LOCAL, REMOTE, 9, port), raw_tuple(REMOTE, LOCAL, port, 9))
        self.assertLessEqual(len(self.places._cache), 3)

    def test_ignore_rules(self) -> None:
        """An address, a network, an address with a port."""
        for rule, port, ignored in (
            ("192.0.2.7", 1, True),
            ("192.0.2.0/24", 1, True),
            ("192.0.2.7:443", 443, True),
            ("192.0.2.7:443", 80, False),
            ("192.0.3.0/24", 1, False),
            ("::/0", 1, False),
        ):
            self.assertEqual(ignore_rule(rule)(REMOTE, port), ignored, rule)
        self.assertTrue(ignore_rule("[2001:db8::1]:443")(socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 443))
        for bad in ("x", "1.2.3.4:x", "1.2.3.4/99"):
            self.assertRaises(ValueError, ignore_rule, bad)


class HostsTests(SynchronousTestCase):
    """The series budget."""

    def setUp(self) -> None:
        """Room for two series."""
        self.hosts = Hosts(2, 60)

    def host(self, last: int, connections: int = 0, now: float = 0.0) -> Host:
        """Return 192.0.2.``last`` with open connections."""
        host = self.hosts.find(bytes((192, 0, 2, last)), 80, now)
        host.gauges[1] += connections
        host.used = now
        return host

    def shown(self) -> dict[str, int]:
        """Return last byte of the address (or other) -> open connections."""
        return {each.label.removeprefix("192.0.2.").removesuffix(":80"): each.gauges[1] for each in self.hosts.series()}

    def test_the_busiest_hosts_are_shown(self) -> None:
        """Who comes later and is busier takes the place of the least busy; the sum stays."""
        for last, connections in ((1, 1), (2, 5), (3, 3)):
            self.host(last, connections)
        self.assertEqual(self.shown(), {"1": 1, "2": 5, "other": 3})
        self.hosts.rank(1.0)
        self.assertEqual(self.shown(), {"2": 5, "3": 3, "other": 1})

    def test_an_open_connection_weighs_more_than_one_that_is_over(self) -> None:
        """Hosts that only wait out their TIME_WAIT do not keep a new one from its series."""
        for last in (1, 2):
            self.host(last).gauges[2] = 3
        self.host(3, 1)
        self.hosts.rank(1.0)
        self.assertEqual(self.shown()["3"], 1)

    def test_a_little_busier_is_not_enough(self) -> None:
        """Two hosts do not take turns."""
        self.host(1, 100), self.host(2, 100), self.host(3, 110)
        self.hosts.rank(1.0)
        self.assertEqual(self.shown(), {"1": 100, "2": 100, "other": 110})

    def test_zeros_stay_for_the_keep_time(self) -> None:
        """A host that lost its last connection shows zeros, then goes; one with a connection stays for ever."""
        self.host(1, 1), self.host(2)
        self.hosts.rank(60.0)
        self.assertEqual(self.shown(), {"1": 1, "2": 0, "other": 0})
        self.assertTrue(self.hosts.rank(61.0))
        self.assertEqual(self.shown(), {"1": 1, "other": 0})

    def test_a_link_that_broke_is_not_crowded_out_at_once(self) -> None:
        """It was busy; single connections of many others do not take its place within a fraction of the keep time."""
        busy = self.host(1, 50)
        self.hosts.rank(1.0)
        busy.gauges[1], busy.used = 0, 2.0
        for last in range(2, 20):
            self.host(last, 1, 2.0)
        self.hosts.rank(10.0)
        self.assertEqual(self.shown()["1"], 0)

    def test_remote_ends_are_limited(self) -> None:
        """Those beyond the candidates are one number, and that is counted."""
        for last in range(40):
            self.host(last, 1)
        self.assertEqual((len(self.hosts), self.hosts.overflowed, self.shown()["other"]), (32, 8, 38))

    def test_a_stream_of_strangers_does_not_fill_the_room_for_good(self) -> None:
        """Who has no series and no connection any more is forgotten at the next ranking, and every trace of it."""
        table = table_of(limit=2)
        for round_ in range(5):
            for last in range(1, 30):
                source = bytes((198, 51, round_, last))
                for kind in (NEW, DESTROY):
                    each = change(kind, source=source, destination=LOCAL, service=22, state=3)
                    table.event(each, 100.0 * round_)
            table.places.rank(100.0 * round_ + 1)
        hosts = table.places.hosts
        self.assertEqual((hosts.overflowed, len(hosts) <= 2, len(table.places._places) <= 3), (0, True, True))

    def test_clients_ports_are_no_labels(self) -> None:
        """A thousand connections of one client are one series."""
        table = table_of(limit=5)
        for port in range(1000):
            raw = {"source": REMOTE, "destination": LOCAL, "service": 22}
            table.event(change(NEW, port, state=3, **raw), 1.0)
        first = table.places.hosts.series()[0]
        self.assertEqual((first.label, first.gauges[1]), ("192.0.2.7", 1000))

    def test_no_new_connection_is_counted_on_a_forgotten_host(self) -> None:
        """The host of a later connection is the one that is shown."""
        table = table_of(limit=5)
        table.event(change(NEW, state=3), 1.0)
        table.event(change(2, state=3), 1.0)
        table.places.rank(100.0)
        table.event(change(NEW, state=3), 101.0)
        self.assertEqual([each.gauges[1] for each in table.places.hosts.series()], [1, 0])

    def test_groups_show_zeros_from_the_start(self) -> None:
        """So that an alert on a link that never came up works."""
        found = Places(Hosts(2, 60), (), (Group("db", (), 0),)).totals
        self.assertEqual(sorted(found), [("db", "in", "tcp"), ("db", "out", "tcp")])
