"""A session as values, and addresses as text."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.sessions.reasons import SHUTDOWN
from netappliance.sessions.session import Session, format_address, ip_of, is_unix, unix_address


class SessionTests(SynchronousTestCase):
    """What every session has."""

    def test_a_new_session_has_carried_nothing(self) -> None:
        """And its line is written when it ends."""
        session = Session("udp", "game", ("192.0.2.1", 1), ("192.0.2.2", 2), 7.5)
        self.assertEqual(
            (session.started, session.last_active, session.duration, session.logged), (7.5, 7.5, 0.0, True)
        )
        described = session.describe()
        self.assertEqual(
            described,
            {
                "id": 0,
                "kind": "udp",
                "listener": "game",
                "client": "192.0.2.1:1",
                "local": "192.0.2.2:2",
                "cluster": "",
                "backend": "",
                "backend_address": "",
                "state": "new",
                "rx_bytes": 0,
                "tx_bytes": 0,
                "rx_packets": 0,
                "tx_packets": 0,
                "reason": "",
            },
        )
        self.assertEqual((list(session.sockets()), session.notes), ([], None))

    def test_a_session_with_its_backend_and_end(self) -> None:
        """As logs and the manhole show it."""
        session = Session("tcp", "front", ("::1", 1), ("/run/x", 0), 0.0)
        session.cluster = "c"
        session.backend = Backend(BackendSection("one", "192.0.2.3", 80), 2, ("192.0.2.3", 80), "one")
        session.backend_address = ("192.0.2.3", 80)
        session.close_reason = SHUTDOWN
        session.rx_bytes, session.tx_bytes, session.rx_packets, session.tx_packets = 1, 2, 3, 4
        described = session.describe()
        words = [described[name] for name in ("client", "local", "cluster", "backend", "backend_address", "reason")]
        self.assertEqual(words, ["[::1]:1", "unix:/run/x", "c", "one", "192.0.2.3:80", "admin/drain/shutdown"])
        counters = [described[name] for name in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")]
        self.assertEqual(counters, [1, 2, 3, 4])

    def test_a_session_says_how_it_ends(self) -> None:
        """One that does not is a mistake of whoever wrote it."""
        session = Session("tcp", "front", ("::1", 1), ("::1", 2), 0.0)
        self.assertIn("Session", str(self.assertRaises(TypeError, session.close, SHUTDOWN)))


class AddressTests(SynchronousTestCase):
    """Addresses as text."""

    def test_ipv6_is_bracketed_and_unix_is_named(self) -> None:
        """So that a port can be told from the address."""
        addresses = (("192.0.2.1", 80), ("2001:db8::1", 80), ("/run/x", 0), ("", 0), ("\0name", 0), ("./x:1", 0))
        written = [format_address(address) for address in addresses]
        wanted = ["192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/x", "unix:", "unix:\0name", "unix:./x:1"]
        self.assertEqual(written, wanted)
        self.assertEqual([format_address(("192.0.2.1", 0)), format_address(("::1", 0))], ["192.0.2.1:0", "[::1]:0"])

    def test_addresses_of_unix_sockets_look_like_none_of_ip(self) -> None:
        """Whatever the peer called its socket."""
        for path, host in (
            (b"/run/x", "/run/x"),
            (b"", ""),
            (b"\0abstract", "\0abstract"),
            (b"192.0.2.1", "./192.0.2.1"),
            (b"::1", "./::1"),
            (b"x\xff", "./x\\xff"),
            (b"/\xc3\xa4", "/ä"),
        ):
            self.assertEqual(unix_address(path), (host, 0))
            self.assertTrue(is_unix(host), host)
            self.assertIsNone(ip_of(host))
        for host in ("192.0.2.1", "::1", ".", "x", "fe80::1%/"):
            self.assertFalse(is_unix(host), host)

    def test_ip_addresses_are_compared_without_their_dress(self) -> None:
        """A v4-mapped one is IPv4, the scope does not count."""
        for host, wanted in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("fe80::1%X", "fe80::1"),
        ):
            self.assertEqual(str(ip_of(host)), wanted)
        for host in ("example", "1.2.3", "192.0.2.1:80", "[::1]"):
            self.assertIsNone(ip_of(host))
