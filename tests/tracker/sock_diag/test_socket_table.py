"""The table of sockets, how connections end, and how long they last."""

from __future__ import annotations

import socket

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.counting.hosts import Hosts, ignore_rule
from netappliance.tracker.counting.places import Places, group_rule
from netappliance.tracker.counting.totals import FIN, HOW, REFUSED, RST, TIMEOUT, UNANSWERED, UNOBSERVED
from netappliance.tracker.sock_diag import inet_diag
from netappliance.tracker.sock_diag.inet_diag import (
    CLOSE,
    DESTROYED,
    ESTABLISHED,
    FIN_WAIT1,
    FIN_WAIT2,
    LISTEN,
    NO_RTT,
    SYN_RECV,
    SYN_SENT,
    TIME_WAIT,
    Socket,
)
from netappliance.tracker.sock_diag.longterm import LongTerm, LongTermRules
from netappliance.tracker.sock_diag.quality import Qualities
from netappliance.tracker.sock_diag.socket_table import V4, SocketTable, how_ended, was_connection
from tests.tracker.sock_diag.test_inet_diag import LOCAL, REMOTE, info_bytes, message

V6_LOCAL, V6_REMOTE = socket.inet_pton(10, "2001:db8::1"), socket.inet_pton(10, "2001:db8::2")


def record(state: int = ESTABLISHED, cookie: int = 7, **fields: object) -> Socket:
    """Return the record of an outgoing connection from LOCAL:40000 to REMOTE:443."""
    return inet_diag.decode(message(state, cookie, **fields)).sockets[0]  # type: ignore[arg-type]


def incoming(cookie: int, client: bytes = REMOTE, port: int = 8080, **fields: object) -> Socket:
    """Return the record of an accepted connection."""
    return record(ESTABLISHED, cookie, destination=client, ports=(port, 50000 + cookie), **fields)


def listener(port: int = 8080, source: bytes = bytes(4), cookie: int = 1000) -> Socket:
    """Return the record of a listening socket."""
    family = 2 if len(source) == 4 else 10
    return record(LISTEN, cookie, source=source, destination=bytes(len(source)), ports=(port, 0), family=family)


def notice(cookie: int = 7, **fields: object) -> Socket:
    """Return a destroy notice: state CLOSE, with its last TCP_INFO (by default, our FIN was acknowledged)."""
    fields.setdefault("info", info_bytes(acked=2))
    return inet_diag.decode(message(CLOSE, cookie, **fields), DESTROYED).sockets[0]  # type: ignore[arg-type]


class TableTestCase(SynchronousTestCase):
    """A table for LOCAL."""

    def setUp(self) -> None:
        """Make a table that has been told of nothing."""
        self.places = Places(Hosts(4, 60), (ignore_rule("192.0.2.8"),), (group_rule("web = 192.0.2.0/24:443"),))
        self.places.set_local(frozenset((LOCAL, V6_LOCAL)))
        self.qualities = Qualities()
        self.table = SocketTable(self.places, self.qualities, notices=True)
        self.longterm = LongTerm(LongTermRules(6.0))

    def dump(self, now: float, *found: Socket, lost: bool = False) -> int:
        """Let the table see one complete dump."""
        self.table.begin_dump(lost=lost)
        for each in found:
            self.table.dumped(each, now)
        return self.table.end_dump(now)

    def gauges(self, label: str = "192.0.2.7:443") -> list[int]:
        """Return the four gauges of a host."""
        return next(host.gauges[:4] for host in self.places.hosts.series() if host.label == label)

    def ends(self) -> dict[str, int]:
        """Return what ended, by how."""
        return {how: count for how, count in zip(HOW, self.table.closed, strict=True) if count}


