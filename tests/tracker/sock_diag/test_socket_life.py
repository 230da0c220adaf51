"""Sockets at the edges: directions, misses, shadows, what is whole, how ends are told, what listens."""

from __future__ import annotations

import socket
from typing import Any

from netappliance.tracker.counting.totals import FIN, REFUSED, RST, TIMEOUT, UNANSWERED
from netappliance.tracker.sock_diag import inet_diag
from netappliance.tracker.sock_diag.cgroups import Cgroups
from netappliance.tracker.sock_diag.inet_diag import (
    CLOSE,
    ESTABLISHED,
    FIN_WAIT1,
    FIN_WAIT2,
    NEW_SYN_RECV,
    NO_RTT,
    SYN_RECV,
    SYN_SENT,
    TIME_WAIT,
    Socket,
)
from netappliance.tracker.sock_diag.socket_table import (
    V4,
    V6,
    SocketTable,
    how_ended,
    opened_here,
    state_name,
    was_connection,
)
from tests.tracker.sock_diag.test_inet_diag import LOCAL, REMOTE, info_bytes
from tests.tracker.sock_diag.test_socket_table import (
    V6_LOCAL,
    V6_REMOTE,
    TableTestCase,
    incoming,
    listener,
    notice,
    record,
)

BARE: dict[str, Any] = {"rtt_us": 0, "segments": (0, 0)}


