"""What the HTTP proxy does to fields: hop-by-hop ones, those about the client, cookies; and the access log."""

from __future__ import annotations

import ipaddress
import json

from netappliance.proxy_protocol import encode_v1, encode_v2
from tests.integration.http_support import HttpProxyTestCase, Message, get, post, response, wait_for

BARE = "identity_headers =\nsession_header =\n"
IDENTITY = (
    *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host", b"forwarded", b"x-real-ip"),
    *(b"x-request-id", b"x-session-id"),
)


class HopByHopTests(HttpProxyTestCase):
    """Fields of one connection stay on it."""

    def sent(self, lines: str, data: bytes = b"", keys: str = BARE) -> Message:
        """Return what the backend gets for these field lines."""
        backend = self.backend()
        self.front(backend, keys=keys)
        self.assertEqual(self.ask(data or get(lines=lines)).status, 200)
        return backend.requests[0]

    def test_hop_by_hop_fields_do_not_reach_the_backend(self) -> None:
        """Nor those that Connection names."""
        lines = (
            "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nX-Hop: 1\r\nX-End: 2\r\n"
            "Connection: keep-alive, X-Hop\r\nUpgrade: h2c\r\n"
        )
        self.assertEqual(self.sent(lines).raw, get(lines="X-End: 2\r\n"))

    def test_the_backend_is_told_that_a_client_takes_trailers(self) -> None:
        """By a TE of our own, on our own connection; other codings are between the client and us."""
        lines = "TE: gzip, trailers\r\nX-End: 2\r\nConnection: TE\r\n"
        self.assertEqual(self.sent(lines).raw, get(lines="X-End: 2\r\nConnection: TE\r\nTE: trailers\r\n"))

    def test_hop_by_hop_fields_do_not_reach_the_client(self) -> None:
        """Of the backend's response."""
        lines = b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nX-End: 2\r\n"
        self.front(self.backend(response(b"x", lines=lines)))
        client = self.client()
        client.ask(get())
        self.assertEqual(client.received, b"HTTP/1.1 200 X\r\nX-End: 2\r\nContent-Length: 1\r\n\r\nx")

    def test_connection_cannot_take_out_what_routing_and_framing_stand_on(self) -> None:
        """400, and nothing reaches the backend."""
        backend = self.backend()
        self.front(backend)
        for name in ("Host", "Content-Length", "Transfer-Encoding", "Cookie"):
            self.assertEqual(self.ask(post(b"x", lines=f"Connection: close, {name}\r\n")).status, 400, name)
        self.assertEqual(backend.connections, [])

    def test_connection_cannot_take_out_what_we_say_about_the_client(self) -> None:
        """Hop-by-hop abuse: the backend would take the proxy for the client."""
        request = self.sent("Connection: X-Forwarded-For, X-Real-IP, Forwarded\r\n", keys=" ")
        self.assertEqual(request.get("X-Forwarded-For"), b"127.0.0.1")
        self.assertEqual(request.get("X-Real-IP"), b"127.0.0.1")

    def test_cgi_twins_of_our_fields_do_not_reach_the_backend(self) -> None:
        """X_Forwarded_For and X-Forwarded-For are the same variable for CGI, WSGI and PHP; Proxy is HTTP_PROXY."""
        lines = (
            "X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nProxy: http://6.6.6.6\r\n"
        )
        self.assertNotIn(b"6.6.6.6", self.sent(lines, keys=" ").raw)

    def test_end_to_end_fields_keep_order_case_and_repetition(self) -> None:
        """Cookie lines, empty values, 8-bit values."""
        lines = (
            "ACCEPT: */*\r\nCookie: a=b\r\nX-Twice: 1\r\ncookie: c=d\r\nX-Twice: 2\r\nX-Empty:\r\nX-High: caf\xe9\r\n"
        )
        self.assertEqual(self.sent(lines).raw, get(lines=lines))

    def test_response_fields_keep_order_case_and_repetition(self) -> None:
        """Several Set-Cookie above all."""
        lines = b'Set-Cookie: a=b\r\nX: 1\r\nset-cookie: c=d; Path=/\r\nETag: "x"\r\nX-High: caf\xe9\r\n'
        self.front(self.backend(response(b"x", lines=lines)))
        client = self.client()
        client.ask(get())
        self.assertEqual(client.received, b"HTTP/1.1 200 X\r\n" + lines + b"Content-Length: 1\r\n\r\nx")


