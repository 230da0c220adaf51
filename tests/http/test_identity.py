"""What backends are told about clients, and which addresses are believed."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.identity import KINDS, ClientIdentity, IdentityRules
from netappliance.http.message import Request
from netappliance.sessions.session import Address, unix_address

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
PROXY = ("10.0.0.1", 4000)


def identity(client: Address = PROXY, *, secure: bool = False) -> ClientIdentity:
    """Return that of a connection from this address."""
    rules = IdentityRules(KINDS, b"", TRUSTED, secure=secure)
    return ClientIdentity(rules, client, ("192.0.2.80", 80), b"1")


def request(**values: bytes) -> Request:
    """Return a request with identity fields, ``x_forwarded_for=...``."""
    made = Request(b"GET", b"/", 1, [])
    made.identity = [(name.replace("_", "-").encode(), value) for name, value in values.items()]
    return made


class BelievedTests(SynchronousTestCase):
    """The client's address."""

    def believed(self, client: Address = PROXY, **values: bytes) -> str:
        """Return what is believed of a request."""
        return identity(client).believed(request(**values))

    def test_the_last_address_that_is_no_trusted_proxy(self) -> None:
        """What stands before it may be anybody's invention."""
        self.assertEqual(self.believed(x_forwarded_for=b"1.1.1.1, 192.0.2.7, 10.9.9.9,2001:db8::5"), "192.0.2.7")
        self.assertEqual(self.believed(x_forwarded_for=b"10.7.7.7, 10.9.9.9"), "10.7.7.7")

    def test_nobody_else_is_believed(self) -> None:
        """The peer is the client."""
        self.assertEqual(self.believed(("192.0.2.9", 1), x_forwarded_for=b"1.1.1.1"), "192.0.2.9")

    def test_a_proxy_may_write_the_port_as_well(self) -> None:
        """As some load balancers do, for IPv6 in brackets."""
        for written, meant in (
            (b"192.0.2.7:51000", "192.0.2.7"),
            (b"[2001:dba::7]:51000", "2001:dba::7"),
            (b"[2001:dba::7]", "2001:dba::7"),
            (b"2001:dba::7", "2001:dba::7"),
            (b"::ffff:192.0.2.7", "192.0.2.7"),
        ):
            self.assertEqual(self.believed(x_forwarded_for=b"1.1.1.1, " + written), meant, written)

    def test_what_is_no_address_ends_the_chain(self) -> None:
        """Nobody left of it is believed: the proxy that wrote it did not know, or hides it."""
        for written in (b"unknown", b"_hidden", b"", b"1.2.3.4.5", b"1.2.3.4:port", b"[1.2.3.4]x", b"a" * 5000):
            self.assertEqual(self.believed(x_forwarded_for=b"1.1.1.1, " + written), "10.0.0.1", written)

    def test_forwarded_counts_where_there_is_no_x_forwarded_for(self) -> None:
        """RFC 7239: names in any case, IPv6 quoted and in brackets, obfuscated identifiers."""
        for written, meant in (
            (b"for=1.1.1.1, for=192.0.2.7;proto=https", "192.0.2.7"),
            (b'proto=https; FOR="192.0.2.7:4711"', "192.0.2.7"),
            (b'for="[2001:dba::7]:4711";by=_me', "2001:dba::7"),
            (b"for=192.0.2.7, for=10.9.9.9", "192.0.2.7"),
            (b"for=1.1.1.1, for=_hidden", "10.0.0.1"),
            (b"for=1.1.1.1, for=unknown", "10.0.0.1"),
            (b'for=1.1.1.1;host="x, for=192.0.2.7', "192.0.2.7"),
            (b"for=1.1.1.1, by=10.1.1.1", "10.0.0.1"),
        ):
            self.assertEqual(self.believed(forwarded=written), meant, written)
        self.assertEqual(self.believed(forwarded=b"for=1.1.1.1", x_forwarded_for=b"192.0.2.7"), "192.0.2.7")

    def test_an_ipv4_client_of_an_ipv6_header_is_ipv4(self) -> None:
        """The PROXY protocol may carry v4-mapped addresses, and they are in the IPv4 networks."""
        self.assertTrue(identity(("::ffff:10.0.0.1", 1)).trusted)

    @given(st.binary(max_size=60), st.sampled_from(["x_forwarded_for", "forwarded", "x_forwarded_proto"]))
    @settings(max_examples=200, deadline=None)
    def test_whatever_a_proxy_passes_on(self, value: bytes, name: str) -> None:
        """No exception."""
        made = identity()
        made.believed(request(**{name: value}))
        made.secure(request(**{name: value}))


class SecureTests(SynchronousTestCase):
    """Whether the client speaks TLS."""

    def test_a_trusted_proxy_tells(self) -> None:
        """Else a redirect to https behind it would never end; of several values the client's is the first."""
        self.assertTrue(identity().secure(request(x_forwarded_proto=b"HTTPS, http")))
        self.assertFalse(identity(secure=True).secure(request(x_forwarded_proto=b"http")))
        self.assertFalse(identity().secure(request(x_forwarded_proto=b"wss")))

    def test_nobody_else_does(self) -> None:
        """What counts is the listener."""
        stranger = ("192.0.2.9", 1)
        self.assertFalse(identity(stranger).secure(request(x_forwarded_proto=b"https")))
        self.assertTrue(identity(stranger, secure=True).secure(request(x_forwarded_proto=b"http")))


class UnixSocketTests(SynchronousTestCase):
    """Clients of unix sockets choose the path of their own end."""

    def test_no_path_gets_into_a_field(self) -> None:
        """A path may hold line ends, or bytes that are no UTF-8."""
        for path in (b"/tmp/x\r\nEvil: 1", b"\0x\r\nEvil: 1", b"x\r\nEvil: 1", b"/\xff\xfe", b""):
            parts: list[bytes] = []
            identity(unix_address(path)).write(parts, request(), b"1")
            self.assertNotIn(b"Evil", b"\r\n".join(parts))
            self.assertNotIn(b"X-Forwarded-For", b"\r\n".join(parts))

    def test_no_path_is_an_address(self) -> None:
        """A relative one that looks like a trusted proxy is none."""
        made = identity(unix_address(b"10.0.0.1"))
        self.assertFalse(made.trusted)
        self.assertEqual(made.believed(request(x_forwarded_for=b"1.1.1.1")), "")
