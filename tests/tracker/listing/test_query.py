"""Filters, names and rows of connections; requests that end one."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.conntrack import ctnetlink
from netappliance.tracker.conntrack.ctnetlink import NEW
from netappliance.tracker.counting.places import group_rule
from netappliance.tracker.listing.query import (
    Row,
    parse_filter,
    parse_id,
    socket_id,
    socket_row,
    tracked_id,
    tracked_row,
)
from netappliance.tracker.sock_diag.socket_entry import SocketEntry
from tests.tracker import support
from tests.tracker.sock_diag.test_socket_table import incoming, record
from tests.tracker.support import LOCAL, REMOTE, raw_tuple, table_of


def tracked(**more: object) -> Row:
    """Return the row of a tracked connection from LOCAL:40000 to REMOTE:443."""
    table = table_of(groups=(group_rule("web = 192.0.2.0/24:443"),))
    table.event(support.change(NEW, 40000, state=3, **more), 10.0)
    (key, slot), *_ = table.slots.items()
    found = table.connection(slot)
    assert found is not None
    return tracked_row(found, key)


class FilterTests(SynchronousTestCase):
    """Which rows are wanted."""

    def check(self, row: Row, yes: tuple[dict[str, str], ...], no: tuple[dict[str, str], ...]) -> None:
        """Hold filters to what they shall match, 30 seconds after the row began."""
        for terms in yes:
            self.assertTrue(parse_filter(terms).matches(row, 40.0), str(terms))
        for terms in no:
            self.assertFalse(parse_filter(terms).matches(row, 40.0), str(terms))

    def test_every_term(self) -> None:
        """Ends match at either side; states by the seed's word or the kernel's."""
        self.check(
            tracked(),
            (
                {}, {"address": "192.0.2.0/24"}, {"address": "10.0.0.1"}, {"port": "443"}, {"port": "40000"},
                {"state": "open"}, {"state": "established"}, {"min_age": "30s"}, {"max_age": "30s"}, {"group": "web"},
                {"direction": "out"}, {"protocol": "tcp"}, {"address": "192.0.2.7", "port": "443", "state": "open"},
            ),
            (
                {"address": "192.0.3.0/24"}, {"address": "2001:db8::/32"}, {"port": "80"}, {"state": "closed"},
                {"min_age": "31s"}, {"max_age": "29s"}, {"group": "db"}, {"direction": "in"}, {"protocol": "udp"},
                {"port": "443", "state": "closing"},
            ),
        )  # fmt: skip

    def test_mistakes_say_what_was_expected(self) -> None:
        """The term by name."""
        for terms, why in (
            ({"colour": "red"}, "unknown term 'colour'"),
            ({"port": "0"}, "port"),
            ({"state": "asleep"}, "established"),
            ({"limit": "1001"}, "from 1 to 1000"),
            ({"min_age": "5"}, "min_age"),
            ({"address": "example.org"}, "address"),
        ):
            self.assertIn(why, str(self.assertRaises(ValueError, parse_filter, terms)))

    @settings(deadline=None, max_examples=200)
    @given(
        st.dictionaries(st.sampled_from(["address", "port", "state", "min_age", "limit", "x"]), st.text(max_size=20))
    )
    def test_anything_is_read_or_refused(self, terms: dict[str, str]) -> None:
        """No other error than ValueError."""
        try:
            parse_filter(terms)
        except ValueError:
            pass


class RowTests(SynchronousTestCase):
    """What is shown."""

    def test_a_tracked_connection(self) -> None:
        """From its opener; the two ways in which sockets see it."""
        row = tracked(traffic=(1, 2, 3, 4))
        shown = row.describe(12.5, session=9)
        self.assertEqual((shown["from"], shown["to"], shown["age_s"]), ("10.0.0.1:40000", "192.0.2.7:443", 2.5))
        self.assertEqual((shown["state"], shown["kernel_state"], shown["session"]), ("open", "established", 9))
        self.assertEqual(shown["traffic"], {"packets": 1, "bytes": 2, "reply_packets": 3, "reply_bytes": 4})
        self.assertEqual(row.ways(), ((LOCAL, 40000, REMOTE, 443), (REMOTE, 443, LOCAL, 40000)))
        self.assertNotIn("translated", shown)

    def test_a_translated_connection_shows_both_tuples(self) -> None:
        """The other end's socket sees the second one."""
        backend = bytes((10, 0, 0, 9))
        row = tracked(status=2 | 0x20, reply=raw_tuple(backend, LOCAL, 8443, 40000))
        self.assertEqual(row.describe(11)["translated"], {"from": "10.0.0.1:40000", "to": "10.0.0.9:8443"})
        self.assertEqual(row.ways()[1], (backend, 8443, LOCAL, 40000))

    def test_an_accepted_socket_is_shown_from_its_opener(self) -> None:
        """Its ways are the same two."""
        entry = SocketEntry(incoming(1), None, inbound=True, exact=True, now=3.0)
        entry.state = 1
        row = socket_row(entry, "g", "in")
        shown = row.describe(4.0)
        self.assertEqual((shown["from"], shown["to"], shown["state"]), ("192.0.2.7:50001", "10.0.0.1:8080", "open"))
        self.assertEqual(shown["socket"]["inode"], 99)
        self.assertEqual(row.ways()[1], (LOCAL, 8080, REMOTE, 50001))