class LifeTests(TableTestCase):
    """Dumps and notices merged."""

    def test_states_map_to_the_seeds_four_gauges(self) -> None:
        """Opening, open, closing, closed, as of the seed's table."""
        self.dump(
            1, record(SYN_SENT, 1), record(SYN_RECV, 2, info=None), record(ESTABLISHED, 3), record(FIN_WAIT1, 4),
            record(TIME_WAIT, 5, info=None), record(CLOSE, 6), record(inet_diag.CLOSE_WAIT, 7),
            record(inet_diag.LAST_ACK, 8), record(inet_diag.CLOSING, 9),
        )  # fmt: skip
        self.assertEqual(self.gauges(), [2, 1, 5, 1])

    def test_what_was_there_before_us_is_adopted_not_opened(self) -> None:
        """Its beginning was not seen; its end is."""
        self.dump(1, record(cookie=7))
        self.table.destroyed(notice(7), 2)
        self.assertEqual((self.table.adopted, self.table.opened, self.ends()), (1, 0, {"fin": 1}))

    def test_a_connection_shorter_than_the_dumps_interval_is_counted(self) -> None:
        """The notice alone opens and closes it."""
        self.dump(1)
        for cookie in range(1, 101):
            self.table.destroyed(notice(cookie), 2)
        self.assertEqual((self.table.opened, self.ends(), self.gauges()), (100, {"fin": 100}, [0, 0, 0, 0]))

    def test_a_short_connection_lasted_at_least_as_long_as_it_was_silent(self) -> None:
        """Its notice has no other clue to its age."""
        self.dump(1)
        self.table.destroyed(notice(1, info=info_bytes(acked=2, silent_ms=700)), 2)
        self.table.destroyed(notice(2, info=info_bytes(rtt_us=0, silent_ms=11_206_940)), 2)
        durations = self.places.totals["web", "out", "tcp"].durations
        self.assertEqual((durations.count, durations.sum), (2, 0.7))

    def test_an_operators_end_is_told_from_others(self) -> None:
        """The notice of a killed socket looks like any reset."""
        self.dump(1, record())
        self.table.killed(record())
        self.table.destroyed(notice(info=info_bytes(acked=1)), 2)
        self.assertEqual(self.ends(), {"killed": 1})

    def test_a_dump_does_not_revive_what_a_notice_destroyed(self) -> None:
        """A notice during a dump is newer than what the dump brings."""
        self.dump(1, record())
        self.table.begin_dump()
        self.table.destroyed(notice(), 2)
        self.table.dumped(record(), 2)
        self.table.end_dump(2)
        self.assertEqual((len(self.table), self.gauges()), (0, [0, 0, 0, 0]))

    def test_a_socket_that_a_dump_lacks_is_closed_but_not_gone(self) -> None:
        """Reset by its peer and still held: closed for ten seconds, gone with its notice, counted once."""
        self.dump(1)
        self.dump(2, record())
        self.dump(3)
        self.assertEqual(self.gauges(), [0, 1, 0, 0], "one miss proves nothing")
        self.dump(4)
        self.assertEqual(self.gauges(), [0, 0, 0, 1])
        self.dump(20)
        self.assertEqual((self.gauges(), len(self.table)), ([0, 0, 0, 0], 1))
        self.table.destroyed(notice(info=info_bytes(acked=1)), 30)
        self.assertEqual((self.table.opened, self.ends(), len(self.table)), (1, {"rst": 1}, 0))

    def test_lost_notices_are_made_good_by_the_next_two_dumps(self) -> None:
        """What both lack ended unobserved, and the gauges are right again; one may miss what lives."""
        self.dump(1)
        self.dump(2, record(cookie=7), record(cookie=8), record(cookie=9))
        self.assertEqual(self.dump(3, record(cookie=8), lost=True), 0)
        self.assertEqual(self.gauges(), [0, 3, 0, 0])
        self.assertEqual(self.dump(4, record(cookie=8), record(cookie=9)), 1)
        self.assertEqual(self.gauges(), [0, 2, 0, 0])
        self.assertEqual(self.dump(5, record(cookie=8)), 0)
        self.assertEqual(self.dump(6, record(cookie=8)), 0, "nothing was lost since it was seen")
        self.assertEqual(self.gauges(), [0, 1, 0, 1])
        self.assertEqual(self.dump(7, record(cookie=8), lost=True), 1, "but now")
        self.assertEqual((self.gauges(), self.ends(), self.table.unobserved), ([0, 1, 0, 0], {"unobserved": 2}, 2))

    def test_a_loss_is_remembered_when_the_dump_after_it_fails(self) -> None:
        """The next ones make it good."""
        self.dump(1)
        self.dump(2, record())
        self.table.begin_dump(lost=True)
        self.table.abandon_dump()
        self.assertEqual((self.dump(3), self.dump(4), self.ends()), (0, 1, {"unobserved": 1}))

    def test_a_shadow_tells_the_end_of_a_socket_whose_notice_was_lost(self) -> None:
        """Its FIN was acknowledged; the shadow stays in the gauges until it goes."""
        for state in (TIME_WAIT, FIN_WAIT2):
            self.setUp()
            self.dump(1)
            self.dump(2, record(), record(cookie=8))
            for now, lost in ((4, True), (5, False)):
                self.dump(now, record(state, info=None, inode=0), record(cookie=8), lost=lost)
                self.assertEqual((self.table.opened, self.ends(), self.gauges()), (2, {"fin": 1}, [0, 1, 1, 0]))
            durations = self.places.totals["web", "out", "tcp"].durations
            self.assertEqual((durations.count, durations.sum), (1, 2.0))
            self.dump(6, record(cookie=8))
            self.dump(7, record(cookie=8))
            self.assertEqual((self.ends(), self.gauges(), self.table.unobserved), ({"fin": 1}, [0, 1, 0, 0], 0))

    def test_a_notice_that_comes_after_the_shadow_counts_nothing_twice(self) -> None:
        """But the segments that only it knows of."""
        self.dump(1)
        self.dump(2, record(info=info_bytes(segments=(3, 3))))
        self.dump(3, record(TIME_WAIT, info=None, inode=0))
        self.table.destroyed(notice(info=info_bytes(acked=2, segments=(5, 4))), 4)
        self.dump(5, record(TIME_WAIT, info=None, inode=0))
        self.assertEqual((self.table.opened, self.ends(), self.gauges()), (1, {"fin": 1}, [0, 0, 1, 0]))
        self.assertEqual(self.qualities.by_place["web", "out"].segments, 5)

    def test_a_socket_in_fin_wait2_is_no_shadow(self) -> None:
        """Its owner may still read; its notice comes, and tells how it ended."""
        self.dump(1)
        self.dump(2, record())
        self.dump(3, record(FIN_WAIT2))
        self.assertEqual((self.ends(), self.gauges()), ({}, [0, 0, 1, 0]))
        self.table.destroyed(notice(info=info_bytes(acked=1)), 4)
        self.assertEqual(self.ends(), {"rst": 1})

    def test_the_shadow_of_an_accepting_end_within_the_host_ends_nothing(self) -> None:
        """That end was not counted, its notice is not either; the shadow stands for the connection."""
        self.dump(1, listener(), incoming(7, client=LOCAL))
        left = record(TIME_WAIT, 7, destination=LOCAL, ports=(8080, 50007), info=None)
        self.dump(2, listener(), left)
        self.table.destroyed(notice(7, destination=LOCAL, ports=(8080, 50007)), 3)
        self.assertEqual((self.table.adopted, self.ends()), (0, {}))

    def test_forgetting_everything_ends_no_shadow_again(self) -> None:
        """It has ended."""
        self.dump(1, record())
        self.dump(2, record(TIME_WAIT, info=None))
        self.table.clear(3)
        self.assertEqual((self.ends(), self.gauges(), len(self.table)), ({"fin": 1}, [0, 0, 0, 0], 0))

    def test_a_notice_that_was_late_is_not_taken_for_lost(self) -> None:
        """Of two sockets that a dump lacks after a loss, one has its notice yet."""
        self.dump(1)
        self.dump(2, record(cookie=7), record(cookie=8))
        self.dump(3, lost=True)
        self.table.destroyed(notice(8), 3)
        self.dump(4)
        self.assertEqual(
            (self.gauges(), self.ends(), self.table.unobserved), ([0, 0, 0, 0], {"fin": 1, "unobserved": 1}, 1)
        )

    def test_shadows_of_sockets_come_and_go_silently(self) -> None:
        """TIME_WAIT, and FIN_WAIT2 without its socket, belong to connections that have been counted."""
        self.dump(1)
        self.dump(2, record(TIME_WAIT, 8, info=None), record(FIN_WAIT2, 9, info=None))
        self.dump(3)
        self.assertEqual(self.gauges(), [0, 0, 2, 0], "one miss proves nothing")
        self.dump(4)
        self.assertEqual((self.table.opened, self.ends(), self.gauges()), (0, {}, [0, 0, 0, 0]))

    def test_sockets_that_never_were_connections_do_not_count(self) -> None:
        """Listeners, and sockets that never connected."""
        self.dump(1)
        bare = info_bytes(rtt_us=0, min_rtt_us=NO_RTT, segments=(0, 0))
        self.assertIsNone(self.table.destroyed(notice(9, ports=(8080, 0), info=bare), 2))
        self.assertEqual((self.table.opened, self.ends()), (0, {}))

    def test_incoming_connections_have_the_clients_address_without_its_port(self) -> None:
        """A listening port tells the direction; two clients' ports are one series."""
        self.dump(1, listener(), incoming(1), incoming(2))
        self.assertEqual(self.gauges("192.0.2.7"), [0, 2, 0, 0])

    def test_a_connection_within_the_host_is_counted_at_its_opener(self) -> None:
        """As conntrack has one entry for it."""
        client = record(ESTABLISHED, 1, destination=LOCAL, ports=(50001, 8080))
        self.dump(1, listener(), client, incoming(1 + 1, client=LOCAL))
        self.assertEqual((self.gauges("10.0.0.1:8080"), len(self.places.hosts.series())), ([0, 1, 0, 0], 2))

    def test_time_wait_at_the_accepting_end_stands_for_a_connection_within_the_host(self) -> None:
        """The opener's socket is gone; conntrack has the connection as closing, at its opener."""
        left = record(TIME_WAIT, 2, destination=LOCAL, ports=(8080, 50001), info=None)
        self.dump(1, listener(), left)
        self.assertEqual(self.gauges("10.0.0.1:8080"), [0, 0, 1, 0])

    def test_a_direction_that_ports_do_not_tell_is_asked_for(self) -> None:
        """A listener newer than the last dump; asked at most ten times a second."""
        asked = []

        def ask() -> None:
            asked.append(1)
            self.table.listens(listener(45000))

        self.dump(1)
        self.table.ask_listening = ask
        for cookie in (1, 2, 3):
            self.table.destroyed(notice(cookie, ports=(45000, 50000 + cookie)), 2)
        self.assertEqual((len(asked), [host.label for host in self.places.hosts.series()]), (1, ["192.0.2.7", "other"]))

    def test_what_was_acknowledged_tells_the_direction_in_the_end(self) -> None:
        """Without a clue a client's port must not become a series."""
        self.dump(1)
        for cookie, acked in ((1, 1), (2, 2)):
            ports = (45000, 50000 + cookie)
            self.table.destroyed(notice(cookie, ports=ports, info=info_bytes(acked=acked)), 2)
        labels = [host.label for host in self.places.hosts.series()]
        self.assertEqual(labels, ["192.0.2.7", "192.0.2.7:50002", "other"])

    def test_ignored_hosts_have_no_series(self) -> None:
        """Their connections are known all the same."""
        self.dump(1, record(destination=socket.inet_aton("192.0.2.8")))
        self.assertEqual((len(self.table), [host.label for host in self.places.hosts.series()]), (1, ["other"]))

    def test_without_cookies_a_new_inode_is_a_new_connection(self) -> None:
        """/proc has no cookies; an orphan loses its inode and stays the same connection."""
        self.table.notices = False
        self.dump(1, record(cookie=0, inode=5, info=None))
        self.dump(2, record(FIN_WAIT1, cookie=0, inode=0, info=None))
        self.assertEqual((self.table.opened, self.table.adopted), (0, 1))
        self.dump(3, record(cookie=0, inode=6, info=None))
        self.dump(4, record(cookie=0, inode=7, info=None))
        self.dump(5)
        self.assertEqual((self.table.opened, self.ends()), (1, {"unobserved": 2}))

    def test_stopping_forgets_everything(self) -> None:
        """No gauge stays behind."""
        self.dump(1, record(), record(TIME_WAIT, 9, info=None))
        self.table.clear(2)
        self.assertEqual((self.gauges(), len(self.table)), ([0, 0, 0, 0], 0))

    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["dump", "lossy", "destroy"]),
                st.lists(st.tuples(st.integers(1, 6), st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 11]), st.booleans())),
            ),
            max_size=12,
        )
    )
    def test_the_sums_hold(self, story: list[tuple[str, list[tuple[int, int, bool]]]]) -> None:
        """Whatever comes: gauges equal the entries, and opened + adopted - closed = counted entries that live."""
        self.setUp()
        for now, (what, found) in enumerate(story):
            if what == "destroy":
                for cookie, _, _ in found:
                    self.table.destroyed(notice(cookie), now)
            else:
                records = {cookie: record(state, cookie, info=b"" if whole else None) for cookie, state, whole in found}
                self.dump(now, *records.values(), lost=what == "lossy")
            table = self.table
            counted = sum(entry.counted and not entry.ended for entry in table.entries.values())
            self.assertEqual(table.opened + table.adopted - sum(table.closed), counted)
            gauges = [sum(entry.gauge == gauge for entry in table.entries.values()) for gauge in range(4)]
            shown = [host.gauges[:4] for host in self.places.hosts.series()]
            self.assertEqual([sum(column) for column in zip(*shown, strict=True)], gauges)