class DirectionTests(TableTestCase):
    """Who opened a connection."""

    def inbound(self, ports: tuple[int, int], **fields: Any) -> bool:
        """Whether a socket with these ports counts as accepted."""
        self.dump(1, record(cookie=1, ports=ports, **fields))
        (entry,) = self.table.entries.values()
        self.table.clear(2)
        return entry.inbound

    def test_the_range_of_ephemeral_ports(self) -> None:
        """The kernel's default: both ends belong to it; without it and TCP_INFO the safe answer is accepted."""
        for mine, theirs, inbound in (
            *((32768, 443, False), (60999, 443, False), (32767, 443, True), (61000, 443, True)),
            *((8080, 32768, True), (8080, 60999, True), (40000, 40001, True), (80, 81, True)),
        ):
            self.assertEqual(self.inbound((mine, theirs), info=None), inbound, (mine, theirs))
        opened = info_bytes(acked=2)
        for mine, theirs, inbound in (
            (80, 32767, False),
            (80, 61000, False),
            (80, 32768, True),
            (80, 60999, True),
            (40000, 443, False),
        ):
            self.assertEqual(self.inbound((mine, theirs), info=opened), inbound, (mine, theirs))

    def test_another_range(self) -> None:
        """As the host is configured."""
        self.table = SocketTable(self.places, self.qualities, notices=True, ephemeral=(1000, 2000))
        for mine, inbound in ((1000, False), (2000, False), (999, True), (2001, True), (40000, True)):
            self.assertEqual(self.inbound((mine, 443), info=None), inbound, mine)

    def test_a_listening_port_comes_first(self) -> None:
        """Of the dump before or of the one that is under way."""
        self.dump(1, listener(40000))
        self.table.begin_dump()
        self.table.dumped(record(cookie=1, ports=(40000, 443)), 2)
        self.assertTrue(self.table.entries[1].inbound)
        self.table.dumped(listener(40001), 2)
        self.table.dumped(record(cookie=2, ports=(40001, 443)), 2)
        self.assertTrue(self.table.entries[2].inbound)
        self.table.dumped(record(cookie=3, ports=(40002, 443)), 2)
        self.assertFalse(self.table.entries[3].inbound)
        self.table.end_dump(2)
        self.assertEqual(self.table.listening, {40001: V4})

    def test_a_port_that_listens_at_the_other_end_within_the_host(self) -> None:
        """Then this end opened; the same port elsewhere proves nothing."""
        for destination, inbound in ((LOCAL, False), (REMOTE, True)):
            self.dump(1, listener(45000), record(cookie=1, destination=destination, ports=(50000, 45000), info=None))
            self.assertEqual(self.table.entries[1].inbound, inbound)
            self.table.clear(2)
        self.dump(3)
        self.dump(1, record(cookie=1, destination=LOCAL, ports=(50000, 45000), info=None))
        self.assertTrue(self.table.entries[1].inbound)

    def test_listeners_are_asked_for_ten_times_a_second(self) -> None:
        """Only where nothing else tells."""
        asked: list[float] = []
        now = 0.0
        self.table.ask_listening = lambda: asked.append(now)
        self.dump(0)
        for now in (0.0, 0.0625, 0.125, 0.1875, 0.25, 100.0):
            self.table.destroyed(notice(int(now * 1000) + 1, ports=(45000, 50000)), now)
        self.assertEqual(asked, [0.0, 0.125, 0.25, 100.0])
        for ports in ((45000, 443), (80, 45000)):
            self.table.destroyed(notice(9999 + ports[0], ports=ports), 200.0)
        self.assertEqual(len(asked), 4)

    def test_what_tcp_info_proves(self) -> None:
        """Our SYN counts as a byte that was acknowledged, at either end our FIN; bytes sent again do not count."""
        proofs: tuple[tuple[int, dict[str, Any], bool], ...] = (
            (SYN_SENT, {"acked": 0}, True),
            (ESTABLISHED, {"acked": 0}, False),
            (ESTABLISHED, {"acked": 1}, True),
            (ESTABLISHED, {"acked": 1000, "sent": 1000}, False),
            (ESTABLISHED, {"acked": 1001, "sent": 1000}, True),
            (FIN_WAIT1, {"acked": 1001, "sent": 1000}, False),
            (FIN_WAIT1, {"acked": 1002, "sent": 1000}, True),
        )
        for state, info, opened in proofs:
            found = record(state, info=info_bytes(**info))
            self.assertEqual(opened_here(found), opened, (state, info))
        again = record(info=info_bytes(acked=501, sent=1000))
        assert again.info is not None
        self.assertTrue(opened_here(again._replace(info=again.info._replace(retransmitted=500))))
        self.assertFalse(opened_here(again._replace(info=again.info._replace(retransmitted=499))))
        self.assertFalse(opened_here(record(SYN_SENT)._replace(info=None)))

    def test_addresses_of_sockets_are_this_hosts(self) -> None:
        """A new one is learnt, so that a connection to it is one within the host; the wildcard is none."""
        new = socket.inet_aton("10.0.0.77")
        self.dump(1, record(cookie=1, source=new), record(cookie=2, source=bytes(4)))
        self.assertEqual(self.places.local, frozenset((LOCAL, V6_LOCAL, new)))
        self.dump(2, listener(), incoming(3, client=new))
        self.assertIsNone(self.table.entries[3].place)

    def test_what_is_within_the_host(self) -> None:
        """Loopback in IPv4, whichever address; the accepting end has no place."""
        for client, within in (("127.0.0.1", True), ("127.9.9.9", True), ("126.0.0.1", False), ("1.127.0.1", False)):
            self.dump(1, listener(), incoming(1, client=socket.inet_aton(client)))
            self.assertEqual(self.table.entries[1].place is None, within, client)
            self.table.clear(2)
        six = bytes((127, *range(15)))
        self.dump(1, listener(source=bytes(16)), incoming(1, client=six, source=V6_LOCAL, family=10))
        self.assertIsNotNone(self.table.entries[1].place)