class IdTests(SynchronousTestCase):
    """Names of connections."""

    @settings(deadline=None, max_examples=200)
    @given(st.binary(min_size=24, max_size=80), st.integers(0, 0xFFFFFFFF))
    def test_a_tracked_name_comes_back(self, key: bytes, ident: int) -> None:
        """Key and CTA_ID."""
        self.assertEqual(parse_id(tracked_id(key, ident)), (key, ident))

    def test_a_sockets_name_is_its_cookie(self) -> None:
        """Without a cookie there is none."""
        found = record(cookie=0xABCDEF)
        self.assertEqual(parse_id(socket_id(found)), 0xABCDEF)
        self.assertEqual(socket_id(found._replace(cookie=0)), "")

    @settings(deadline=None, max_examples=200)
    @given(st.text(max_size=40) | st.text(max_size=40).map("c1.".__add__) | st.text(max_size=20).map("s".__add__))
    def test_anything_else_is_refused(self, text: str) -> None:
        """With ValueError."""
        try:
            parse_id(text)
        except ValueError as error:
            self.assertIn("expected the id", str(error))


class RawTupleTests(SynchronousTestCase):
    """The tuple as the kernel writes it."""

    def test_it_is_what_the_kernel_sends(self) -> None:
        """So that a socket finds its entry; IPv4 and IPv6."""
        for source, destination in ((LOCAL, REMOTE), (LOCAL * 4, REMOTE * 4)):
            raw = raw_tuple(source, destination, 40000, 443)
            self.assertEqual(ctnetlink.raw_tuple(ctnetlink.Ends(source, destination, 6, 40000, 443)), raw)


class DeleteTests(SynchronousTestCase):
    """The request that makes the kernel forget one entry."""

    def test_it_names_one_entry(self) -> None:
        """Family, tuple, zone and CTA_ID; acknowledged."""
        raw = raw_tuple(LOCAL, REMOTE, 40000, 443)
        request = ctnetlink.delete_request(3, raw, 5, 0xDEADBEEF)
        self.assertEqual(struct.unpack_from("=IHHII", request), (len(request), 0x0102, 0x5, 3, 0))
        self.assertEqual(request[16:20], b"\x02\0\0\0")
        self.assertIn(raw, request)
        self.assertIn(struct.pack("=HH", 6, 18) + b"\0\5", request)
        self.assertEqual(request[-8:], struct.pack("=HH", 8, 12) + b"\xde\xad\xbe\xef")

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=60))
    def test_it_is_never_built_without_a_tuple(self, noise: bytes) -> None:
        """The kernel would take it for a flush of its whole table."""
        if ctnetlink.ends(noise) is None:
            self.assertRaises(ValueError, ctnetlink.delete_request, 1, noise, 0, 0)
        self.assertRaises(ValueError, ctnetlink.delete_request, 1, b"", 0, 0)
