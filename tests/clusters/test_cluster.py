"""A cluster: who may be used, what failures do, how members come and go, and how names resolve."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import backend_lines
from netappliance.clusters.backoff import DOWN_AFTER
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.section import ClusterSection
from netappliance.clusters.state import BackendState


def section(lines: str, **changes: Any) -> ClusterSection:
    """A cluster section with these backend lines."""
    return ClusterSection(name="c", backends=backend_lines(lines), **changes)


def ids(cluster: Cluster, count: int = 12, now: float = 0.0) -> set[str]:
    """The backends that choices fall on."""
    chosen = [cluster.choose(b"", now) for _ in range(count)]
    return {backend.id for backend in chosen if backend is not None}


class ClusterTests(SynchronousTestCase):
    """Three primaries and a backup unless said otherwise."""

    def make(self, lines: str = "1.1.1.1:1 id=a\n1.1.1.1:2 id=b\n1.1.1.1:3 id=z backup=yes", **changes: Any) -> Cluster:
        """Build one."""
        return Cluster(section(lines, **changes), random.Random(1))

    def by_id(self, cluster: Cluster, name: str) -> Backend:
        """Find one."""
        return next(backend for backend in cluster.backends if backend.id == name)

    def fail_once(self, cluster: Cluster, name: str, now: float) -> None:
        """One failed attempt."""
        backend = self.by_id(cluster, name)
        cluster.connect_started(backend)
        cluster.connect_failed(backend, now)

    def test_backups_serve_only_while_no_primary_can(self) -> None:
        """And the primaries are back after their back-off."""
        cluster = self.make()
        self.assertEqual(ids(cluster), {"a", "b"})
        self.fail_once(cluster, "a", 0.0)
        self.assertEqual(ids(cluster), {"b"})
        self.fail_once(cluster, "b", 0.0)
        self.assertEqual(ids(cluster), {"z"})
        self.assertEqual(ids(cluster, now=1.1), {"a", "b"})
        self.assertEqual(cluster.fail_open_total, 0)

    def test_when_all_look_broken_the_cluster_fails_open(self) -> None:
        """Primaries first; counted."""
        cluster = self.make()
        for name in ("a", "b", "z"):
            self.fail_once(cluster, name, 0.0)
        self.assertEqual(ids(cluster), {"a", "b"})
        self.assertEqual(cluster.fail_open_total, 12)

    def test_tried_backends_are_avoided_where_there_is_another(self) -> None:
        """Retries go elsewhere, to a backup if need be; a lone backend is tried again."""
        cluster = self.make()
        a, b, z = (self.by_id(cluster, name) for name in "abz")
        self.assertIs(cluster.choose(b"", 0.0, [a]), b)
        self.assertIs(cluster.choose(b"", 0.0, [a, b]), z)
        lone = self.make("1.1.1.1:1 id=a")
        self.assertIs(lone.choose(b"", 0.0, lone.backends), lone.backends[0])
        self.assertEqual(lone.fail_open_total, 0)

    def test_full_backends_are_left_out_and_come_back(self) -> None:
        """max_connections; a cluster that is full all over says so."""
        cluster = self.make("1.1.1.1:1 id=a max_connections=1\n1.1.1.1:2 id=b max_connections=1")
        a, b = cluster.backends
        cluster.connect_started(a)
        self.assertEqual((ids(cluster), cluster.full(0.0)), ({"b"}, False))
        cluster.connect_started(b)
        self.assertEqual((cluster.choose(b"", 0.0), cluster.full(0.0)), (None, True))
        cluster.released(a)
        self.assertEqual(ids(cluster), {"a"})

    def test_weight_zero_gets_nothing_unless_there_is_nothing_else(self) -> None:
        """How an operator drains by hand."""
        cluster = self.make("1.1.1.1:1 id=a weight=0\n1.1.1.1:2 id=b")
        self.assertEqual(ids(cluster), {"b"})
        self.fail_once(cluster, "b", 0.0)
        self.assertEqual(ids(cluster), {"a"})

    def test_a_failure_of_ours_is_not_held_against_the_backend(self) -> None:
        """No descriptors here says nothing about there."""
        cluster = self.make("1.1.1.1:1 id=a")
        backend = cluster.backends[0]
        cluster.connect_started(backend)
        cluster.connect_failed(backend, 0.0, blame=False)
        self.assertEqual((backend.failures_total, backend.active, backend.backoff.until), (0, 0, 0.0))

    def test_a_removed_backend_keeps_its_sessions_and_goes_with_the_last(self) -> None:
        """The others keep their state and counters."""
        cluster = self.make()
        a, b = self.by_id(cluster, "a"), self.by_id(cluster, "b")
        cluster.connect_started(a)
        cluster.connect_started(b)
        cluster.update(section("1.1.1.1:2 id=b weight=7\n1.1.1.1:9 id=new"))
        self.assertEqual(ids(cluster, 40), {"b", "new"})
        self.assertTrue(a.draining)
        self.assertEqual((self.by_id(cluster, "b"), b.weight, b.connections_total), (b, 7, 1))
        cluster.released(a)
        self.assertEqual({backend.id for backend in cluster.backends}, {"b", "new"})

    def test_a_backend_that_comes_back_while_draining_stays(self) -> None:
        """An operator's second thought."""
        cluster = self.make("1.1.1.1:1 id=a")
        backend = cluster.backends[0]
        cluster.connect_started(backend)
        cluster.update(section(""))
        cluster.update(section("1.1.1.1:1 id=a"))
        self.assertEqual((cluster.backends, backend.draining), ([backend], False))

    def test_down_and_up_follow_failures_and_success(self) -> None:
        """Six failures in a row; one success."""
        cluster = self.make("1.1.1.1:1 id=a")
        backend = cluster.backends[0]
        for attempt in range(DOWN_AFTER):
            self.fail_once(cluster, "a", attempt * 100.0)
        self.assertIs(backend.state(1e9), BackendState.DOWN)
        cluster.connect_started(backend)
        cluster.connect_succeeded(backend, 0.002, 1000.0)
        self.assertEqual((backend.state(1000.0), cluster.connect_secs.count), (BackendState.UP, 1))


