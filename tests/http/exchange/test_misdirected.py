"""Requests that must not come by this listener, or by this connection."""

from __future__ import annotations

from netappliance.tls.facts import TlsFacts
from tests.http.exchange.test_exchange import GET, OK
from tests.http.exchange.test_life import LifeTestCase


class HttpsRedirectTests(LifeTestCase):
    """[http] with https_redirect."""

    def test_every_request_is_led_to_https(self) -> None:
        """To the same host and target; no backend hears of it; the connection goes on."""
        world = self.world(http="https_redirect = 308")
        client = self.ask(world, b"GET /a?b HTTP/1.1\r\nHost: www.example.com:8080\r\n\r\n")
        self.assertIn(b"\r\nLocation: https://www.example.com/a?b\r\n", client.outbound)
        client.give(GET % b"/")
        world.turn()
        self.assertEqual((self.answered(client), world.upstreams, client.closes), ([308, 308], [], 0))
        self.assertEqual([line["route"] for line in self.logged(world)], ["https_redirect"] * 2)

    def test_the_port_may_be_another(self) -> None:
        """Where TLS is served."""
        world = self.world(http="https_redirect = 301\nhttps_redirect_port = 8443")
        client = self.ask(world, GET % b"/x")
        self.assertIn(b"HTTP/1.1 301 ", client.outbound)
        self.assertIn(b"\r\nLocation: https://a:8443/x\r\n", client.outbound)

    def test_what_a_trusted_proxy_took_tls_off_from_is_served(self) -> None:
        """Or it would be redirected for ever; what others say of themselves does not count."""
        forwarded = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n"
        world = self.world(http="https_redirect = 308\ntrusted_proxies = 0.0.0.0/0")
        self.assertEqual(self.answered(self.served(world, OK, forwarded)), [200])
        self.assertEqual(self.answered(self.ask(world, GET % b"/")), [308])
        world = self.world(http="https_redirect = 308")
        self.assertEqual(self.answered(self.ask(world, forwarded)), [308])


class HostTests(LifeTestCase):
    """Hosts that the connection's certificate is not for."""

    def test_they_are_answered_with_421(self) -> None:
        """Others, and requests of HTTP/1.0 without a host, are served on the same connection."""
        world = self.world()
        world.frontend.guarded = True
        client = self.served(world)
        [session] = world.appliance.sessions
        session.tls = TlsFacts("1.3", "X", b"", b"", lambda host: host == b"a.example")
        for host, status in ((b"a.example", 200), (b"b.example", 421), (b"A.EXAMPLE.:443", 200)):
            client.give(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            world.turn()
            if status == 200:
                world.upstreams[-1].give(OK)
                world.turn()
            self.assertEqual(self.answered(client)[-1], status, host)
        client.give(b"GET / HTTP/1.0\r\n\r\n")
        world.turn()
        world.upstreams[-1].give(OK)
        world.turn()
        self.assertEqual(self.answered(client)[-1], 200)
        self.assertEqual([line.get("tls") for line in self.logged(world)], [None, "1.3", "1.3", "1.3", "1.3"])
