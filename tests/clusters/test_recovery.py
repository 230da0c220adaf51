"""Backends that are back get their share bit by bit; and when few are left, all are used."""

from __future__ import annotations

import collections
import random
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.balancing import make_balancer
from netappliance.clusters.balancing.maglev import Filling
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.slow_start import NOT
from tests.clusters.test_cluster import ids, section

FOUR = "1.1.1.1:1 id=a\n1.1.1.1:2 id=b\n1.1.1.1:3 id=c\n1.1.1.1:4 id=d"


def shares(cluster: Cluster, now: float, count: int = 1000) -> dict[str, int]:
    """How many of so many choices fall on each."""
    chosen = [cluster.choose(b"", now) for _ in range(count)]
    return dict(collections.Counter(backend.id for backend in chosen if backend is not None))


class SlowStartTests(SynchronousTestCase):
    """Twenty seconds."""

    def make(self, lines: str = FOUR, **changes: Any) -> Cluster:
        """Build one that was looked at."""
        cluster = Cluster(section(lines, **{"slow_start_s": 20.0, **changes}), random.Random(1))
        cluster.choose(b"", 0.0)
        return cluster

    def near(self, cluster: Cluster, now: float, share: float) -> None:
        """Hold the share of the first backend."""
        got = shares(cluster, now)["a"] / 1000
        self.assertLess(abs(got - share), 0.04, f"{got}, not {share}, at {now}")

    def recover(self, cluster: Cluster, now: float) -> None:
        """The first backend is back."""
        cluster.set_health(cluster.backends[0], False, now)
        cluster.set_health(cluster.backends[0], True, now)

    def test_who_is_back_begins_with_a_tenth(self) -> None:
        """And has its share when the time is over."""
        for balance in ("round_robin", "random", "least_connections"):
            cluster = self.make(balance=balance)
            self.recover(cluster, 100.0)
            for now, percent in ((100.0, 10), (104.0, 20), (110.0, 50), (119.9, 99)):
                share = percent / (percent + 300)
                self.near(cluster, now, share)
                self.assertEqual(cluster.backends[0].weight, 100 * percent)
            self.near(cluster, 121.0, 0.25)
            self.assertEqual([backend.weight for backend in cluster.backends], [100] * 4)

    def test_time_may_begin_at_0(self) -> None:
        """A monotonic clock may; the first second is one like others."""
        for began in (0.0, 0.5):
            cluster = self.make()
            self.recover(cluster, began)
            self.assertEqual(cluster.backends[0].weight, 1000)
            self.near(cluster, began + 10.0, 50 / 350)
            self.near(cluster, began + 20.0, 0.25)
            self.assertEqual(cluster.backends[0].weight, 100)
            cluster.choose(b"", began + 30.0)
            self.assertEqual({backend.warming_since for backend in cluster.backends}, {NOT})

    def test_weights_of_the_configuration_count(self) -> None:
        """Small ones too, and none at all."""
        cluster = self.make("1.1.1.1:1 id=a weight=1\n1.1.1.1:2 id=b weight=2\n1.1.1.1:3 id=z weight=0")
        self.recover(cluster, 100.0)
        self.assertEqual([backend.weight for backend in cluster.backends], [10, 200, 0])
        self.near(cluster, 110.0, 0.2)
        self.assertEqual([backend.weight for backend in cluster.backends], [50, 200, 0])
        self.assertEqual(shares(cluster, 120.0, 300), {"a": 100, "b": 200})

    def test_at_the_start_all_have_their_share(self) -> None:
        """Who joins later does not; an update in the middle changes weights, not the time."""
        cluster = self.make()
        self.assertEqual(shares(cluster, 0.0, 400), {"a": 100, "b": 100, "c": 100, "d": 100})
        cluster.update(section(FOUR + "\n1.1.1.1:5 id=e", slow_start_s=20.0))
        self.assertEqual(shares(cluster, 50.0, 410)["e"], 10)
        cluster.update(section(FOUR.replace("id=a", "id=a weight=200") + "\n1.1.1.1:5 id=e", slow_start_s=20.0))
        cluster.choose(b"", 60.0)
        self.assertEqual([backend.weight for backend in cluster.backends], [20000, 10000, 10000, 10000, 5000])
        cluster.choose(b"", 70.0)
        self.assertEqual([backend.weight for backend in cluster.backends], [200, 100, 100, 100, 100])

    def test_an_update_may_end_it(self) -> None:
        """Taking the key away."""
        cluster = self.make()
        self.recover(cluster, 100.0)
        cluster.update(section(FOUR))
        self.assertEqual(shares(cluster, 101.0, 400), {"a": 100, "b": 100, "c": 100, "d": 100})

    def test_after_a_failed_connection_and_an_ejection_too(self) -> None:
        """Not after having been full, and not where the key is not set."""
        cluster = self.make()
        a, b, _, _ = cluster.backends
        cluster.connect_started(a)
        cluster.connect_failed(a, 10.0)
        cluster.connect_started(a)
        cluster.connect_succeeded(a, 0.1, 12.0)
        self.assertEqual([backend.weight for backend in (a, b)], [1000, 10000])
        cluster.choose(b"", 32.0)
        self.assertEqual([backend.weight for backend in (a, b)], [100, 100])
        judging = self.make(outlier_failures=1)
        judging.misbehaved(judging.backends[1], 0, 0.0, 40.0)
        judging.choose(b"", 70.0)
        self.assertEqual([backend.weight for backend in judging.backends], [10000, 1000, 10000, 10000])
        plain = self.make(slow_start_s=0.0)
        self.recover(plain, 5.0)
        self.assertEqual({backend.weight for backend in plain.backends}, {100})
        limited = self.make("1.1.1.1:1 id=a max_connections=1\n1.1.1.1:2 id=b")
        limited.connect_started(limited.backends[0])
        limited.choose(b"", 5.0)
        limited.released(limited.backends[0])
        limited.choose(b"", 10.0)
        self.assertEqual({backend.weight for backend in limited.backends}, {100})

    def test_policies_that_hash_go_by_the_full_weight(self) -> None:
        """Or processes would disagree about a key."""
        cluster = self.make()
        keys = [b"%d" % number for number in range(200)]
        policy = make_balancer("rendezvous", random.Random(1))
        before = [policy.choose(cluster.backends, key, 0.0) for key in keys]
        table = Filling(cluster.backends).table()
        self.recover(cluster, 100.0)
        self.assertEqual([policy.choose(cluster.backends, key, 0.0) for key in keys], before)
        self.assertEqual(Filling(cluster.backends).table(), table)


