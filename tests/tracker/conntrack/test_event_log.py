"""Lines of connection events."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.errors import StartError
from netappliance.tracker.conntrack.ctnetlink import DESTROY, NEW, UPDATE, Change
from netappliance.tracker.conntrack.event_lines import json_line, netfilter_line
from netappliance.tracker.conntrack.event_log import EventLog
from netappliance.tracker.conntrack.table import Ending
from netappliance.tracker.counting.places import group_rule
from netappliance.tracker.counting.totals import FIN, Totals
from tests.tracker.support import REMOTE, change, table_of


class NetfilterTests(SynchronousTestCase):
    """The text of ``conntrack -E``, as version 1.4.7 printed it for the same messages."""

    def test_tcp(self) -> None:
        """State and timeout when they are told, [UNREPLIED] and [ASSURED] by status."""
        cases = (
            (
                change(NEW, state=1, status=0x188, timeout=120, ident=1),
                (
                    "    [NEW] tcp      6 120 SYN_SENT src=10.0.0.1 dst=192.0.2.7 sport=40000 dport=443 [UNREPLIED] "
                    "src=192.0.2.7 dst=10.0.0.1 sport=443 dport=40000"
                ),
            ),
            (
                change(UPDATE, state=3, status=0x18E, timeout=432000),
                (
                    " [UPDATE] tcp      6 432000 ESTABLISHED src=10.0.0.1 dst=192.0.2.7 sport=40000 dport=443 "
                    "src=192.0.2.7 dst=10.0.0.1 sport=443 dport=40000 [ASSURED]"
                ),
            ),
            (
                change(DESTROY, state=7, status=0x38E, traffic=(6, 398, 5, 1134), zone=3),
                (
                    "[DESTROY] tcp      6 TIME_WAIT src=10.0.0.1 dst=192.0.2.7 sport=40000 dport=443 packets=6 "
                    "bytes=398 src=192.0.2.7 dst=10.0.0.1 sport=443 dport=40000 packets=5 bytes=1134 [ASSURED] zone=3"
                ),
            ),
        )
        for each, line in cases:
            self.assertEqual(netfilter_line(each), line + "\n")

    def test_other_protocols(self) -> None:
        """UDP has no state, ICMP has type, code and id instead of ports."""
        found = netfilter_line(change(NEW, 5, protocol=17, status=8, timeout=30, service=53))
        self.assertTrue(found.startswith("    [NEW] udp      17 30 src=10.0.0.1 dst=192.0.2.7 sport=5 dport=53 [UNRE"))
        found = netfilter_line(change(NEW, 77, protocol=1, status=8, timeout=30))
        self.assertIn("icmp     1 30 src=10.0.0.1 dst=192.0.2.7 type=8 code=0 id=77 [UNREPLIED] ", found)
        for number, name in (
            (33, "dccp"),
            (47, "gre"),
            (58, "icmpv6"),
            (132, "sctp"),
            (136, "udplite"),
            (99, "unknown"),
        ):
            line = netfilter_line(change(NEW, 5, protocol=number))
            self.assertTrue(line.startswith(f"    [NEW] {name:<8} {number} src="), line)

    def test_an_icmp_tuple_that_is_cut(self) -> None:
        """What is not there is 0; what comes before the protocol's own is skipped."""
        whole = change(NEW, 77, protocol=1, status=8)
        for length, words in ((56, "type=8 code=0 id=77"), (48, "type=8 code=0 id=77"), (40, "type=0 code=0 id=77")):
            self.assertIn(words, netfilter_line(whole._replace(orig=whole.orig[:length])))
        self.assertIn("type=0 code=0 id=0", netfilter_line(whole._replace(orig=whole.orig[:32])))


