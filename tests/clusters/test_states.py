"""States of backends: who is told of which change, and the one attempt that finds out whether a backend is back."""

from __future__ import annotations

import random
from typing import Any

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.cluster import Cluster
from netappliance.clusters.state import BackendState, StateChange
from tests.clusters.test_cluster import ids, section

TWO = "1.1.1.1:1 id=a\n1.1.1.1:2 id=b"


class StateTestCase(SynchronousTestCase):
    """Notes what is told."""

    def make(self, lines: str = TWO, **changes: Any) -> Cluster:
        """Build a cluster with a watcher."""
        cluster = Cluster(section(lines, **changes), random.Random(1))
        self.told: list[StateChange] = []
        cluster.state_watchers.append(self.told.append)
        return cluster

    def words(self) -> list[tuple[str, str, str]]:
        """What was told since the last time."""
        told, self.told[:] = list(self.told), []
        return [(change.backend, change.before.value, change.after.value) for change in told]


class ToldTests(StateTestCase):
    """Each change once, with its reason."""

    def test_checks(self) -> None:
        """At once, with their words; a result that changes nothing is none."""
        cluster = self.make()
        a = cluster.backends[0]
        with capturedLogs() as lines:
            cluster.set_health(a, False, 5.0, "health check http: the status is 500")
            cluster.set_health(a, False, 6.0, "again")
            cluster.set_health(a, True, 7.0, "health check http passed")
        self.assertEqual(self.words(), [("a", "up", "down"), ("a", "down", "up")])
        texts = [(line["log_level"], line["log_format"].format(**line)) for line in lines]
        down = "backend a of cluster c is down: health check http: the status is 500"
        up = "backend a of cluster c is up: health check http passed"
        self.assertEqual(texts, [(LogLevel.warn, down), (LogLevel.info, up)])

    def test_connections(self) -> None:
        """Ejected by the first failure, down by the sixth, up by a success; the change names its cluster and reason."""
        cluster = self.make()
        a = cluster.backends[0]
        for _ in range(7):
            now = a.backoff.until
            cluster.connect_started(a)
            cluster.connect_failed(a, now)
        self.assertEqual(self.words(), [("a", "up", "ejected"), ("a", "ejected", "down")])
        cluster.connect_started(a)
        cluster.connect_succeeded(a, 0.1, 1e6)
        (change,) = self.told
        self.assertEqual((change.cluster, change.backend, change.why), ("c", "a", "it answers again"))
        self.assertEqual(self.words(), [("a", "down", "up")])

    def test_datagrams_that_are_refused(self) -> None:
        """No connection tells when it is over: time does, and whoever uses the cluster next notices."""
        cluster = self.make()
        a = cluster.backends[0]
        cluster.marked_bad(a, 0.0)
        self.assertEqual(self.words(), [("a", "up", "ejected")])
        self.assertEqual((ids(cluster, now=0.9), self.words()), ({"b"}, []))
        self.assertEqual((ids(cluster, now=1.0), self.words()), ({"a", "b"}, [("a", "ejected", "up")]))

    def test_a_backend_that_leaves(self) -> None:
        """While it has sessions."""
        cluster = self.make()
        cluster.session_started(cluster.backends[0])
        cluster.update(section("1.1.1.1:2 id=b"))
        self.assertEqual(self.words(), [("a", "up", "draining")])

    def test_full_is_told_once_a_second_at_most_and_not_logged(self) -> None:
        """It may come and go with each request."""
        cluster = self.make("1.1.1.1:1 id=a max_connections=1\n1.1.1.1:2 id=b")
        a = cluster.backends[0]
        with capturedLogs() as lines:
            cluster.choose(b"", 0.0)
            for _ in range(3):
                cluster.connect_started(a)
                self.assertEqual((ids(cluster, now=0.5), self.words()), ({"b"}, []))
                cluster.released(a)
            cluster.connect_started(a)
            self.assertEqual((ids(cluster, now=1.0), self.words()), ({"b"}, [("a", "up", "full")]))
            cluster.released(a)
            self.assertEqual((ids(cluster, now=1.9), self.words()), ({"a", "b"}, []))
            self.assertEqual((ids(cluster, now=2.0), self.words()), ({"a", "b"}, [("a", "full", "up")]))
        self.assertEqual(lines, [])

    def test_a_full_one_that_fails_is_told_at_once(self) -> None:
        """As of any other."""
        cluster = self.make("1.1.1.1:1 id=a max_connections=1\n1.1.1.1:2 id=b")
        cluster.connect_started(cluster.backends[0])
        cluster.choose(b"", 0.0)
        cluster.set_health(cluster.backends[0], False, 0.1)
        self.assertEqual(self.words(), [("a", "up", "full"), ("a", "full", "down")])


