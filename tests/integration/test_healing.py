"""Backends that die and come back, or are slow, under load: what clients notice, and what the backends get."""

from __future__ import annotations

import socket
import threading
import time

from tests.integration.http_load_client import Load
from tests.integration.http_support import BackendConnection, HttpProxyTestCase, get, named, response, serving
from tests.integration.support import ProxyTestCase, echo, free_ports, read_all, reset, wait_for
from tests.integration.test_http_load import LoadTestCase


class KilledBackendTests(LoadTestCase):
    """SIGKILL."""

    def test_gets_do_not_notice_that_backends_are_killed_and_restarted_in_turn(self) -> None:
        """Three, twice each; every answer is 200 with the right body."""
        backends = self.backends(3)
        proxy, port = self.front(*backends.ports)
        load = Load(port, 16, posts=False).start()
        self.addCleanup(load.finish)
        for killed in backends.ports * 2:
            seen = load.total()
            wait_for(lambda: load.total() > seen + 100, "100 more answers")  # noqa: B023 - called at once
            backends.kill(killed)
            seen = load.total()
            wait_for(lambda: load.total() > seen + 100, "100 answers of the other two")  # noqa: B023
            backends.start(killed)
        outcomes = load.finish()
        self.assertEqual((load.wrong, set(outcomes)), ([], {"200"}), outcomes)
        self.assertGreater(proxy.metric("http_retries_total"), 0)

    def test_a_backend_that_flaps(self) -> None:
        """No GET fails; while it is known to be gone it gets one attempt after each pause, of a second at least."""
        backends = self.backends(2)
        proxy, port = self.front(*backends.ports)
        load = Load(port, 8, posts=False).start()
        self.addCleanup(load.finish)
        flapping = backends.ports[0]

        def state(name: str) -> bool:
            return proxy.metric("backend_state", backend="b0", state=name) == 1

        for _ in range(3):
            backends.kill(flapping)
            wait_for(lambda: state("ejected") or state("down"), "it is known to be gone")
            since, failures, seen = time.monotonic(), proxy.metric("backend_failures_total", backend="b0"), load.total()
            wait_for(lambda: load.total() > seen + 200, "200 answers of the other one")  # noqa: B023 - called at once
            attempts = proxy.metric("backend_failures_total", backend="b0") - failures
            self.assertLessEqual(attempts, 1 + time.monotonic() - since)
            backends.start(flapping)
            wait_for(lambda: state("up"), "it is back")
        outcomes = load.finish()
        self.assertEqual((load.wrong, set(outcomes)), ([], {"200"}), outcomes)


class SlowBackendTests(HttpProxyTestCase):
    """Backends that take longer than ``backend_timeout``."""

    def test_a_slow_cluster_gets_no_more_than_its_retry_budget(self) -> None:
        """Forty requests that all time out, and a quarter of them may be retries: not a hundred and twenty arrive."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.wait_end()

        backends = [self.backend(talk) for _ in range(3)]
        proxy = self.front(
            *backends,
            keys="backend_timeout = 1s\n",
            cluster="retry_on = timeout\nretry_budget = 25\nretry_budget_min = 0\n",
        )
        statuses: list[int] = []
        clients = [threading.Thread(target=lambda: statuses.append(self.ask(get()).status)) for _ in range(40)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.assertEqual(statuses, [504] * 40)
        retries = proxy.metric("http_retries_total")
        self.assertTrue(0 < retries <= 10, retries)
        self.assertEqual(sum(len(backend.requests) for backend in backends), 40 + retries)
        self.assertGreaterEqual(proxy.metric("backend_retry_budget_exceeded_total"), 30)


class OutlierTests(HttpProxyTestCase):
    """Backends that behave unlike the others."""

    def test_a_backend_that_only_fails_is_left_alone(self) -> None:
        """After three gateway errors in a row; the log and the metrics say so."""
        good = [self.backend(named(b"good")) for _ in range(2)]
        bad = self.backend(serving(response(status=503)))
        proxy = self.front(*good, bad, cluster="outlier_gateway_errors = 3\n")
        statuses = [self.ask(get()).status for _ in range(30)]
        self.assertEqual((statuses.count(503), statuses.count(200)), (3, 27))
        self.assertEqual(len(bad.requests), 3)
        self.assertEqual(proxy.metric("backend_ejections_total"), 1)
        self.assertEqual(proxy.metric("backend_state", state="ejected"), 1)
        self.assertIn("is ejected: 3 gateway errors in a row", proxy.log())


class TcpOutlierTests(ProxyTestCase):
    """The same for connections."""

    forked = True

    def test_a_backend_that_resets_every_connection_is_left_alone(self) -> None:
        """After three in a row; one that ends in order begins the count anew."""
        port = free_ports(1)[0]

        def resets(connection: socket.socket) -> None:
            connection.recv(1)
            reset(connection)

        good, bad = self.peer(echo), self.peer(resets)
        lines = "".join(f"  127.0.0.1:{peer.port} id={name}\n" for peer, name in ((good, "good"), (bad, "bad")))
        proxy = self.proxy(
            f"[cluster c]\nbackends =\n{lines}outlier_failures = 3\n"
            f"[tcp front]\nlisten = tcp:{port}:interface=127.0.0.1\ncluster = c\n"
        )
        answers = [self.answer(port) for _ in range(4)]
        self.assertEqual(sorted(answers), [b"", b"", b"hello", b"hello"])
        bad.talk = echo
        self.assertEqual([self.answer(port) for _ in range(2)], [b"hello"] * 2)
        bad.talk = resets
        answers = [self.answer(port) for _ in range(10)]
        self.assertEqual((answers.count(b""), answers.count(b"hello")), (3, 7))
        self.assertEqual(proxy.metric("backend_state", backend="bad", state="ejected"), 1)

    def answer(self, port: int) -> bytes:
        """What comes back from whichever backend; nothing when the connection is reset."""
        client = self.connect(port)
        try:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            return read_all(client)
        except ConnectionError:
            return b""