class JsonTests(SynchronousTestCase):
    """conntrack_exporter's keys, and ours."""

    def test_an_event(self) -> None:
        """The state is what is known, the remote end has its port."""
        totals = Totals("db", "out", "tcp")
        found = json.loads(json_line(change(NEW, state=1), totals, 1, None, 1700000000.25))
        self.assertEqual(
            {key: found[key] for key in ("event_type", "state", "remote_host", "original_source_host")},
            {
                "event_type": "new",
                "state": "Opening",
                "remote_host": "192.0.2.7:443",
                "original_source_host": "10.0.0.1:40000",
            },
        )
        self.assertEqual((found["time"], found["protocol"], found["group"]), ("2023-11-14T22:13:20.250Z", "tcp", "db"))
        self.assertNotIn("how", found)

    def test_numbers(self) -> None:
        """Traffic of either way where it is told, zero seconds, an id that is none."""
        totals = Totals("db", "out", "tcp")
        for told, shown in (((1, 2), True), ((-1, 3), True), ((4, -1), True), ((-1, -1), False)):
            each = change(NEW, state=1)._replace(orig_packets=told[0], reply_packets=told[1], ident=-1, mark=-1)
            found = json.loads(json_line(each, totals, 1, Ending(FIN, 0.0), 1.0))
            self.assertEqual(("original_packets" in found, "reply_bytes" in found), (shown, shown))
            self.assertEqual((found["id"], found["mark"], found["how"], found["duration_s"]), (0, 0, "fin", 0))
        self.assertNotIn("duration_s", json.loads(json_line(each, totals, 1, Ending(FIN, -1.0), 1.0)))

    def test_an_end(self) -> None:
        """How, how long, how much; IPv6 in brackets; a client is the remote end of what it opened."""
        ours, theirs = (socket.inet_pton(socket.AF_INET6, each) for each in ("2001:db8::1", "2001:db8::2"))
        gone = change(DESTROY, 9, source=theirs, destination=ours, service=22, state=7, traffic=(1, 2, 3, 4))
        found = json.loads(json_line(gone, Totals("other", "in", "tcp"), 7, Ending(FIN, 1.5), 0.0))
        self.assertEqual((found["how"], found["duration_s"], found["state"]), ("fin", 1.5, "Closing"))
        self.assertEqual((found["remote_host"], found["reply_bytes"]), ("[2001:db8::2]:9", 4))

    @settings(deadline=None, max_examples=100)
    @given(
        st.binary(max_size=80),
        st.binary(max_size=80),
        st.lists(st.integers(-1, 2**64 - 1), min_size=13, max_size=13),
        st.sampled_from((0, 1, 2)),
    )
    def test_any_message_is_a_line(self, orig: bytes, reply: bytes, numbers: list[int], kind: int) -> None:
        """Garbage tuples and times are printed without an exception, one line each."""
        each = Change(kind, orig, reply, *numbers)
        found = json_line(each, Totals('a"\n', "forward", "tcp"), 255, None, 0.0)
        self.assertEqual((json.loads(found)["group"], found.count("\n")), ('a"\n', 1))
        self.assertEqual(netfilter_line(each).count("\n"), 1)


class EventLogTests(SynchronousTestCase):
    """A table, a file, a rate."""

    def log(self, path: str, rate: int = 0, form: str = "json") -> EventLog:
        """Return a started log of a table with a group."""
        self.clock = Clock()
        self.table = table_of(groups=(group_rule("web = 192.0.2.0/24:443"),))
        log = EventLog(self.table, path, form, rate, self.clock.callLater, self.clock.seconds)
        log.privilegedStartService()
        log.startService()
        self.addCleanup(log.stopService)
        return log

    def test_a_life_in_lines(self) -> None:
        """Every event of the table has its line, with the state that an event does not repeat."""
        path = self.mktemp()
        log = self.log(path)
        for kind, state in ((NEW, 1), (UPDATE, 3), (UPDATE, -1), (DESTROY, 7)):
            self.table.event(change(kind, state=state), self.clock.seconds())
            self.clock.advance(1)
        self.clock.advance(1)
        found = [json.loads(line) for line in Path(path).read_text().splitlines()]
        self.assertEqual([each["state"] for each in found], ["Opening", "Open", "Open", "Closing"])
        self.assertEqual((found[-1]["how"], found[-1]["group"], found[-1]["duration_s"]), ("fin", "web", 3.0))
        log.stopService()
        self.assertIs(self.table.on_event, None)

    def test_beyond_the_rate_events_are_counted(self) -> None:
        """And lines come again as time passes."""
        log = self.log(self.mktemp(), rate=3, form="netfilter")
        for port in range(5):
            self.table.event(change(NEW, port, state=1), self.clock.seconds())
        self.assertEqual((log.lines_total, log.suppressed_total), (3, 2))
        self.clock.advance(1)
        self.table.event(change(NEW, 9, state=1), self.clock.seconds())
        self.assertEqual(log.lines_total, 4)

    def test_ignored_connections_have_no_lines(self) -> None:
        """As in the original."""
        log = self.log(self.mktemp())
        self.table.places._ignore = (lambda packed, port: packed == REMOTE,)
        self.table.event(change(NEW, state=1), 0.0)
        self.assertEqual(log.lines_total, 0)

    def test_rotation(self) -> None:
        """What was made before goes into the old file."""
        path = self.mktemp()
        log = self.log(path)
        self.table.event(change(NEW, state=1), 0.0)
        Path(path).rename(path + ".1")
        log.reopen()
        self.table.event(change(NEW, 2, state=1), 0.0)
        self.clock.advance(1)
        self.assertEqual([Path(each).read_text().count("\n") for each in (path + ".1", path)], [1, 1])

    def test_a_file_that_takes_nothing(self) -> None:
        """Lines wait up to the limit, then they are lost and counted; the rest goes out when it takes some again."""
        path = self.mktemp()
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        log = self.log(path)
        for port in range(6000):
            self.table.event(change(NEW, port, state=1), 0.0)
        self.clock.advance(1)
        self.assertGreater(log.dropped_total, 0)
        text = b""
        for _ in range(60):
            try:
                text += os.read(reader, 1 << 20)
            except BlockingIOError:
                break
            self.clock.advance(1)
        self.assertEqual(text.count(b"\n"), log.lines_total - log.dropped_total)
        self.assertTrue(all(json.loads(line) for line in text.splitlines()))

    def test_a_path_that_cannot_be_opened(self) -> None:
        """Ends the start with its name."""
        log = EventLog(table_of(), "/nonexistent/x", "json", 0, Clock().callLater, Clock().seconds)
        error = self.assertRaises(StartError, log.privilegedStartService)
        self.assertIn("[tracker] event_log: cannot open /nonexistent/x", str(error))
