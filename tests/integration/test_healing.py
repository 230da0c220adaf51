"""Backends that die and come back, or are slow, under load: what clients notice, and what the backends get."""

from __future__ import annotations

import threading
import time

from tests.integration.http_load_client import Load
from tests.integration.http_support import BackendConnection, HttpProxyTestCase, get
from tests.integration.support import wait_for
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
