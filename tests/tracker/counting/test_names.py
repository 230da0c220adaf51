"""Names of remote hosts."""

from __future__ import annotations

import socket
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.counting import names
from netappliance.tracker.counting.hosts import Host
from netappliance.tracker.counting.names import Names, _first_name, reverse_lookup


def host(last: int, port: int = 0) -> Host:
    """Return 192.0.2.``last``."""
    packed = bytes((192, 0, 2, last))
    text = socket.inet_ntoa(packed)
    return Host(f"{text}:{port}" if port else text, packed, port)


class NamesTests(SynchronousTestCase):
    """A cache in front of a name service that answers when the test says so."""

    def setUp(self) -> None:
        """Start with nothing known."""
        self.asked: list[tuple[bytes, Deferred[str]]] = []
        self.names = Names(self.lookup)

    def lookup(self, packed: bytes) -> Deferred[str]:
        """Remember the question."""
        self.asked.append((packed, Deferred()))
        return self.asked[-1][1]

    def test_the_address_is_shown_until_the_name_is_there(self) -> None:
        """With the port behind either; a client has none."""
        web, client = host(1, 443), host(2)
        self.names.refresh([web, client, Host("other")], 0.0)
        self.assertEqual([self.names.label(web), len(self.asked)], ["192.0.2.1:443", 2])
        for packed, answer in self.asked:
            answer.callback(f"h{packed[-1]}.example.")
        self.assertEqual([self.names.label(each) for each in (web, client)], ["h1.example:443", "h2.example"])

    def test_one_question_at_a_time_for_an_address(self) -> None:
        """And not again before its time."""
        for now in (0.0, 5.0):
            self.names.refresh([host(1, 80), host(1, 443)], now)
        self.assertEqual(len(self.asked), 1)
        self.asked[0][1].callback("a.example")
        self.names.refresh([host(1)], names.KEEP_S - 1)
        self.assertEqual(len(self.asked), 1)
        self.names.refresh([host(1)], names.KEEP_S)
        self.assertEqual(len(self.asked), 2)

    def test_a_name_stays_while_its_service_is_away(self) -> None:
        """Failures are counted and asked again later."""
        self.names.refresh([host(1)], 0.0)
        self.asked[0][1].callback("a.example")
        self.names.refresh([host(1)], names.KEEP_S)
        self.asked[1][1].errback(RuntimeError("no answer"))
        self.assertEqual((self.names.label(host(1)), self.names.failures), ("a.example", 1))
        self.names.refresh([host(1)], names.KEEP_S + names.RETRY_S)
        self.assertEqual(len(self.asked), 3)

    def test_questions_and_memory_are_limited(self) -> None:
        """So many are out at once; who is not shown is forgotten."""
        many = [host(last) for last in range(50)]
        self.names.refresh(many, 0.0)
        self.assertEqual(len(self.asked), names.PARALLEL)
        for _, answer in self.asked:
            answer.callback("x.example")
        self.names.refresh(many, 1.0)
        self.assertEqual(len(self.asked), 2 * names.PARALLEL)
        self.names.refresh(many[:1], 2.0)
        self.assertLessEqual(len(self.names), 1)

    def test_times_and_numbers(self) -> None:
        """Half an hour for a name, five minutes for none; eight questions at a time."""
        many = [host(last) for last in range(20)]
        self.names.refresh(many, 100.0)
        self.assertEqual((len(self.asked), len(self.names)), (8, 0))
        self.names.refresh(many, 101.0)
        self.assertEqual(len(self.asked), 8)
        (good, first), (bad, second), (broken, third) = self.asked[:3]
        first.callback("good.example")
        second.callback("")
        third.errback(RuntimeError("away"))
        self.assertEqual((len(self.names), self.names.failures), (3, 2))
        for _, answer in self.asked[3:]:
            answer.callback("x")
        shown = [each for each in many if each.packed in (good, bad, broken)]
        for now, again in ((399.9, 0), (400.0, 2), (1899.9, 2), (1900.0, 3)):
            self.names.refresh(shown, now)
            self.assertEqual(len(self.asked) - 8, again, now)
        self.assertEqual(sorted(packed for packed, _ in self.asked[8:]), sorted((good, bad, broken)))

    def test_what_is_a_name(self) -> None:
        """Up to 253 letters, digits, hyphens and dots, not a dot first; dots at the end are taken off."""
        longest = "x" * 253
        for text, shown in (
            ("a", "a"),
            ("_a-b.c.", "_a-b.c"),
            ("a..", "a"),
            (longest, longest),
            (longest + "x", "192.0.2.1"),
            (".a", "192.0.2.1"),
            ("a b", "192.0.2.1"),
            ("", "192.0.2.1"),
            (".", "192.0.2.1"),
        ):
            self.setUp()
            self.names.refresh([host(1)], 0.0)
            self.asked[0][1].callback(text)
            self.assertEqual(self.names.label(host(1)), shown)
            self.assertEqual(self.names.failures, int(shown == "192.0.2.1"))

    def test_who_is_not_shown_is_forgotten(self) -> None:
        """And asked for anew when it comes back."""
        self.names.refresh([host(1), host(2)], 0.0)
        for _, answer in self.asked:
            answer.callback("a")
        self.names.refresh([host(2)], 1.0)
        self.assertEqual((len(self.names), self.names.label(host(1)), self.names.label(host(2))), (1, "192.0.2.1", "a"))
        self.names.refresh([host(1), host(2)], 2.0)
        self.assertEqual(len(self.asked), 3)

    @settings(deadline=None, max_examples=100)
    @given(st.text(max_size=300))
    def test_what_is_no_name_is_not_shown(self, text: str) -> None:
        """The owner of an address chooses what its name service says."""
        found = Names(lambda packed: answer)
        answer: Deferred[str] = Deferred()
        found.refresh([host(1)], 0.0)
        answer.callback(text)
        self.assertRegex(found.label(host(1)), r"^[A-Za-z0-9_.-]{1,253}$")