class DumpTests(TableTestCase):
    """Entries that dumps bring and lack."""

    def test_two_misses_and_ten_seconds(self) -> None:
        """Then a closed socket is shown no more; a dump that has it makes it what it is."""
        self.dump(1)
        self.dump(2, record())
        for now, gauges in (
            (3, [0, 1, 0, 0]),
            (4, [0, 0, 0, 1]),
            (13.9, [0, 0, 0, 1]),
            (14, [0, 0, 0, 1]),
            (14.1, [0] * 4),
        ):
            self.dump(now)
            self.assertEqual((self.gauges(), len(self.table)), (gauges, 1), now)
        self.dump(30)
        host = next(each for each in self.places.hosts.series() if each.label == "192.0.2.7:443")
        self.assertEqual((self.gauges(), host.used), ([0] * 4, 14.1))
        self.dump(40, record(FIN_WAIT1))
        self.assertEqual(self.gauges(), [0, 0, 1, 0])
        self.dump(41)
        self.dump(42, record(FIN_WAIT1))
        self.dump(43)
        self.assertEqual(self.gauges(), [0, 0, 1, 0], "misses are counted in a row")
        self.assertEqual((self.table.opened, self.ends()), (1, {}))

    def test_what_is_not_whole_goes_after_two_misses(self) -> None:
        """At once where no notices come."""
        for notices, left in ((True, [1, 0]), (False, [0, 0])):
            self.setUp()
            self.table.notices = notices
            self.dump(1, record(TIME_WAIT, 1, info=None, inode=0))
            for count in left:
                self.dump(2)
                self.assertEqual(len(self.table), count)
            self.assertEqual((self.table.opened, self.table.adopted, self.ends()), (0, 0, {}))

    def test_what_is_whole(self) -> None:
        """With notices what has TCP_INFO; without, what has an inode or a state of its own."""
        for notices, state, info, inode, whole in (
            (True, ESTABLISHED, b"", 0, True),
            (True, TIME_WAIT, b"", 0, True),
            (True, ESTABLISHED, None, 5, False),
            (False, ESTABLISHED, None, 0, True),
            (False, FIN_WAIT1, None, 0, True),
            (False, SYN_RECV, None, 5, True),
            (False, SYN_RECV, None, 0, False),
            (False, TIME_WAIT, None, 0, False),
            (False, FIN_WAIT2, b"", 0, False),
            (False, FIN_WAIT2, None, 7, True),
        ):
            self.setUp()
            self.table.notices = notices
            self.dump(1, record(state, info=info, inode=inode))
            (entry,) = self.table.entries.values()
            self.assertEqual((entry.counted, self.table.adopted), (whole, int(whole)), (notices, state, info, inode))

    def test_records_without_a_remote_end_are_none(self) -> None:
        """Sockets that are bound or were never connected."""
        self.dump(1, record(CLOSE, 1, ports=(40000, 0)), record(CLOSE, 2, ports=(40000, 1)))
        self.assertEqual(list(self.table.entries), [2])

    def test_lost_notices_end_what_a_dump_lacks(self) -> None:
        """When the next one lacks it too; the number is told. Without notices every dump does."""
        self.dump(1)
        self.dump(2, record(cookie=1), record(cookie=2), record(TIME_WAIT, 3, info=None))
        self.assertEqual((self.dump(2, lost=True), self.dump(3)), (0, 2))
        self.assertEqual((self.table.unobserved, self.ends(), len(self.table)), (2, {"unobserved": 2}, 0))
        durations = self.places.totals["web", "out", "tcp"].durations
        self.assertEqual((durations.count, durations.sum), (2, 2.0))
        self.table.notices = False
        self.dump(4, record(cookie=5))
        self.assertEqual(self.dump(5), 1)

    def test_the_other_end_of_a_connection_within_the_host_ends_without_a_number(self) -> None:
        """It was not counted."""
        self.dump(1, listener(), incoming(1, client=LOCAL))
        self.assertEqual((self.table.adopted, len(self.table)), (0, 1))
        self.assertEqual((self.dump(2, listener(), lost=True), self.dump(2, listener())), (0, 0))
        self.assertEqual((self.table.unobserved, self.ends(), len(self.table)), (0, {}, 0))

    def test_a_dump_that_failed_proves_nothing(self) -> None:
        """Its notices are forgotten; what it brought stays."""
        self.dump(1, record(cookie=1))
        self.table.begin_dump()
        self.table.dumped(record(cookie=2), 2)
        self.table.destroyed(notice(2), 2)
        self.table.abandon_dump()
        self.assertEqual((self.table.dumping, sorted(self.table.entries)), (False, [1]))
        self.dump(3, record(cookie=1), record(cookie=2))
        self.assertEqual(sorted(self.table.entries), [1, 2])

    def test_states_that_are_unknown_have_no_gauge(self) -> None:
        """A kernel of the future may send some."""
        for state, shown in (
            (14, [0] * 4),
            (200, [0] * 4),
            (NEW_SYN_RECV, [1, 0, 0, 0]),
            (inet_diag.CLOSING, [0, 0, 1, 0]),
        ):
            self.setUp()
            self.dump(1, record(ESTABLISHED, 1))
            self.dump(2, record(ESTABLISHED, 1)._replace(state=state))
            self.assertEqual(self.gauges(), shown, state)

    def test_replaced_ends(self) -> None:
        """Without cookies another inode is another connection, where both are known."""
        for before, after, replaced in ((5, 6, True), (5, 5, False), (5, 0, False), (0, 6, False)):
            self.setUp()
            self.table.notices = False
            self.dump(1, record(cookie=0, inode=before, info=None))
            self.dump(2, record(cookie=0, inode=after, info=None))
            self.assertEqual(self.table.unobserved, int(replaced), (before, after))
        self.setUp()
        self.dump(1, record(cookie=7, inode=5))
        self.dump(2, record(cookie=7, inode=6))
        self.assertEqual(self.table.unobserved, 0)
        self.setUp()
        self.dump(
            1,
            record(cookie=0),
            record(cookie=0, ports=(40001, 443)),
            record(cookie=0, destination=V6_REMOTE, source=V6_LOCAL, family=10),
        )
        self.assertEqual(len(self.table), 3)

    def test_what_listens(self) -> None:
        """By port and version of IP; the IPv6 wildcard takes both; each dump begins anew."""
        self.dump(
            1, listener(80), listener(81, V6_LOCAL), listener(82, bytes(16)), listener(83), listener(83, V6_LOCAL)
        )
        self.assertEqual(self.table.listening, {80: V4, 81: V6, 82: V4 | V6, 83: V4 | V6})
        self.dump(2, listener(80))
        self.assertEqual(self.table.listening, {80: V4})
        self.table.listens(listener(90))
        self.assertEqual(self.table.listening, {80: V4, 90: V4})
        self.table.begin_dump()
        self.table.listens(listener(91))
        self.assertEqual(self.table.listening, {80: V4, 90: V4})
        self.table.end_dump(3)
        self.assertEqual(self.table.listening, {91: V4})


