"""The demo backends in memory."""

from __future__ import annotations

import json

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import FakeDatagramTransport, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from netappliance.demo.echo import TcpEchoFactory, UdpEcho
from netappliance.demo.http import demo_site

PEER = IPv4Address("TCP", "127.0.0.1", 40000)


class HttpTests(SynchronousTestCase):
    """The HTTP backend's pages."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.site = demo_site("127.0.0.1:9801", max_connections=2, idle_timeout_s=60, reactor=self.clock)
        self.site.doStart()
        self.addCleanup(self.site.doStop)

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        channel = self.site.buildProtocol(PEER)
        assert channel is not None
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(request)
        channel.connectionLost(Failure(ConnectionDone()))
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return head, body

    def get(self, path: str, method: str = "GET") -> tuple[bytes, bytes]:
        return self.ask(f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Seen: y\r\n\r\n".encode())

    def test_pages(self) -> None:
        """The root says who answers, /healthz is well, others are not found."""
        head, body = self.get("/")
        self.assertIn(b"127.0.0.1:9801", body)
        self.assertIn(b"X-Demo-Backend: 127.0.0.1:9801", head)
        self.assertTrue(self.get("/healthz")[0].startswith(b"HTTP/1.1 200"))
        self.assertTrue(self.get("/nope")[0].startswith(b"HTTP/1.1 404"))
        self.assertTrue(self.get("/", "DELETE")[0].startswith(b"HTTP/1.1 405"))

    def test_headers_are_shown(self) -> None:
        """What the proxy sent is what the page shows."""
        rows = json.loads(self.get("/headers?a=b")[1])
        self.assertIn(["uri", "/headers?a=b"], rows)
        self.assertIn("y", [value for name, value in rows if name.lower() == "x-seen"])

    def test_head_has_the_length_and_no_body(self) -> None:
        """HEAD answers like GET without the body."""
        for path, length in (("/healthz", 3), ("/bytes/77", 77)):
            head, body = self.get(path, "HEAD")
            self.assertIn(b"content-length: %d" % length, head.lower())
            self.assertEqual(body, b"")

    def test_bytes(self) -> None:
        """N bytes of the pattern, however many blocks that takes."""
        for length in (0, 1, 256, 65536, 200_000):
            _, body = self.get(f"/bytes/{length}")
            self.assertEqual(body, (bytes(range(256)) * (length // 256 + 1))[:length])

    def test_bytes_wait_for_a_slow_client(self) -> None:
        """While the transport is full nothing more is made; it goes on when there is room."""
        channel = self.site.buildProtocol(PEER)
        assert channel is not None
        transport = StringTransport()
        channel.makeConnection(transport)
        write = transport.write

        def full(data: bytes) -> None:
            write(data)
            channel.pauseProducing()

        transport.write = full  # type: ignore[method-assign]
        channel.dataReceived(b"GET /bytes/1000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        first = len(transport.value())
        self.assertLess(first, 200_000)
        channel.resumeProducing()
        self.assertGreater(len(transport.value()), first)
        channel.connectionLost(Failure(ConnectionDone()))

    def test_bad_byte_counts(self) -> None:
        """Anything but a sensible number is 400."""
        for count in ("", "-1", "x", "1e3", "99999999999", "2000000000", "%C2%B2", "1/2"):
            self.assertTrue(self.get(f"/bytes/{count}")[0].startswith(b"HTTP/1.1 400"), count)

    def test_echo(self) -> None:
        """A posted body comes back; one that is too large is refused."""
        head, body = self.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n\x00\xffz")
        self.assertEqual(body, b"\x00\xffz")
        head, _ = self.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 413"))

    def test_connections_are_bounded(self) -> None:
        """Beyond max_connections a connection is closed."""
        self.assertIsNotNone(self.site.buildProtocol(PEER))
        self.assertIsNotNone(self.site.buildProtocol(PEER))
        self.assertIsNone(self.site.buildProtocol(PEER))


class EchoTests(SynchronousTestCase):
    """The echo backends."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = TcpEchoFactory(max_connections=1, idle_timeout_s=10, clock=self.clock)

    def test_tcp(self) -> None:
        """Bytes come back, backpressure is the transport's own, silence ends the connection, limits hold."""
        echo = self.factory.buildProtocol(PEER)
        assert echo is not None
        transport = StringTransport()
        echo.makeConnection(transport)
        echo.dataReceived(b"hello")
        self.assertEqual(transport.value(), b"hello")
        self.assertIs(transport.producer, transport)
        self.assertIsNone(self.factory.buildProtocol(PEER))
        self.clock.advance(9)
        echo.dataReceived(b"again")
        self.clock.advance(9)
        self.assertFalse(transport.disconnected)
        self.clock.advance(2)
        self.assertTrue(transport.disconnected)
        echo.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNotNone(self.factory.buildProtocol(PEER))

    def test_udp(self) -> None:
        """A datagram, an empty one too, goes back to its sender; a send error is counted."""
        echo = UdpEcho()
        transport = FakeDatagramTransport()
        echo.makeConnection(transport)
        for data in (b"x", b""):
            echo.datagramReceived(data, ("192.0.2.1", 5))
        self.assertEqual(transport.written, [(b"x", ("192.0.2.1", 5)), (b"", ("192.0.2.1", 5))])

        def full(data: bytes, address: object) -> None:
            raise OSError(105, "No buffer space available")

        transport.write = full  # type: ignore[method-assign, assignment]
        echo.datagramReceived(b"y", ("192.0.2.1", 5))
        self.assertEqual(echo.lost, 1)
