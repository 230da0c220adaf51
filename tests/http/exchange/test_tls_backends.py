"""Connections to backends under TLS: when they are there, kept, stale, and given up."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.certificates import Authority, self_signed
from tests.http.exchange.test_exchange import GET, OK
from tests.http.exchange.test_life import POST, LifeTestCase
from tests.http.exchange.tls_world import TlsWorld
from tests.http.exchange.world import FakeSocket
from tests.tls.to_backends.loopback import server_context

ROOT = Authority("the root")
GOOD = ROOT.leaf("a.test")


class TlsBackendTests(LifeTestCase):
    """One backend, or nearly."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.ca = ROOT.write(Path(folder.name, "ca.pem"))
        self.tls_world()

    def tls_world(self, cluster: str = "") -> None:
        """Begin anew."""
        self.now = TlsWorld(server_context(GOOD), f"verify name=a.test ca={self.ca}", cluster)
        self.addCleanup(self.now.close)

    def client(self, data: bytes = GET % b"/") -> FakeSocket:
        """Let a client ask."""
        client = self.now.client()
        client.give(data)
        self.now.turn()
        return client

    def kept(self) -> None:
        """Let one request be served, whose connection is kept."""
        client = self.client()
        self.now.shake()
        self.answer(client)
        client.break_off()
        self.now.turn()
        self.assertEqual(len(self.now.idle()), 1)

    def answer(self, client: FakeSocket) -> bytes:
        """Let the backend answer; what it was asked."""
        before = len(self.answered(client))
        asked = self.now.servers[-1].recv(10_000)
        self.now.servers[-1].send(OK)
        self.now.turn()
        self.assertEqual(self.answered(client)[before:], [200])
        return asked

    def test_the_request_is_sent_when_tls_is_there(self) -> None:
        """Not before; the connection serves the next one too."""
        client = self.client(POST % (b"/x", 3) + b"abc")
        self.assertEqual(self.now.cluster.handshakes.results["ok"], 0)
        self.now.shake()
        asked = self.answer(client)
        self.assertTrue(asked.startswith(b"POST /x HTTP/1.1\r\n") and asked.endswith(b"\r\n\r\nabc"))
        client.give(GET % b"/y")
        self.now.turn()
        self.assertTrue(self.answer(client).startswith(b"GET /y HTTP/1.1\r\n"))
        self.assertEqual((len(self.now.servers), self.now.cluster.handshakes.results["ok"]), (1, 1))

    def test_a_failed_handshake_is_a_failed_attempt(self) -> None:
        """With the cause tls and an answer of its own."""
        self.tls_world("retries = 1")
        self.now.context = server_context(self_signed("a.test"))
        client = self.client()
        self.now.shake()
        self.assertEqual(self.ends(self.now), [(502, "backend/connect/tls")])
        self.assertIn(b"TLS with the backend failed", client.outbound)
        results = self.now.cluster.handshakes.results
        self.assertEqual({result: count for result, count in results.items() if count}, {"self_signed": 1})
        self.assertEqual([backend.failures_total for backend in self.now.cluster.backends], [1])

    def test_a_handshake_without_an_end(self) -> None:
        """connect_timeout is for both; what does not answer is tried again."""
        self.tls_world("connect_timeout = 2s\nretries = 2")
        self.client()
        self.now.wait(5.0)
        self.assertEqual(self.ends(self.now), [(503, "backend/connect/timeout")])
        self.assertEqual((len(self.now.servers), self.now.cluster.handshakes.results["timeout"]), (2, 2))

    def test_a_client_that_leaves_in_the_handshake(self) -> None:
        """Nobody is to blame, and nothing is left."""
        client = self.client()
        client.break_off()
        self.now.turn()
        self.nothing_left(self.now)
        self.assertEqual(sum(self.now.cluster.handshakes.results.values()), 0)
        hello = self.now.servers[0].sock.recv(10_000)
        self.assertEqual((hello[:1], self.now.servers[0].sock.recv(1)), (b"\x16", b""))

    def test_the_end_of_an_idle_connection(self) -> None:
        """By close_notify and FIN, and by FIN alone."""
        for farewell in (True, False):
            self.kept()
            if farewell:
                self.now.servers[-1].farewell()
            self.now.servers[-1].sock.close()
            self.now.turn()
            self.assertEqual(self.now.idle(), [])
        self.assertEqual(self.now.pool.stale, 2)

    def test_words_that_nobody_asked_for(self) -> None:
        """They would be taken for the next request's response."""
        self.kept()
        self.now.servers[0].send(OK)
        self.now.turn()
        self.assertEqual((self.now.idle(), self.now.pool.stale), ([], 1))

    def test_words_that_came_in_the_round_of_the_next_request(self) -> None:
        """Whoever takes a kept connection looks, whichever edge is handed out first."""
        for data in (GET % b"/2", POST % (b"/2", 0)):
            self.tls_world()
            self.kept()
            self.now.servers[0].send(OK)
            client = self.client(data)
            self.assertEqual((self.now.pool.stale, client.outbound), (1, b""))
            self.now.shake()
            self.answer(client)

    def test_a_close_says_so(self) -> None:
        """With TLS's own word; the next connection resumes."""
        self.kept()
        self.now.wait(60.0)
        self.assertEqual((self.now.idle(), self.now.servers[0].recv(10)), ([], b""))
        client = self.client()
        self.now.shake()
        self.answer(client)
        self.assertEqual(self.now.cluster.handshakes.resumed_total, 1)