class CountTests(TableTestCase):
    """What becomes of numbers."""

    def test_established_once_the_handshake_ended(self) -> None:
        """By the round-trip time, or the state where there is no TCP_INFO; once, and of what we saw begin."""
        self.dump(1)
        web = self.places.totals_of("web", "out", "tcp")
        for now, found, established in (
            (2, record(SYN_SENT, 1, info=info_bytes(rtt_us=0)), 0),
            (3, record(ESTABLISHED, 1, info=info_bytes(rtt_us=0)), 0),
            (4, record(ESTABLISHED, 1), 1),
            (5, record(FIN_WAIT1, 1), 1),
        ):
            self.dump(now, found)
            self.assertEqual(web.established, established, now)
        self.table.destroyed(notice(2), 6)
        self.assertEqual(web.established, 2)
        self.table.destroyed(notice(3, info=info_bytes(rtt_us=0)), 6)
        self.assertEqual(web.established, 2)
        self.assertEqual((web.opened, self.table.opened, self.table.adopted), (3, 3, 0))

    def test_without_tcp_info_the_state_tells(self) -> None:
        """While it shakes hands it is not established."""
        self.table.notices = False
        self.dump(1)
        web = self.places.totals_of("web", "out", "tcp")
        for cookie, (state, established) in enumerate(
            ((SYN_SENT, 0), (SYN_RECV, 0), (NEW_SYN_RECV, 0), (ESTABLISHED, 1), (FIN_WAIT1, 2)), 1
        ):
            self.dump(cookie + 1, record(state, cookie, info=None))
            self.assertEqual(web.established, established, state)

    def test_what_was_there_before_us_is_not_established_again(self) -> None:
        """Nor has it a duration."""
        self.dump(1, record())
        self.table.destroyed(notice(), 5)
        web = self.places.totals_of("web", "out", "tcp")
        self.assertEqual((web.established, web.opened, web.durations.count, web.closed[FIN]), (0, 0, 0, 1))
        self.assertEqual((self.table.adopted, self.table.closed[FIN]), (1, 1))

    def test_durations(self) -> None:
        """From the dump that brought it, or as long as it was silent, to its notice."""
        self.dump(1)
        self.dump(2, record(cookie=1), record(cookie=2, info=info_bytes(silent_ms=1500)))
        for cookie in (1, 2):
            self.table.destroyed(notice(cookie), 3.25)
        web = self.places.totals_of("web", "out", "tcp")
        self.assertEqual((web.durations.count, web.durations.sum), (2, 1.25 + 2.75))

    def test_hosts_know_when_they_were_used(self) -> None:
        """By every change of a gauge and every end."""
        self.dump(1)
        self.dump(2, record())
        host = next(each for each in self.places.hosts.series() if each.label == "192.0.2.7:443")
        self.assertEqual(host.used, 2)
        self.dump(3, record())
        self.assertEqual(host.used, 2)
        self.dump(4, record(FIN_WAIT1))
        self.assertEqual(host.used, 4)
        self.table.destroyed(notice(), 5)
        self.assertEqual(host.used, 5)
        self.table.destroyed(notice(9), 6)
        self.assertEqual(host.used, 6)

    def test_a_notice_is_an_end_only_of_a_connection(self) -> None:
        """Unknown ones count when a whole dump was taken, once each; what ended is returned."""
        self.assertIsNone(self.table.destroyed(notice(1), 1))
        self.dump(1)
        ended = self.table.destroyed(notice(1), 2)
        assert ended is not None
        self.assertEqual((ended.inbound, ended.exact, ended.counted, len(self.table)), (False, True, True, 0))
        self.assertEqual((self.table.opened, self.ends()), (1, {"fin": 1}))
        self.dump(3, record(SYN_RECV, 5, info=None))
        self.table.destroyed(notice(5), 4)
        self.assertEqual((self.table.opened, self.ends(), len(self.table)), (2, {"fin": 2}, 0))

    def test_killed_ones_are_told_once(self) -> None:
        """Who comes after with the same cookie was not killed; nor is one that was lost."""
        self.dump(1, record(cookie=7), record(cookie=8), record(cookie=9))
        for cookie in (7, 8):
            self.table.killed(record(cookie=cookie))
        self.table.destroyed(notice(7), 2)
        self.table.destroyed(notice(9), 2)
        self.dump(3, lost=True)
        self.dump(3)
        self.assertEqual(self.ends(), {"killed": 1, "fin": 1, "unobserved": 1})
        for cookie in (7, 8):
            self.table.destroyed(notice(cookie), 4)
        self.assertEqual(self.ends(), {"killed": 1, "fin": 3, "unobserved": 1})

    def test_forgetting_everything_ends_what_was_counted(self) -> None:
        """And the next dump begins anew: what it brings was there before."""
        self.dump(1)
        self.dump(2, record(cookie=1), record(TIME_WAIT, 2, info=None))
        self.table.clear(3)
        self.assertEqual((self.table.unobserved, self.ends(), self.table.complete), (1, {"unobserved": 1}, False))
        self.dump(4, record(cookie=5))
        self.assertEqual((self.table.opened, self.table.adopted), (1, 1))

    def test_control_groups_are_told_what_is_new(self) -> None:
        """Only when segments moved; also at the end."""
        self.table.cgroups = Cgroups(5)
        self.dump(1, record(cgroup=77, info=info_bytes(sent=100, acked=101, segments=(3, 3))))
        self.dump(2, record(cgroup=77, info=info_bytes(sent=900, acked=101, segments=(3, 3))))
        self.dump(3, record(cgroup=77, info=info_bytes(sent=300, acked=101, segments=(3, 4))))
        self.dump(4, record(cgroup=77, info=info_bytes(sent=350, acked=101, segments=(4, 4))))
        self.table.destroyed(notice(cgroup=77, info=info_bytes(sent=400, acked=402, segments=(5, 4))), 5)
        self.table.cgroups.name(77, "/a")
        shown = {path: traffic.sent for path, _, traffic in self.table.cgroups.shown([])}
        self.assertEqual(shown, {"/a": 400, "other": 0})
        self.table.destroyed(notice(8, cgroup=77, info=info_bytes(sent=400, segments=(0, 4))), 6)
        shown = {path: traffic.sent for path, _, traffic in self.table.cgroups.shown([])}
        self.assertEqual(shown["/a"], 400)

    def test_states_have_names(self) -> None:
        """As ss calls them; others are unknown."""
        names = "established syn_sent syn_recv fin_wait1 fin_wait2 time_wait close close_wait last_ack listen closing"
        self.assertEqual(" ".join(map(state_name, range(1, 12))), names)
        self.assertEqual(
            [state_name(each) for each in (-1, 0, 12, 13, 14, 99)],
            ["unknown", "unknown", "syn_recv", "close", "unknown", "unknown"],
        )