class IdentityTests(HttpProxyTestCase):
    """Who the client is."""

    def test_untrusted_claims_are_replaced(self) -> None:
        """Every field of that kind, in whatever case and however often."""
        backend = self.backend()
        proxy = self.front(backend)
        claims = "".join(
            f"{name.decode().title()}: 6.6.6.6\r\n{name.decode().upper()}: 6.6.6.6\r\n" for name in IDENTITY
        )
        self.ask(get(lines=claims + "X-Forwarded-Server: 6.6.6.6\r\nX-Other: stays\r\n"))
        (request,) = backend.requests
        self.assertNotIn(b"6.6.6.6", request.raw)
        self.assertEqual(request.get("X-Other"), b"stays")
        self.assertEqual(request.get("X-Forwarded-For"), b"127.0.0.1")
        self.assertEqual(request.get("X-Forwarded-Proto"), b"http")
        self.assertEqual(request.get("X-Forwarded-Port"), b"%d" % self.port)
        self.assertEqual(request.get("X-Forwarded-Host"), b"a.example")
        self.assertEqual(request.get("X-Real-IP"), b"127.0.0.1")
        self.assertEqual(request.get("Forwarded"), b"for=127.0.0.1;proto=http;by=127.0.0.1")
        self.assertRegex(request.get("X-Request-Id") or b"", rb"^[0-9a-f]{32}$")
        self.assertTrue(request.get("X-Session-Id"))
        wait_for(lambda: len(proxy.access_lines()) == 1, "a line of the access log")
        self.assertEqual(json.loads(proxy.access_lines()[0])["request_id"].encode(), request.get("X-Request-Id"))

    def test_trusted_proxies_are_believed_and_extended(self) -> None:
        """As nginx and HAProxy in front of us do it."""
        backend = self.backend()
        self.front(backend, keys="trusted_proxies = 127.0.0.0/8\n")
        lines = (
            "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n"
            "X-Forwarded-Host: b.example\r\n"
            "Forwarded: for=9.9.9.9;proto=https\r\nX-Request-Id: abc-123\r\n"
        )
        self.ask(get(lines=lines))
        (request,) = backend.requests
        self.assertEqual(request.get("X-Forwarded-For"), b"9.9.9.9, 127.0.0.1")
        self.assertEqual(request.get("X-Forwarded-Proto"), b"https")
        self.assertEqual(request.get("X-Forwarded-Port"), b"443")
        self.assertEqual(request.get("X-Forwarded-Host"), b"b.example")
        self.assertEqual(request.get("X-Real-IP"), b"9.9.9.9")
        self.assertEqual(request.get("X-Request-Id"), b"abc-123")
        self.assertTrue((request.get("Forwarded") or b"").startswith(b"for=9.9.9.9;proto=https, for=127.0.0.1"))

    def test_real_address_is_the_last_untrusted_one(self) -> None:
        """What stands before it, the client may have invented."""
        backend = self.backend()
        self.front(backend, keys="trusted_proxies = 127.0.0.0/8, 10.0.0.0/8\n")
        client = self.client()
        for chain, real in (
            ("6.6.6.6, 9.9.9.9, 10.0.0.1", b"9.9.9.9"),
            ("9.9.9.9", b"9.9.9.9"),
            ("6.6.6.6, garbage, 10.0.0.1", b"10.0.0.1"),
            ("2001:db8::1", b"2001:db8::1"),
            ("10.0.0.1, 10.0.0.2", b"10.0.0.1"),
        ):
            client.ask(get(lines=f"X-Forwarded-For: {chain}\r\n"))
            self.assertEqual(backend.requests[-1].get("X-Real-IP"), real, chain)

    def test_a_trusted_proxy_that_says_nothing(self) -> None:
        """Is the client itself."""
        backend = self.backend()
        self.front(backend, keys="trusted_proxies = 127.0.0.1\n")
        self.ask(get())
        self.assertEqual(backend.requests[0].get("X-Forwarded-For"), b"127.0.0.1")
        self.assertEqual(backend.requests[0].get("X-Real-IP"), b"127.0.0.1")

    def test_trust_is_the_peers_not_the_claims(self) -> None:
        """An untrusted client that claims a trusted address stays untrusted."""
        backend = self.backend()
        self.front(backend, keys="trusted_proxies = 127.0.0.2\n")
        self.ask(get(lines="X-Forwarded-For: 127.0.0.2\r\n"))
        self.assertEqual(backend.requests[0].get("X-Forwarded-For"), b"127.0.0.1")
        trusted = self.client(source="127.0.0.2")
        trusted.ask(get(lines="X-Forwarded-For: 9.9.9.9\r\n"))
        self.assertEqual(backend.requests[1].get("X-Forwarded-For"), b"9.9.9.9, 127.0.0.2")

    def test_kinds_can_be_left_out(self) -> None:
        """Sōzu's test_x_real_ip_neither: the client's claims are stripped still."""
        backend = self.backend()
        self.front(backend, keys="identity_headers = x-real-ip\nsession_header =\n")
        self.ask(get(lines="X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"))
        self.assertEqual(backend.requests[0].raw, get(lines="X-Real-IP: 127.0.0.1\r\n"))

    def test_ids_differ_by_request_and_agree_by_session(self) -> None:
        """Two requests of one client, and one of another."""
        backend = self.backend()
        self.front(backend, keys="session_header = X-Conn\n")
        client = self.client()
        client.ask(get())
        client.ask(get())
        self.ask(get())
        first, second, other = (request.get("X-Conn") for request in backend.requests)
        self.assertEqual(first, second)
        self.assertNotEqual(first, other)
        self.assertEqual(len({request.get("X-Request-Id") for request in backend.requests}), 3)

    def test_trailers_cannot_claim_either(self) -> None:
        """Sōzu's test_x_real_ip_elide_h2_trailer."""
        backend = self.backend()
        self.front(backend)
        body = b"1\r\nx\r\n0\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Good: 1\r\n\r\n"
        self.ask(get(method="POST", lines="Transfer-Encoding: chunked\r\n") + body)
        for request in backend.requests:
            self.assertNotIn(b"6.6.6.6", request.raw)


