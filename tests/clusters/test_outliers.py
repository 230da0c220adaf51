"""Outliers: who is ejected for what, for how long, and how many at once."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.state import BackendState, StateChange
from tests.clusters.test_cluster import ids, section


class OutlierTestCase(SynchronousTestCase):
    """A cluster of some backends, called a, b, c ..."""

    def make(self, count: int = 4, **changes: Any) -> Cluster:
        """Build it, with everything off that is not asked for."""
        lines = "\n".join(f"1.1.1.1:{n + 1} id={chr(97 + n)}" for n in range(count))
        cluster = Cluster(section(lines, **changes), random.Random(1))
        self.told: list[StateChange] = []
        cluster.state_watchers.append(self.told.append)
        cluster.choose(b"", 0.0)
        return cluster

    def interval(self, cluster: Cluster, now: float, **shares: tuple[int, int, float]) -> None:
        """
        Let an interval pass.

        :param shares: backend -> (successes, failures with 500, seconds of each).
        """
        for backend in cluster.backends:
            good, bad, seconds = shares.get(backend.id, (100, 0, 0.1))
            for status in [200] * good + [500] * bad:
                cluster.responded(backend, status, seconds, now)
        cluster.choose(b"", now)

    def ejected(self, cluster: Cluster, now: float) -> str:
        """Who is, by their letters."""
        return "".join(b.id for b in cluster.backends if b.state(now) is BackendState.EJECTED)


class InARowTests(OutlierTestCase):
    """Failures one after the other."""

    def test_failures(self) -> None:
        """Connections that break; a response of whatever status begins the count anew."""
        cluster = self.make(outlier_failures=3)
        a = cluster.backends[0]
        for _ in range(2):
            cluster.misbehaved(a, 0, 0.0, 1.0)
        cluster.responded(a, 503, 0.1, 1.0)
        for _ in range(2):
            cluster.misbehaved(a, 0, 0.0, 1.0)
        self.assertEqual(self.ejected(cluster, 1.0), "")
        cluster.misbehaved(a, 0, 0.0, 1.0)
        self.assertEqual((self.ejected(cluster, 30.9), self.ejected(cluster, 31.0)), ("a", ""))
        self.assertEqual((ids(cluster, now=2.0), a.failures_total, a.ejections_total), ({"b", "c", "d"}, 5, 1))
        self.assertEqual([change.why for change in self.told], ["3 failures in a row"])
        self.assertEqual((a.conduct.requests, a.conduct.successes), (6, 0))

    def test_failed_connections_are_failures_too(self) -> None:
        """They eject at once, for a second; the third one for longer."""
        cluster = self.make(outlier_failures=3)
        a = cluster.backends[0]
        for now in (0.0, 100.0, 200.0):
            cluster.connect_started(a)
            cluster.connect_failed(a, now)
        cluster.connect_started(a)
        cluster.connect_succeeded(a, 0.1, 201.0)
        self.assertEqual((self.ejected(cluster, 229.9), self.ejected(cluster, 230.0)), ("a", ""))

    def test_gateway_errors(self) -> None:
        """502, 503, 504 and silence; other responses begin the count anew, broken connections do not."""
        cluster = self.make(outlier_gateway_errors=4)
        a = cluster.backends[0]
        for status in (502, 503, 504, 500, 502, 503):
            cluster.responded(a, status, 0.1, 1.0)
        cluster.misbehaved(a, 0, 0.1, 1.0)
        cluster.misbehaved(a, 504, 30.0, 1.0)
        self.assertEqual(self.ejected(cluster, 1.0), "")
        cluster.responded(a, 504, 0.1, 1.0)
        self.assertEqual(self.ejected(cluster, 1.0), "a")
        self.assertEqual(self.told[0].why, "4 gateway errors in a row")

    def test_nothing_is_looked_for_unless_it_is_asked_for(self) -> None:
        """However bad it is."""
        for key in ("outlier_failures", "outlier_gateway_errors", "outlier_latency", "outlier_success_rate"):
            keys: dict[str, Any] = {key: 2}
            self.assertTrue(self.make(**keys).outliers.active)
        self.assertFalse(self.make().outliers.active)
        cluster = self.make(outlier_failures=1000)
        self.interval(cluster, 10.0, a=(0, 100, 9.0))
        for _ in range(100):
            cluster.responded(cluster.backends[1], 503, 0.1, 10.0)
        cluster = self.make()
        for _ in range(100):
            cluster.misbehaved(cluster.backends[1], 0, 0.1, 10.0)
        self.assertEqual((self.told, cluster.backends[1].failures_total), ([], 100))

    def test_an_update_takes_over_what_is_looked_for(self) -> None:
        """Counts stay."""
        cluster = self.make(outlier_failures=3)
        a = cluster.backends[0]
        cluster.misbehaved(a, 0, 0.0, 1.0)
        lines = "\n".join(f"1.1.1.1:{n + 1} id={chr(97 + n)}" for n in range(4))
        cluster.update(section(lines, outlier_failures=2, outlier_time_s=5.0))
        cluster.misbehaved(a, 0, 0.0, 1.0)
        self.assertEqual((self.ejected(cluster, 5.9), self.ejected(cluster, 6.0)), ("a", ""))


class CompareTests(OutlierTestCase):
    """At the end of an interval."""

    def test_latency(self) -> None:
        """Above so many times the median, not at it."""
        cluster = self.make(outlier_latency=3.0)
        self.interval(cluster, 9.9, a=(100, 0, 0.5))
        self.assertEqual(self.told, [])
        cluster.choose(b"", 10.9)
        self.assertEqual((self.ejected(cluster, 10.9), self.told[0].backend), ("a", "a"))
        self.assertEqual(self.told[0].why, "its responses take 0.500 s, 0.100 s is the median")
        cluster = self.make(outlier_latency=3.0)
        self.interval(cluster, 10.0, a=(100, 0, 0.25), b=(100, 0, 0.1), c=(100, 0, 0.1), d=(100, 0, 0.1))
        self.assertEqual(self.told, [])

    def test_the_median_of_an_even_number_is_the_lower_one_in_the_middle(self) -> None:
        """Of two slow ones among four both are outliers; of two among three neither."""
        slow = (100, 0, 1.0)
        cluster = self.make(4, outlier_latency=3.0, outlier_max_ejected=100)
        self.interval(cluster, 10.0, a=slow, b=slow)
        self.assertEqual(self.ejected(cluster, 10.0), "ab")
        cluster = self.make(3, outlier_latency=3.0, outlier_max_ejected=100)
        self.interval(cluster, 10.0, a=slow, b=slow)
        self.assertEqual(self.ejected(cluster, 10.0), "")
        cluster = self.make(5, outlier_latency=3.0, outlier_max_ejected=100)
        self.interval(cluster, 10.0, a=slow, b=slow, c=(100, 0, 0.5))
        self.assertEqual(self.ejected(cluster, 10.0), "")

    def test_success_rate(self) -> None:
        """So many deviations below the mean; of equals nobody is."""
        cluster = self.make(6, outlier_success_rate=1.9)
        self.interval(cluster, 10.0)
        self.assertEqual(self.told, [])
        self.interval(cluster, 20.0, b=(50, 50, 0.1))
        self.assertEqual(self.ejected(cluster, 20.0), "b")
        self.assertEqual(self.told[0].why, "50.0% of its responses are successes, 91.7% on average")
        cluster = self.make(6, outlier_success_rate=1.9)
        self.interval(cluster, 10.0, b=(50, 50, 0.1), c=(50, 50, 0.1))
        self.assertEqual(self.ejected(cluster, 10.0), "")

    def test_too_few_requests_or_backends_say_nothing(self) -> None:
        """Each interval counts for itself."""
        cluster = self.make(3, outlier_latency=3.0)
        self.interval(cluster, 10.0, a=(99, 0, 9.0))
        self.interval(cluster, 20.0, a=(99, 0, 9.0))
        self.assertEqual(self.told, [])
        self.interval(cluster, 30.0, a=(100, 0, 9.0))
        self.assertEqual(self.ejected(cluster, 30.0), "a")
        cluster = self.make(2, outlier_latency=3.0)
        self.interval(cluster, 10.0, a=(100, 0, 9.0))
        self.assertEqual(self.told, [])

    def test_keys_of_the_interval(self) -> None:
        """Its length, and how much is enough."""
        cluster = self.make(3, outlier_latency=3.0, outlier_interval_s=2.0, outlier_min_requests=5)
        self.interval(cluster, 2.0, a=(5, 0, 9.0))
        self.assertEqual(self.ejected(cluster, 2.0), "a")


class EjectionTests(OutlierTestCase):
    """How long, and how many."""

    def breaks(self, backend: Backend, cluster: Cluster, now: float) -> None:
        """One failure."""
        cluster.misbehaved(backend, 0, 0.0, now)
        cluster.choose(b"", now)

    def test_each_time_is_longer_and_good_intervals_make_it_shorter(self) -> None:
        """Up to a maximum."""
        cluster = self.make(outlier_failures=1, outlier_time_s=10.0, outlier_max_time_s=25.0)
        a = cluster.backends[0]
        now = 0.0
        lengths = []
        for _ in range(4):
            self.breaks(a, cluster, now)
            lengths.append(a.ejected_until - now)
            # the first look after its end is the end of an interval in which it was ejected
            now = a.ejected_until
        self.assertEqual(lengths, [10.0, 20.0, 25.0, 25.0])
        for _ in range(20):
            now += 10.0
            cluster.choose(b"", now)
        self.assertEqual(a.conduct.ejections, 0)
        self.breaks(a, cluster, now)
        self.assertEqual((a.ejected_until - now, a.ejections_total), (10.0, 5))

    def test_the_largest_share(self) -> None:
        """One may always be; of ten at twenty percent two."""
        for count, percent, most in ((4, 10, 1), (10, 10, 1), (10, 20, 2), (10, 29, 2), (4, 100, 3), (3, 0, 1)):
            cluster = self.make(count, outlier_failures=1, outlier_max_ejected=percent)
            for backend in cluster.backends:
                self.breaks(backend, cluster, 1.0)
            self.assertEqual(len(self.ejected(cluster, 1.0)), most, (count, percent))

    def test_the_last_that_is_up_is_not(self) -> None:
        """Whatever made the others unusable."""
        cluster = self.make(3, outlier_failures=1, outlier_max_ejected=100)
        a, b, c = cluster.backends
        cluster.set_health(b, False, 0.0)
        self.breaks(c, cluster, 1.0)
        self.breaks(a, cluster, 1.0)
        self.assertEqual((self.ejected(cluster, 1.0), ids(cluster, now=1.0)), ("c", {"a"}))

    def test_who_is_ejected_is_not_ejected_again(self) -> None:
        """What was under way may still fail."""
        cluster = self.make(outlier_failures=1)
        a = cluster.backends[0]
        self.breaks(a, cluster, 1.0)
        self.breaks(a, cluster, 20.0)
        self.assertEqual((a.ejected_until, a.conduct.ejections), (31.0, 1))

    def test_those_that_drain_do_not_count(self) -> None:
        """Neither as members nor as somebody who is there."""
        cluster = self.make(2, outlier_failures=1)
        a, b = cluster.backends
        cluster.session_started(b)
        cluster.update(section("1.1.1.1:1 id=a", outlier_failures=1))
        self.breaks(a, cluster, 1.0)
        self.assertEqual(self.ejected(cluster, 1.0), "")

    @settings(deadline=None, max_examples=100)
    @given(
        st.integers(0, 100),
        st.integers(1, 8),
        st.lists(st.tuples(st.integers(0, 7), st.sampled_from([0, 200, 503]), st.floats(0, 20)), max_size=80),
    )
    def test_whatever_happens_the_share_holds_and_somebody_is_up(
        self, percent: int, count: int, steps: list[tuple[int, int, float]]
    ) -> None:
        """And every ejection ends."""
        cluster = self.make(
            count, outlier_failures=1, outlier_gateway_errors=1, outlier_latency=2.0, outlier_max_ejected=percent
        )
        now = 0.0
        for number, status, seconds in steps:
            backend = cluster.backends[number % count]
            now += seconds
            if status:
                cluster.responded(backend, status, seconds, now)
            else:
                cluster.misbehaved(backend, 0, seconds, now)
            ejected = len(self.ejected(cluster, now))
            self.assertLessEqual(ejected, max(1, percent * count / 100))
            self.assertLess(ejected, count)
            self.assertEqual(len(cluster.usable(now)), count - ejected)
        self.assertEqual(self.ejected(cluster, now + 300.0), "")