class EndTests(SynchronousTestCase):
    """How a connection ended, from its last TCP_INFO."""

    def test_the_acknowledgement_of_our_fin_tells(self) -> None:
        """Our SYN counts when we opened, so the same number means another thing for what was accepted."""
        self.assertEqual(how_ended(notice(info=info_bytes(acked=1002, sent=1000)), outbound=True), FIN)
        self.assertEqual(how_ended(notice(info=info_bytes(acked=1001, sent=1000)), outbound=True), RST)
        self.assertEqual(how_ended(notice(info=info_bytes(acked=1001, sent=1000)), outbound=False), FIN)
        self.assertEqual(how_ended(notice(info=info_bytes(acked=900, sent=1000)), outbound=False), RST)

    def test_retransmissions_in_flight_mean_a_timeout(self) -> None:
        """The kernel gave up."""
        self.assertEqual(how_ended(notice(info=info_bytes(acked=1, sent=10, retransmits=9)), outbound=True), TIMEOUT)

    def test_a_handshake_that_never_ended(self) -> None:
        """Refused when something came back, unanswered when nothing did."""
        self.assertEqual(how_ended(notice(info=info_bytes(rtt_us=0, segments=(1, 1))), outbound=True), REFUSED)
        self.assertEqual(how_ended(notice(info=info_bytes(rtt_us=0, segments=(5, 0))), outbound=True), UNANSWERED)

    def test_a_disconnected_socket_has_lost_its_remote_port(self) -> None:
        """Refused if it never had a round-trip time, reset by us if it had."""
        refused = notice(ports=(40000, 0), send_queue=3, info=info_bytes(rtt_us=0, min_rtt_us=NO_RTT, segments=(0, 0)))
        aborted = notice(ports=(40000, 0), info=info_bytes(rtt_us=0, min_rtt_us=26, segments=(0, 0)))
        self.assertTrue(was_connection(refused) and was_connection(aborted))
        self.assertEqual(how_ended(refused, outbound=True), REFUSED)
        self.assertEqual(how_ended(aborted, outbound=True), RST)

    def test_without_tcp_info_nothing_is_claimed(self) -> None:
        """It ended, that is all."""
        self.assertEqual(how_ended(notice()._replace(info=None), outbound=True), UNOBSERVED)