class EndTests(TableTestCase):
    """How a connection ended, and whether there was one."""

    def judged(self, *, outbound: bool = True, ports: tuple[int, int] = (40000, 443), **info: Any) -> int:
        """Judge a notice with this TCP_INFO."""
        return how_ended(notice(ports=ports, info=info_bytes(**info)), outbound=outbound)

    def test_at_the_edges(self) -> None:
        """One byte more or less of what was acknowledged; one segment, one retransmission."""
        for outbound in (True, False):
            own = int(outbound)
            self.assertEqual(self.judged(outbound=outbound, acked=1001 + own, sent=1000), FIN)
            self.assertEqual(self.judged(outbound=outbound, acked=1000 + own, sent=1000), RST)
            self.assertEqual(self.judged(outbound=outbound, acked=1000 + own, sent=1000, retransmits=1), TIMEOUT)
            self.assertEqual(self.judged(outbound=outbound, acked=1001 + own, sent=1000, retransmits=1), FIN)
        self.assertEqual(self.judged(rtt_us=0, segments=(1, 1)), REFUSED)
        self.assertEqual(self.judged(rtt_us=0, segments=(9, 0)), UNANSWERED)
        self.assertEqual(self.judged(rtt_us=1, segments=(9, 0), acked=1), RST)
        self.assertEqual(self.judged(ports=(40000, 0), min_rtt_us=NO_RTT), REFUSED)
        self.assertEqual(self.judged(ports=(40000, 0), min_rtt_us=NO_RTT - 1), RST)

    def test_what_never_was_a_connection(self) -> None:
        """Neither remote port, queue, nor a round-trip time that was ever measured."""
        for ports, queue, info, was in (
            ((1, 1), 0, info_bytes(min_rtt_us=NO_RTT, **BARE), True),
            ((1, 0), 1, info_bytes(min_rtt_us=NO_RTT, **BARE), True),
            ((1, 0), 0, info_bytes(min_rtt_us=NO_RTT, **BARE), False),
            ((1, 0), 0, info_bytes(min_rtt_us=0, **BARE), True),
            ((1, 0), 0, None, False),
        ):
            found: Socket = notice(ports=ports, send_queue=queue)
            found = notice(ports=ports, send_queue=queue, info=info) if info is not None else found._replace(info=None)
            self.assertEqual(was_connection(found), was, (ports, queue))