class ProxyProtocolTests(HttpProxyTestCase):
    """A PROXY header in front of the first request (Sōzu's group of that name)."""

    SOURCE, DESTINATION = ("2001:db8::7", 40000), ("2001:db8::1", 443)

    def test_its_address_is_the_client(self) -> None:
        """In version 1 and 2; IPv6 in Forwarded is bracketed and quoted (test_forwarded_ipv6_brackets_via_proxy_v2)."""
        for encode in (encode_v1, encode_v2):
            backend = self.backend()
            proxy = self.front(backend, keys="proxy_protocol = expect\n")
            client = self.client()
            client.ask(encode(self.SOURCE, self.DESTINATION) + get())
            client.ask(get("/again"))
            for request in backend.requests:
                self.assertEqual(request.get("X-Forwarded-For"), b"2001:db8::7")
                self.assertEqual(request.get("X-Real-IP"), b"2001:db8::7")
                self.assertEqual(request.get("X-Forwarded-Port"), b"443")
                self.assertIn(b'for="[2001:db8::7]"', request.get("Forwarded") or b"")
            wait_for(lambda: len(proxy.access_lines()) == 2, "two lines of the access log")  # noqa: B023
            self.assertIn("2001:db8::7", proxy.access_lines()[0])

    def test_it_may_come_in_pieces(self) -> None:
        """test_proxy_protocol_partial_header; byte by byte, the request glued to it."""
        self.front(self.backend(), keys="proxy_protocol = expect\n")
        data = encode_v2(("9.9.9.9", 1), ("8.8.8.8", 2)) + get()
        client = self.client().send(*(data[at : at + 1] for at in range(len(data))))
        self.assertEqual(client.read().status, 200)

    def test_local_and_unspec_mean_the_connection_itself(self) -> None:
        """Health checks of the proxy in front, whatever addresses they hold."""
        backend = self.backend()
        self.front(backend, keys="proxy_protocol = expect\n")
        magic = b"\r\n\r\n\x00\r\nQUIT\n"
        for header in (
            magic + b"\x20\x00\x00\x00",
            magic + b"\x20\x11\x00\x0c" + b"\x06" * 12,
            magic + b"\x21\x00\x00\x00",
            b"PROXY UNKNOWN\r\n",
        ):
            client = self.client()
            self.assertEqual(client.ask(header + get()).status, 200, header)
            self.assertEqual(backend.requests[-1].get("X-Forwarded-For"), b"127.0.0.1")

    def test_without_it_the_connection_ends(self) -> None:
        """A request that comes bare is not served, and not answered in the client's words."""
        backend = self.backend()
        self.front(backend, keys="proxy_protocol = expect\n")
        client = self.client().send(get())
        self.assertTrue(client.closed())
        self.assertEqual(backend.requests, [])

    def test_a_header_that_is_not_expected_is_a_bad_request(self) -> None:
        """Nobody may claim an address where nobody was asked to."""
        backend = self.backend()
        self.front(backend)
        self.assertEqual(self.ask(encode_v1(self.SOURCE, self.DESTINATION) + get()).status, 400)
        self.assertEqual(self.ask(encode_v2(self.SOURCE, self.DESTINATION) + get()).status, 400)
        self.assertEqual(backend.requests, [])

    def test_a_second_header_is_a_bad_request(self) -> None:
        """Only the first bytes of a connection may be one."""
        backend = self.backend()
        self.front(backend, keys="proxy_protocol = expect\n")
        header = encode_v1(("9.9.9.9", 1), ("8.8.8.8", 2))
        self.assertEqual(self.ask(header + header + get()).status, 400)
        self.assertEqual(backend.requests, [])

    def test_a_slow_header_ends_the_connection(self) -> None:
        """proxy_protocol_timeout."""
        proxy = self.front(self.backend(), keys="proxy_protocol = expect\nproxy_protocol_timeout = 200ms\n")
        client = self.client().send(b"PROXY TCP4 ")
        self.assertTrue(client.closed())
        self.wait_idle(proxy)

    def test_rapid_health_checks_leave_nothing(self) -> None:
        """test_rapid_proxy_protocol_healthchecks: a hundred, each gone after its header, or before."""
        proxy = self.front(self.backend(), keys="proxy_protocol = expect\n")
        for number in range(100):
            client = self.client()
            if number % 2:
                client.send(b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
            client.sock.close()
        client = self.client()
        self.assertEqual(client.ask(encode_v1(self.SOURCE, self.DESTINATION) + get()).status, 200)
        client.sock.close()
        self.wait_idle(proxy)

    def test_trust_is_judged_by_the_header(self) -> None:
        """The address in the PROXY header is the peer whose claims are believed or not."""
        backend = self.backend()
        self.front(backend, keys="proxy_protocol = expect\ntrusted_proxies = 9.9.9.9\n")
        for source, expected in (("9.9.9.9", b"7.7.7.7, 9.9.9.9"), ("6.6.6.6", b"6.6.6.6")):
            client = self.client()
            client.ask(encode_v1((source, 1), ("8.8.8.8", 2)) + get(lines="X-Forwarded-For: 7.7.7.7\r\n"))
            self.assertEqual(backend.requests[-1].get("X-Forwarded-For"), expected)


class AccessLogTests(HttpProxyTestCase):
    """A line for each request."""

    def lines(self, count: int) -> list[str]:
        """Wait for that many."""
        wait_for(lambda: len(self.front_proxy.access_lines()) >= count, f"{count} lines of the access log")
        return self.front_proxy.access_lines()

    def test_fields_of_a_line(self) -> None:
        """Who asked what of whom, how long it took, how it ended."""
        self.front(self.backend(), cluster="")
        client = self.client()
        client.ask(post(b"hello", "/x?y=z"))
        client.ask(get("/second"))
        client.sock.close()
        first, second = (json.loads(line) for line in self.lines(2))
        self.assertEqual((first["method"], first["target"], first["status"]), ("POST", "/x?y=z", 200))
        self.assertEqual((first["route"], first["cluster"], first["listener"]), ("all", "c", "web"))
        self.assertEqual(ipaddress.ip_address(first["client"].rpartition(":")[0]), ipaddress.ip_address("127.0.0.1"))
        self.assertEqual(first["retries"], 0)
        self.assertGreaterEqual(first["duration_s"], first["first_byte_s"])
        self.assertGreater(first["rx_bytes"], 0)
        self.assertNotEqual(first["request_id"], second["request_id"])
        self.assertEqual(second["target"], "/second")

    def test_what_peers_say_is_escaped(self) -> None:
        """8-bit bytes, quotes and backslashes in a target cannot forge a line or an escape sequence."""
        self.front(self.backend())
        for target in ('/"x\\', "/%0a%1b[2J", "/" + "a" * 5000):
            self.ask(get(target))
        for line in self.lines(3):
            self.assertTrue(line.isascii() and line.isprintable())
            self.assertLess(len(line), 4000)
            json.loads(line)

    def test_refused_requests_have_a_line_too(self) -> None:
        """With the status, and nothing of the bytes that were not understood."""
        self.front(self.backend())
        self.ask(b"GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n")
        self.ask(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n")
        for line in self.lines(2):
            self.assertEqual(json.loads(line)["status"], 400)
            self.assertTrue(line.isascii() and line.isprintable())

    def test_common_format(self) -> None:
        """As programs that read web servers' logs know it."""
        self.front(self.backend(), appliance="access_log_format = common\n")
        self.ask(get('/"x', 'User-Agent: evil" \x85 "agent\r\nReferer: http://r.example/\r\n'))
        (line,) = self.lines(1)
        self.assertRegex(line, r'^127\.0\.0\.1 - - \[[^\]]+\] "GET /\\"x HTTP/1\.1" 200 \d+ "http://r\.example/" "evil')
        self.assertTrue(line.isascii() and line.isprintable())