class QualityTests(TableTestCase):
    """TCP_INFO as counters by group and direction."""

    def test_each_segment_is_counted_once(self) -> None:
        """Looks add what is new; a look without traffic observes no round-trip time."""
        first, second = (
            info_bytes(segments=(10, 8), total_retransmits=1),
            info_bytes(segments=(15, 9), total_retransmits=3, sent=100, acked=102),
        )
        self.dump(1, record(info=first))
        self.dump(2, record(info=first))
        self.table.destroyed(notice(info=second), 3)
        quality = self.qualities.by_place["web", "out"]
        self.assertEqual((quality.segments, quality.retransmitted, quality.rtt.count), (15, 3, 2))
        totals = self.places.totals["web", "out", "tcp"]
        self.assertEqual(totals.traffic, [15, 100, 9, 0])

    def test_ignored_hosts_are_left_out(self) -> None:
        """They have no group."""
        self.dump(1, record(destination=socket.inet_aton("192.0.2.8")))
        self.assertEqual(self.qualities.by_place, {})


class LongTermTests(TableTestCase):
    """netstat_tcp_longterm_connections_total."""

    def test_age_is_true_from_the_first_sight_of_the_cookie(self) -> None:
        """A new connection with the same ends starts from nothing."""
        self.dump(1, listener(), incoming(1))
        self.dump(6.5, listener(), incoming(1))
        self.assertEqual(self.longterm.count(self.table, 6.5), {("8080", "4"): 0})
        self.assertEqual(self.longterm.count(self.table, 7.0), {("8080", "4"): 1})
        self.table.destroyed(notice(1, ports=(8080, 50001)), 7.5)
        self.dump(8, listener(), incoming(3))
        self.assertEqual(self.longterm.count(self.table, 9.0), {("8080", "4"): 0})

    def test_silence_proves_age_at_the_first_sight(self) -> None:
        """A restart of ours does not make an idle connection young."""
        self.dump(1, listener(), incoming(1, info=info_bytes(silent_ms=3_600_000)))
        self.assertEqual(self.longterm.count(self.table, 1.0), {("8080", "4"): 1})

    def test_connection_tracking_may_know_better(self) -> None:
        """Where it has time stamps."""
        self.dump(100, listener(), incoming(1))
        knowing = LongTerm(LongTermRules(6.0), lambda found: 90.0)
        self.assertEqual(knowing.count(self.table, 100.0), {("8080", "4"): 1})

    def test_versions_of_ip_are_told_apart(self) -> None:
        """A v4-mapped client of a dual-stack server is version 4."""
        mapped = bytes(10) + b"\xff\xff"
        four = incoming(1, client=mapped + REMOTE, source=mapped + LOCAL, family=10)
        six = incoming(2, client=V6_REMOTE, source=V6_LOCAL, family=10)
        self.dump(1, listener(source=bytes(16)), four, six)
        self.assertEqual(self.longterm.count(self.table, 9), {("8080", "4"): 1, ("8080", "6"): 1})
        without = LongTerm(LongTermRules(6.0, versions=V4))
        self.assertEqual(without.count(self.table, 9), {("8080", "4"): 1})

    def test_outgoing_connections_count_only_when_asked(self) -> None:
        """Their ephemeral ports would be series without end."""
        self.dump(1, listener(), record(cookie=5))
        self.assertEqual(self.longterm.count(self.table, 9), {("8080", "4"): 0})
        every = LongTerm(LongTermRules(6.0, every_port=True))
        self.assertEqual(every.count(self.table, 9), {("8080", "4"): 0, ("40000", "4"): 1})

    def test_asked_ports_and_the_own_port(self) -> None:
        """Only the first, with their zeros; never the second."""
        self.dump(1, listener(), listener(9669, cookie=1001), incoming(1), incoming(2, port=9669))
        rules = LongTermRules(6.0, ports=frozenset((8080, 81)))
        expected = {("8080", "4"): 1, ("8080", "6"): 0, ("81", "4"): 0, ("81", "6"): 0}
        self.assertEqual(LongTerm(rules).count(self.table, 9), expected)
        own = LongTerm(LongTermRules(6.0, own_ports=frozenset((9669,))))
        self.assertEqual(own.count(self.table, 9), {("8080", "4"): 1})

    def test_connections_outlive_their_listener(self) -> None:
        """A server that was replaced still has its users."""
        self.dump(1, listener(), incoming(1))
        self.dump(9, incoming(1))
        self.assertEqual(self.longterm.count(self.table, 9), {("8080", "4"): 1})

    def test_ports_stay_within_the_budget(self) -> None:
        """The rest is other, and the sum is kept."""
        self.dump(1, *(record(cookie=n, ports=(40000 + n, 443)) for n in range(1, 9)))
        rules = LongTermRules(6.0, every_port=True, max_ports=3)
        found = LongTerm(rules).count(self.table, 9)
        self.assertEqual((len(found), found["other", "4"], sum(found.values())), (4, 5, 8))
        self.assertEqual(LongTerm(rules).total(self.table, 9), 8)
