"""A pool's connections under TLS, on pairs of sockets: when they are there, kept, stale, and given up."""

from __future__ import annotations

import random
import socket
import tempfile
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import backend_lines
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.section import ClusterSection
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.http.backends.pool import BackendPool
from netappliance.http.framing.chunked import Pieces
from netappliance.http.framing.response import ResponseFraming
from netappliance.http.identity import ClientIdentity, IdentityRules
from netappliance.http.message import Request, Response
from netappliance.http.streams.h1_backend import H1BackendConnection
from netappliance.http.streams.stream import StreamUser
from netappliance.sessions.reasons import Cause
from netappliance.tls.to_backends.section import backend_tls
from tests.certificates import Authority, self_signed
from tests.tls.to_backends.loopback import server_context

ROOT = Authority("the root")
GOOD = ROOT.leaf("a.test")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
IDENTITY = ClientIdentity(IdentityRules((), b"", ()), ("127.0.0.1", 1), ("127.0.0.1", 2), b"id")


class User(StreamUser):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def backend_connected(self) -> None:
        """Noted."""
        self.told.append("connected")

    def backend_failed(self, cause: Cause, error: OSError) -> None:
        """Noted."""
        self.told.append(cause)

    def backend_sent(self, count: int) -> None:
        """Not noted."""

    def backend_received(self, count: int) -> None:
        """Not noted."""

    def backend_responded(self, response: Response, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """Noted."""
        self.told.append((response.status, b"".join(pieces)))
        return True


class TlsPoolTests(SynchronousTestCase):
    """One backend, whose side the test plays."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        ca = ROOT.write(Path(folder.name, "ca.pem"))
        self.reactor: Any = MemoryReactorClock()
        self.poller = Poller(self.reactor, self.reactor.seconds)
        self.poller.start()
        self.addCleanup(self.poller.stop)
        tls = backend_tls(f"verify name=a.test ca={ca}")
        self.cluster = Cluster(
            ClusterSection(name="c", backends=backend_lines("10.0.0.1:1 id=a"), tls=tls), random.Random(1)
        )
        self.pool = BackendPool(self.cluster, self.poller, TimerWheel(0.0), self._connect)
        self.context = server_context(GOOD)
        self.servers: list[TlsTransport] = []
        self.user = User()

    def _connect(self, family: int, address: Any) -> socket.SocketType:
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
            self.addCleanup(end.close)
        server = TlsTransport(far)
        sock: Any = far
        server.tls.attach(SSL.Connection(self.context, sock))
        assert server.tls.connection is not None
        server.tls.connection.set_accept_state()
        self.servers.append(server)
        return near

    @property
    def backend(self) -> Backend:
        """The one."""
        return self.cluster.backends[0]

    def begin(self) -> H1BackendConnection:
        """Begin a connection for the user."""
        made = self.pool.connect(self.backend)
        made.begin(self.user, b"GET", ResponseFraming())
        return made

    def shake(self) -> None:
        """Let both sides go on until neither can."""
        for _ in range(4):
            self.poller.doRead()
            try:
                self.servers[-1].tls.handshake()
            except OSError:
                return

    def ask(self, connection: H1BackendConnection, path: bytes = b"/") -> None:
        """Send a request."""
        request = Request(b"GET", path, 1, [])
        request.authority = b"a.test"
        connection.request(request, IDENTITY, b"id", b"", [])

    def kept(self) -> H1BackendConnection:
        """Return a connection that has served one request, and is idle."""
        connection = self.begin()
        self.shake()
        self.ask(connection)
        self.servers[-1].recv(1000)
        self.servers[-1].send(ANSWER)
        self.poller.doRead()
        self.assertEqual(self.user.told, ["connected", (200, b"ok")])
        connection.release(clean=True)
        self.assertEqual(self.pool.idle[self.backend], [connection])
        self.user.told.clear()
        return connection

    def test_a_connection_is_there_when_tls_is(self) -> None:
        """Not before: the user is told once, and can send."""
        connection = self.begin()
        self.poller.doRead()
        self.assertTrue(connection.is_connecting())
        self.assertEqual(self.user.told, [])
        self.shake()
        self.assertFalse(connection.is_connecting())
        self.assertEqual(self.user.told, ["connected"])
        self.ask(connection, b"/x")
        self.assertTrue(self.servers[0].recv(1000).startswith(b"GET /x HTTP/1.1\r\n"))

    def test_a_failed_handshake_is_a_failed_attempt(self) -> None:
        """With the cause tls."""
        self.context = server_context(self_signed("a.test"))
        connection = self.begin()
        self.shake()
        self.assertEqual(self.user.told, [Cause.TLS])
        connection.abort()
        self.assertEqual(connection.transport.sock.fileno(), -1)
        self.assertEqual(self.cluster.handshakes.results["self_signed"], 1)
        self.assertEqual(self.cluster.handshakes.results["timeout"], 0)

    def test_an_attempt_that_is_given_up_in_the_handshake(self) -> None:
        """For time, it is counted; because the client left, it is not."""
        for given_up, timeouts in (
            (lambda connection: connection.release(clean=False), 0),
            (lambda connection: connection.abort(), 1),
        ):
            connection = self.begin()
            self.poller.doRead()
            given_up(connection)
            self.assertEqual(connection.transport.sock.fileno(), -1)
            self.assertEqual(self.cluster.handshakes.results["timeout"], timeouts)
        self.assertEqual(self.user.told, [])

    def test_the_end_of_an_idle_connection(self) -> None:
        """By close_notify and FIN, and by FIN alone."""
        for farewell in (True, False):
            connection = self.kept()
            if farewell:
                self.servers[-1].farewell()
            self.servers[-1].sock.close()
            self.poller.doRead()
            self.assertEqual((self.pool.idle[self.backend], connection.transport.sock.fileno()), ([], -1))
        self.assertEqual(self.pool.stale, 2)

    def test_words_that_nobody_asked_for(self) -> None:
        """They would be taken for the next request's response."""
        self.kept()
        self.servers[0].send(ANSWER)
        self.poller.doRead()
        self.assertEqual((self.pool.idle[self.backend], self.pool.stale), ([], 1))

    def test_words_that_came_before_their_edge_was_handed_out(self) -> None:
        """The one who takes a kept connection looks."""
        self.kept()
        self.servers[0].send(ANSWER)
        self.assertIsNone(self.pool.reuse(self.backend, surely=True))
        self.assertEqual(self.pool.stale, 1)

    def test_a_silent_one_is_taken(self) -> None:
        """For any request."""
        for surely in (True, False):
            connection = self.kept()
            self.assertIs(self.pool.reuse(self.backend, surely=surely), connection)
            connection.begin(self.user, b"GET", ResponseFraming())
            self.ask(connection)
            self.assertIn(b"GET / HTTP/1.1", self.servers[-1].recv(1000))
            connection.close()

    def test_a_close_says_so(self) -> None:
        """With TLS's own word; the next connection resumes."""
        connection = self.kept()
        connection.close()
        self.assertEqual(self.servers[0].recv(10), b"")
        self.begin()
        self.shake()
        self.assertEqual(self.cluster.handshakes.resumed_total, 1)