def well(backend: Backend, now: float) -> bool:
    """True for one that could be used if it had a place."""
    return backend.healthy and now >= backend.backoff.until and not backend.draining and not backend.trying


def eligible(backend: Backend, now: float) -> bool:
    """The rule in plain words, without the cluster's memory of it."""
    return well(backend, now) and not backend.full


LAYOUTS = (
    "1.1.1.1:1 id=a max_connections=2\n1.1.1.1:2 id=b weight=0\n1.1.1.1:3 id=c backup=yes max_connections=1",
    "1.1.1.1:1 id=a weight=7\n1.1.1.1:2 id=b max_connections=1\n1.1.1.1:4 id=d",
    "1.1.1.1:1 id=a backup=yes\n1.1.1.1:3 id=c weight=3",
    "",
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["connect", "fail", "release", "check", "update", "wait"]), st.integers(0, 9)),
    max_size=60,
)


class ChoiceProperties(SynchronousTestCase):
    """Whatever happens to a cluster, a choice follows the rule as if looked up afresh."""

    @settings(deadline=None, max_examples=150)
    @given(st.sampled_from(["round_robin", "least_connections", "power_of_two", "peak_ewma", "rendezvous"]), STEPS)
    def test_every_choice_follows_the_rule(self, balance: str, steps: list[tuple[str, int]]) -> None:
        """Never full or draining; backups and failing open only when they must; nothing is left active at the end."""
        cluster = Cluster(section(LAYOUTS[0], balance=balance), random.Random(1))
        held: list[Backend] = []
        now = 1.0
        for step, number in steps:
            self.check_memory(cluster, now)
            if step == "wait":
                now += number / 2
            elif step == "update":
                cluster.update(section(LAYOUTS[number % len(LAYOUTS)], balance=balance))
            elif step == "check" and cluster.backends:
                cluster.set_health(cluster.backends[number % len(cluster.backends)], number > 4, 0.0)
            elif step == "release" and held:
                cluster.released(held.pop(number % len(held)))
            elif step in ("connect", "fail"):
                backend = self.checked_choice(cluster, now)
                if backend is None:
                    continue
                cluster.connect_started(backend)
                if step == "connect":
                    cluster.connect_succeeded(backend, 0.001 * number, now)
                    held.append(backend)
                else:
                    cluster.connect_failed(backend, now, blame=number > 2)
        for backend in held:
            cluster.released(backend)
        self.assertEqual([backend.active for backend in cluster.backends], [0] * len(cluster.backends))
        self.assertFalse([backend for backend in cluster.backends if backend.draining])

    def check_memory(self, cluster: Cluster, now: float) -> None:
        """The remembered set is the one that a fresh look gives; failing open would hide a stale one."""
        can = [backend for backend in cluster.backends if eligible(backend, now)]
        tier = [backend for backend in can if not backend.backup] or can
        weighty = [backend for backend in tier if backend.weight] or tier
        self.assertEqual(list(cluster.usable(now)), weighty)

    def checked_choice(self, cluster: Cluster, now: float) -> Backend | None:
        """Choose, and hold the choice against the rule."""
        opened = cluster.fail_open_total
        can = [backend for backend in cluster.backends if eligible(backend, now)]
        chosen = cluster.choose(b"key", now)
        if chosen is None:
            wait_for = [backend for backend in cluster.backends if well(backend, now)] or cluster.backends
            self.assertTrue(all(backend.full or backend.draining for backend in wait_for))
            self.assertEqual(cluster.full(now), any(not backend.draining for backend in wait_for))
            return None
        self.assertFalse(cluster.full(now))
        self.assertFalse(chosen.full or chosen.draining)
        self.assertEqual(cluster.fail_open_total - opened, 0 if can else 1)
        if can:
            tier = [backend for backend in can if not backend.backup] or can
            weighty = [backend for backend in tier if backend.weight] or tier
            self.assertIn(chosen, weighty)
        return chosen
