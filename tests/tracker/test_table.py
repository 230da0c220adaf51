"""The ctnetlink decoder and the table that merges its changes."""

from __future__ import annotations

import socket
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker import ctnetlink
from netappliance.tracker.hosts import Hosts, ignore_rule
from netappliance.tracker.table import Table, how_closed

LOCAL, REMOTE = socket.inet_aton("10.0.0.1"), socket.inet_aton("192.0.2.7")


def attribute(kind: int, body: bytes) -> bytes:
    """Return one netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def raw_tuple(source: bytes, destination: bytes, source_port: int, destination_port: int) -> bytes:
    """Return the body of a tuple attribute of TCP over IPv4."""
    proto = attribute(1, b"\6") + attribute(2, struct.pack(">H", source_port))
    proto += attribute(3, struct.pack(">H", destination_port))
    return attribute(0x8001, attribute(1, source) + attribute(2, destination)) + attribute(0x8002, proto)


def message(event: int, port: int = 40000, state: int = -1, status: int = 2, timeout: int = -1) -> bytes:
    """Return a whole message about a connection from LOCAL:port to REMOTE:443."""
    body = bytes(4) + attribute(0x8001, raw_tuple(LOCAL, REMOTE, port, 443))
    body += attribute(0x8002, raw_tuple(REMOTE, LOCAL, 443, port)) + attribute(3, struct.pack(">I", status))
    if state >= 0:
        body += attribute(0x8004, attribute(0x8001, attribute(1, bytes((state,)))))
    if timeout >= 0:
        body += attribute(7, struct.pack(">I", timeout))
    kind = 0x0102 if event == ctnetlink.DESTROY else 0x0100
    return struct.pack("=IHHII", 16 + len(body), kind, 0x600 if event == ctnetlink.NEW else 0, 1, 0) + body


def change(event: int, port: int = 40000, state: int = -1) -> ctnetlink.Change:
    """Return the decoded message."""
    return ctnetlink.decode(message(event, port, state)).changes[0]


class DecodeTests(SynchronousTestCase):
    """Bytes in, values out."""

    def test_attributes_are_read(self) -> None:
        """State, status, timeout and both ends of a tuple come out."""
        found = ctnetlink.decode(message(ctnetlink.NEW, state=3, timeout=99)).changes[0]
        self.assertEqual((found.kind, found.state, found.status, found.timeout), (ctnetlink.NEW, 3, 2, 99))
        self.assertEqual(ctnetlink.ends(found.orig), (LOCAL, REMOTE, 6, 40000, 443))

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 255))
    def test_garbage_raises_nothing(self, noise: bytes, where: int, byte: int) -> None:
        """Neither noise nor a damaged good message raises, and the table takes what is left."""
        whole = bytearray(message(ctnetlink.NEW, state=3))
        whole[where % len(whole)] = byte
        for data in (noise, bytes(whole), bytes(whole[:where]), bytes(whole) + noise):
            table = Table(Hosts((LOCAL,), (), 3, 60))
            for each in ctnetlink.decode(data).changes:
                table.event(each, 1.0)


class TableTests(SynchronousTestCase):
    """Dump and events merged."""

    def setUp(self) -> None:
        """Make a table for LOCAL with room for two series."""
        self.hosts = Hosts((LOCAL,), (ignore_rule("192.0.2.8"),), 2, 60)
        self.table = Table(self.hosts)

    def gauges(self) -> list[int]:
        """Return the gauges of the one remote."""
        return self.hosts.series["192.0.2.7:443"].gauges

    def test_an_update_without_a_state_keeps_the_state(self) -> None:
        """The original exporter replaced its copy here and stopped counting."""
        self.table.event(change(ctnetlink.NEW, state=3), 1)
        self.table.event(change(ctnetlink.UPDATE), 2)
        self.assertEqual(self.gauges(), [0, 1, 0, 0])

    def test_a_life_is_counted_once(self) -> None:
        """Opening, open, closing, gone by FIN."""
        for kind, state in ((0, 1), (1, 2), (1, 3), (1, 4), (1, 7), (2, 7)):
            self.table.event(change(kind, state=state), 1)
        host = self.hosts.series["192.0.2.7:443"]
        self.assertEqual((self.gauges(), host.opened, host.closed["fin"]), ([0, 0, 0, 0], 1, 1))

    def test_a_dump_does_not_revive_what_an_event_destroyed(self) -> None:
        """Events during a dump are newer than what the dump brings."""
        self.table.event(change(ctnetlink.NEW, state=3), 1)
        self.table.begin_dump()
        self.table.event(change(ctnetlink.DESTROY), 2)
        self.table.dumped(change(ctnetlink.UPDATE, state=3), 2)
        self.assertEqual((self.table.end_dump(3), len(self.table.entries)), (0, 0))

    def test_a_dump_repairs_what_lost_events_left(self) -> None:
        """An entry that the dump lacks is closed, unobserved."""
        self.table.event(change(ctnetlink.NEW, state=3), 1)
        self.table.begin_dump()
        self.table.dumped(change(ctnetlink.UPDATE, port=40001, state=3), 2)
        self.assertEqual((self.table.end_dump(3), self.gauges()), (1, [0, 1, 0, 0]))

    def test_series_stay_within_the_budget(self) -> None:
        """What has no room goes to other."""
        found = [ctnetlink.Ends(LOCAL, bytes((1, 1, 1, n)), 6, 5, 80) for n in range(4)]
        series = [self.hosts.find(orig, orig, 0.0) for orig in found]
        self.assertEqual([each.label for each in series if each], ["1.1.1.0:80", "1.1.1.1:80", "other", "other"])

    def test_zeros_stay_for_the_keep_time(self) -> None:
        """A host that lost its last connection shows zeros, then goes."""
        self.table.event(change(ctnetlink.NEW, state=3), 1)
        self.table.event(change(ctnetlink.DESTROY), 2)
        self.hosts.expire(61)
        self.assertIn("192.0.2.7:443", self.hosts.series)
        self.hosts.expire(63)
        self.assertEqual((self.hosts.series, self.hosts.other.opened), ({}, 1))

    def test_how_a_connection_ended(self) -> None:
        """By its last state, whether it was answered and whether it came before its time."""
        cases = ((7, 2, -1, "fin"), (8, 2, 5, "rst"), (1, 0, 60, "refused"), (1, 0, -1, "unanswered"))
        for state, status, left, how in (*cases, (3, 2, -1, "timeout"), (3, 2, 999, "killed")):
            self.assertEqual(how_closed(state, status, left), how)