class Resolving:
    """A resolver that remembers how it was made and what it was asked."""

    def __init__(self) -> None:
        self.arguments: dict[str, object] = {}
        self.asked: list[str] = []

    def make(self, **arguments: object) -> Resolving:
        """In the place of Twisted's."""
        self.arguments = arguments
        return self

    def lookupPointer(self, name: str) -> Deferred[object]:
        """Never answers."""
        self.asked.append(name)
        return Deferred()


class LookupTests(SynchronousTestCase):
    """Questions to real name servers."""

    def test_the_first_pointer_is_the_name(self) -> None:
        """Other records are passed over; none is no name."""
        records = [
            dns.RRHeader(type=dns.CNAME, payload=dns.Record_CNAME("b.example")),
            dns.RRHeader(type=dns.PTR, payload=dns.Record_PTR("a.example")),
        ]
        self.assertEqual((_first_name((records, [], [])), _first_name(([], [], []))), ("a.example", ""))

    def test_names_that_are_not_ascii(self) -> None:
        """They are read, and are none."""
        record = dns.RRHeader(type=dns.PTR, payload=dns.Record_PTR(b"\xe4.example"))
        self.assertEqual(_first_name(([record], [], [])), "\ufffd.example")

    def test_the_name_servers_of_the_host_are_asked(self) -> None:
        """Those of resolv.conf, at port 53; the local one where there is none. After one second, then after three."""
        path = Path(self.mktemp())
        for text, servers in (
            (
                "# x\nnameserver 192.0.2.53\nnameserver\nsearch a\nnameserver  2001:db8::53 # b\n",
                ["192.0.2.53", "2001:db8::53"],
            ),
            ("search a\n", ["127.0.0.1"]),
            (None, ["127.0.0.1"]),
            ("nameserver 192.0.2.1\n; \udcff\n", ["192.0.2.1"]),
        ):
            if text is None:
                path.unlink()
            else:
                path.write_text(text, errors="surrogateescape")
            reactor, made = Clock(), Resolving()
            lookup = reverse_lookup(reactor, path, made.make)
            lookup(bytes((192, 0, 2, 7)))
            lookup(socket.inet_pton(socket.AF_INET6, "2001:db8::1"))
            wanted = {"servers": [(each, 53) for each in servers], "timeout": (1, 3), "reactor": reactor}
            self.assertEqual(made.arguments, wanted)
            self.assertEqual(made.asked[0], "7.2.0.192.in-addr.arpa")
            self.assertTrue(made.asked[1].endswith(".8.b.d.0.1.0.0.2.ip6.arpa"))

    def test_any_configuration_of_the_host_is_taken(self) -> None:
        """A file that is missing or odd means the local name server."""
        path = self.mktemp()
        Path(path).write_text("nameserver 192.0.2.53\nnameserver\n# x\n")
        for each in (path, path + "missing"):
            self.assertTrue(callable(reverse_lookup(Clock(), Path(each))))