class PanicTests(SynchronousTestCase):
    """Fifty percent."""

    def make(self, lines: str = FOUR, **changes: Any) -> Cluster:
        """Build one."""
        return Cluster(section(lines, **{"panic_threshold": 50, **changes}), random.Random(1))

    def ill(self, cluster: Cluster, names: str, healthy: bool = False) -> None:
        """Have these found ill, or well again."""
        for backend in cluster.backends:
            if backend.id in names:
                cluster.set_health(backend, healthy, 0.0)

    def test_below_the_threshold_all_are_used(self) -> None:
        """Not at it; also for who comes back; counted and logged once, as is its end."""
        cluster = self.make()
        self.ill(cluster, "ab")
        self.assertEqual((ids(cluster), cluster.panic), ({"c", "d"}, False))
        with capturedLogs() as lines:
            self.ill(cluster, "c")
            for _ in range(3):
                self.assertEqual((ids(cluster), cluster.panic), ({"a", "b", "c", "d"}, True))
            self.assertEqual(set(cluster.available(0.0)), {"a", "b", "c", "d"})
            self.ill(cluster, "c", healthy=True)
            self.assertEqual((ids(cluster), cluster.panic), ({"c", "d"}, False))
        words = [line["words"] for line in lines if "words" in line]
        self.assertEqual(words, ["few backends can be used: all are", "enough backends can be used again"])
        self.assertEqual(cluster.fail_open_total, 0)

    def test_without_a_threshold_the_living_are_enough(self) -> None:
        """Down to the last."""
        cluster = self.make(panic_threshold=0)
        self.ill(cluster, "abc")
        self.assertEqual((ids(cluster), cluster.panic), ({"d"}, False))

    def test_backups_are_better_than_panic_when_no_primary_is_left(self) -> None:
        """While one is, the others are used with it."""
        cluster = self.make("1.1.1.1:1 id=a\n1.1.1.1:2 id=b\n1.1.1.1:3 id=c\n1.1.1.1:4 id=z backup=yes")
        self.ill(cluster, "ab")
        self.assertEqual(ids(cluster), {"a", "b", "c"})
        self.assertEqual(set(cluster.available(0.0)), {"a", "b", "c", "z"})
        self.ill(cluster, "c")
        self.assertEqual((ids(cluster), cluster.panic), ({"z"}, False))
        self.assertEqual(set(cluster.available(0.0)), {"z"})
        self.ill(cluster, "z")
        self.assertEqual((ids(cluster), cluster.panic), ({"a", "b", "c"}, True))

    def test_full_ones_are_well_but_get_nothing(self) -> None:
        """Nor do those that drain."""
        cluster = self.make("1.1.1.1:1 id=a max_connections=1\n1.1.1.1:2 id=b\n1.1.1.1:3 id=c\n1.1.1.1:4 id=d")
        a, _, _, d = cluster.backends
        cluster.connect_started(a)
        cluster.session_started(d)
        lines = "1.1.1.1:1 id=a max_connections=1\n1.1.1.1:2 id=b\n1.1.1.1:3 id=c"
        cluster.update(section(lines, panic_threshold=50))
        self.ill(cluster, "b")
        self.assertEqual((ids(cluster), cluster.panic), ({"c"}, False))
        self.ill(cluster, "c")
        self.assertEqual((ids(cluster), cluster.panic), ({"b", "c"}, True))
