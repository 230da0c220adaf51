"""The admin pages over an in-memory connection."""

from __future__ import annotations

from typing import Any, cast

from prometheus_client import Counter
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.scrape import SlicedRegistry
from netappliance.admin.site import AdminSite, Page, config_page, live_page, metrics_page, ready_page, refusal
from netappliance.endpoints.bounded_site import BoundedChannel

PEER = IPv4Address("TCP", "127.0.0.1", 40000)


class Wire(StringTransport):
    """A transport that, like TCP's, says ``disconnecting`` at once and loses the connection later."""

    def __init__(self, channel: BoundedChannel) -> None:
        super().__init__()
        self.connected = True
        self.channel = channel
        channel.makeConnection(self)

    def receive(self, data: bytes) -> None:
        """Deliver data, and the loss of the connection when it was asked for."""
        self.channel.dataReceived(data)
        self.settle()

    def settle(self) -> None:
        """Lose the connection if it was asked for."""
        if self.disconnecting:
            self.abortConnection()

    def abortConnection(self) -> None:
        """Lose the connection now."""
        if self.connected:
            self.connected = False
            self.channel.connectionLost(Failure(ConnectionDone()))

    def first_line(self) -> bytes:
        """The status line."""
        line: bytes = self.value().split(b"\r\n")[0]
        return line