class ProbationTests(StateTestCase):
    """After a failed connection there is one attempt at a time."""

    def fail_once(self, cluster: Cluster, now: float) -> None:
        """One failed connection to the first backend."""
        cluster.connect_started(cluster.backends[0])
        cluster.connect_failed(cluster.backends[0], now)

    def test_one_attempt_at_a_time_until_one_succeeds(self) -> None:
        """The others go elsewhere meanwhile."""
        cluster = self.make()
        a, _ = cluster.backends
        self.fail_once(cluster, 0.0)
        self.assertEqual(ids(cluster, now=1.0), {"a", "b"})
        cluster.connect_started(a)
        self.assertEqual((ids(cluster, now=1.1), a.state(1.1)), ({"b"}, BackendState.EJECTED))
        cluster.connect_succeeded(a, 0.1, 1.2)
        self.assertEqual((ids(cluster, now=1.2), a.state(1.2)), ({"a", "b"}, BackendState.UP))
        for _ in range(3):
            cluster.connect_started(a)
        self.assertEqual(ids(cluster, now=1.3), {"a", "b"})
        self.assertFalse(a.limited)

    def test_an_attempt_that_is_given_up_makes_room_for_another(self) -> None:
        """A client that left says nothing about the backend."""
        cluster = self.make("1.1.1.1:1 id=a max_connections=5\n1.1.1.1:2 id=b")
        a, _ = cluster.backends
        self.fail_once(cluster, 0.0)
        cluster.connect_started(a)
        self.assertEqual(ids(cluster, now=1.1), {"b"})
        cluster.released(a)
        self.assertEqual((ids(cluster, now=1.1), a.state(1.1)), ({"a", "b"}, BackendState.EJECTED))
        self.assertTrue(a.limited)

    def test_a_failed_attempt_is_the_next_failure(self) -> None:
        """The pause grows."""
        cluster = self.make()
        a, _ = cluster.backends
        self.fail_once(cluster, 0.0)
        self.fail_once(cluster, 1.0)
        self.assertEqual((a.backoff.failures, ids(cluster, now=1.9)), (2, {"b"}))
        self.assertEqual((a.trying, ids(cluster, now=4.0)), (False, {"a", "b"}))

    def test_alone_it_is_used_all_the_same(self) -> None:
        """There is nobody else to go to."""
        cluster = self.make("1.1.1.1:1 id=a")
        self.fail_once(cluster, 0.0)
        cluster.connect_started(cluster.backends[0])
        self.assertEqual((ids(cluster, now=1.1), cluster.fail_open_total), ({"a"}, 12))

    def test_an_update_in_the_middle_of_an_attempt(self) -> None:
        """Changes nothing about it."""
        cluster = self.make()
        a, _ = cluster.backends
        self.fail_once(cluster, 0.0)
        cluster.connect_started(a)
        cluster.update(section(TWO))
        self.assertEqual((ids(cluster, now=1.1), a.limited), ({"b"}, True))
        cluster.released(a)
        self.assertEqual(ids(cluster, now=1.1), {"a", "b"})


class BudgetTests(StateTestCase):
    """What a cluster's retries are measured by."""

    def test_connections_and_requests_on_kept_ones_count(self) -> None:
        """Of all backends, those that have left included; a reload takes new limits over."""
        cluster = self.make(retry_budget=50, retry_budget_min=0)
        a, b = cluster.backends
        cluster.choose(b"", 0.0)
        self.assertFalse(cluster.retry(0.0))
        for backend in (a, b):
            cluster.session_started(backend)
            cluster.released(backend)
            cluster.reused(backend)
            cluster.released(backend)
        cluster.update(section("1.1.1.1:2 id=b", retry_budget=50, retry_budget_min=0))
        self.assertEqual((cluster.connections_total, cluster.reused_total), (2, 2))
        for allowed in (True, True, False):
            self.assertEqual(cluster.retry(0.0), allowed)
            cluster.reused(b)
        self.assertEqual(cluster.retry_budget.exceeded_total, 2)
        cluster.update(section("1.1.1.1:2 id=b", retry_budget=0, retry_budget_min=1))
        self.assertEqual([cluster.retry(0.5) for _ in range(9)], [True] * 8 + [False])