class SiteTests(SynchronousTestCase):
    """What a client of the admin endpoint gets."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.site = AdminSite(
            reactor=self.clock, max_connections=2, request_timeout_s=5, idle_timeout_s=20, max_body_bytes=100
        )
        self.site.doStart()
        self.registry = SlicedRegistry()
        Counter("things", "Things.", registry=self.registry).inc(3)
        self.why = "starting"
        self.site.add_page("/metrics", metrics_page(self.registry, self.clock))
        self.site.add_page("/live", live_page())
        self.site.add_page("/ready", ready_page(lambda: self.why))
        self.site.add_page("/config", config_page("[admin]\n"))

    def tearDown(self) -> None:
        self.site.doStop()
        for channel in list(self.site.channels):
            cast("Any", channel.transport).abortConnection()
        self.clock.advance(0)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if "_updateLogDateTime" not in str(call)], [])

    def connect(self) -> Wire:
        channel = self.site.buildProtocol(PEER)
        assert channel is not None
        return Wire(channel)

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        transport = self.connect()
        transport.receive(request)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        transport.abortConnection()
        return head, body

    def get(self, path: bytes, headers: bytes = b"", method: bytes = b"GET") -> tuple[bytes, bytes]:
        return self.ask(method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")

    def test_live(self) -> None:
        """A process that can answer is alive."""
        head, body = self.get(b"/live")
        self.assertIn(b"HTTP/1.1 200", head)
        self.assertEqual(body, b"live\n")

    def test_ready_follows_the_appliance(self) -> None:
        """Ready is 503 with the reason until there is none."""
        head, body = self.get(b"/ready")
        self.assertIn(b"503", head.splitlines()[0])
        self.assertIn(b"starting", body)
        self.why = ""
        head, body = self.get(b"/ready")
        self.assertIn(b"200", head.splitlines()[0])

    def test_metrics_default_to_prometheus_text(self) -> None:
        """Without Accept the answer is the text format 0.0.4."""
        head, body = self.get(b"/metrics")
        self.assertIn(b"version=0.0.4", head)
        self.assertIn(b"things_total 3.0", body)

    def test_metrics_negotiate_openmetrics(self) -> None:
        """OpenMetrics is sent to who asks for it."""
        head, body = self.get(b"/metrics", b"Accept: application/openmetrics-text; version=1.0.0\r\n")
        self.assertIn(b"application/openmetrics-text", head)
        self.assertTrue(body.endswith(b"# EOF\n"))

    def test_metrics_survive_a_nonsense_accept(self) -> None:
        """An Accept that cannot be parsed gets the default format and cannot add a header."""
        for accept in (
            b"text/plain; version=x.y",
            b"application/openmetrics-text; version=\xff; escaping=\xc3",
            b"," * 999,
        ):
            head, body = self.get(b"/metrics", b"Accept: " + accept + b"\r\n")
            self.assertIn(b"200", head.splitlines()[0])
            self.assertIn(b"things_total", body)

    def test_config_page(self) -> None:
        """The configuration page shows what the renderer gives."""
        self.assertEqual(self.get(b"/config")[1], b"[admin]\n")

    def test_index_lists_the_pages(self) -> None:
        """The root page links every page that has a summary."""
        head, body = self.get(b"/")
        self.assertIn(b"text/html", head)
        for path in (b"/metrics", b"/live", b"/ready", b"/config"):
            self.assertIn(b'href="' + path + b'"', body)

    def test_unknown_paths_are_404(self) -> None:
        """Near misses are not found either."""
        for path in (b"/nope", b"/metrics/", b"/Metrics", b"//metrics", b"/live/../metrics", b"/%6detrics"):
            self.assertIn(b"404", self.get(path)[0].splitlines()[0], path)

    def test_other_methods_are_405(self) -> None:
        """A method that a page does not have is refused with what it has."""
        for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"BREW"):
            head, _ = self.get(b"/metrics", method=method)
            self.assertIn(b"405", head.splitlines()[0], method)
            self.assertIn(b"Allow: GET, HEAD", head)

    def test_head_has_no_body(self) -> None:
        """HEAD answers with the length that GET would have."""
        head, body = self.get(b"/live", method=b"HEAD")
        self.assertIn(b"content-length: 5", head.lower())
        self.assertEqual(body, b"")

    def test_security_headers_everywhere(self) -> None:
        """Pages and refusals forbid sniffing, framing and caching, and do not tell a version."""
        for path in (b"/", b"/nope", b"/metrics", b"/ready"):
            head, _ = self.get(path)
            self.assertIn(b"X-Content-Type-Options: nosniff", head)
            self.assertIn(b"frame-ancestors 'none'", head)
            self.assertIn(b"Cache-Control: no-store", head)
            self.assertNotIn(b"Twisted", head)

    def test_large_bodies_are_refused(self) -> None:
        """A declared or chunked body beyond the limit is 413 and the connection ends."""
        declared = self.connect()
        declared.receive(b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n" + b"a" * 101)
        self.assertTrue(declared.value().startswith(b"HTTP/1.1 413"))
        self.assertEqual(declared.value().count(b"HTTP/1.1"), 1)
        self.assertFalse(declared.connected)
        chunked = self.connect()
        chunked.receive(b"POST /live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            if chunked.connected:
                chunked.receive(b"32\r\n" + b"a" * 50 + b"\r\n")
        self.assertTrue(chunked.value().startswith(b"HTTP/1.1 413"))
        self.assertFalse(chunked.connected)

    def test_large_heads_are_refused(self) -> None:
        """Too many or too long headers end in 400 or in the end of the connection."""
        self.assertEqual(self.get(b"/live", b"X: " + b"a" * 17000 + b"\r\n")[0], b"")
        self.assertIn(b"400", self.get(b"/live", b"X: a\r\n" * 150)[0].splitlines()[0])
        self.assertIn(b"400", self.get(b"/live", (b"X: " + b"a" * 6000 + b"\r\n") * 3)[0].splitlines()[0])

    def test_connections_are_bounded(self) -> None:
        """Beyond the limit a connection is refused and counted; one that ends makes room."""
        first, _second = self.connect(), self.connect()
        self.assertIsNone(self.site.buildProtocol(PEER))
        self.assertIsNone(self.site.buildProtocol(PEER))
        self.assertEqual(self.site.refused_total, 2)
        first.abortConnection()
        self.assertIsNotNone(self.connect())

    def test_slow_requests_are_cut(self) -> None:
        """A client that drips its request does not hold the connection by dripping."""
        transport = self.connect()
        for byte in b"GET /live":
            transport.receive(bytes((byte,)))
            self.clock.advance(0.5)
        self.assertTrue(transport.connected)
        self.clock.advance(1)
        self.assertFalse(transport.connected)

    def test_silent_connections_are_cut(self) -> None:
        """A connection that never asks anything ends after the idle timeout."""
        transport = self.connect()
        self.clock.advance(19)
        self.assertTrue(transport.connected)
        self.clock.advance(2)
        transport.settle()
        self.assertFalse(transport.connected)

    def test_a_kept_connection_asks_again(self) -> None:
        """Two requests on one connection are both answered, and the first one's clock does not cut the second."""
        transport = self.connect()
        for _ in range(2):
            transport.clear()
            transport.receive(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", transport.value())
            self.clock.advance(4)
        self.assertTrue(transport.connected)

    def test_a_crash_is_a_500_without_a_traceback(self) -> None:
        """A page that raises tells the client nothing; the log has it."""
        self.site.add_page("/crash", Page(lambda request: b"" + 1, "crashes"))  # type: ignore[operator]
        head, body = self.get(b"/crash")
        self.assertIn(b"500", head.splitlines()[0])
        self.assertNotIn(b"TypeError", body)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_a_prefix_page_answers_what_no_page_has(self) -> None:
        """A page for a whole branch gets what has no page of its own."""
        self.site.add_page("/api/*", Page(lambda request: request.path, methods=(b"GET", b"POST")))
        self.site.add_page("/api/own", Page(lambda request: refusal(request, 409, "own")))
        self.assertEqual(self.get(b"/api/v1/x", method=b"POST")[1], b"/api/v1/x")
        self.assertIn(b"409", self.get(b"/api/own")[0])
        self.assertIn(b"404", self.get(b"/api")[0])

    def test_the_index_may_be_replaced(self) -> None:
        """A later page at the same path wins."""
        self.site.add_page("/", Page(lambda request: b"dashboard"))
        self.assertEqual(self.get(b"/")[1], b"dashboard")

    def test_garbage_is_refused(self) -> None:
        """What is not HTTP gets 400 and the connection ends, with no traceback."""
        for garbage in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n"):
            transport = self.connect()
            transport.receive(garbage)
            self.assertIn(b"400", transport.first_line())
            self.assertFalse(transport.connected)
