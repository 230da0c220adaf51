"""A cluster: who may be used, what failures do, how members come and go, and how names resolve."""

from __future__ import annotations

import dataclasses
import random
import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import backend_lines
from netappliance.clusters.backoff import DOWN_AFTER, Backoff
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.resolver import ResolverService
from netappliance.clusters.section import ClusterSection


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
        self.assertFalse(backend.up)
        cluster.connect_started(backend)
        cluster.connect_succeeded(backend, 0.002, 1000.0)
        self.assertEqual((backend.up, cluster.connect_secs.count), (True, 1))


def well(backend: Backend, now: float) -> bool:
    """True for one that could be used if it had a place."""
    return backend.healthy and now >= backend.backoff.until and not backend.draining


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
                cluster.set_health(cluster.backends[number % len(cluster.backends)], number > 4)
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


class BackoffTests(SynchronousTestCase):
    """How long a backend is left alone."""

    def test_failures_within_the_window_count_once(self) -> None:
        """Fifty sessions that fail together are one outage."""
        backoff, rng = Backoff(), random.Random(1)
        for _ in range(50):
            backoff.failed(10.0, rng)
        self.assertEqual((backoff.failures, backoff.until), (1, 11.0))

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, 2**32), st.integers(1, 30))
    def test_the_window_grows_to_at_most_63_seconds(self, seed: int, count: int) -> None:
        """1 s, then 1 to 2**k - 1."""
        backoff, rng, now = Backoff(), random.Random(seed), 0.0
        for number in range(1, count + 1):
            went_down = backoff.failed(now, rng)
            self.assertEqual(went_down, number == DOWN_AFTER)
            wait = backoff.until - now
            self.assertTrue(1 <= wait <= 2 ** min(number, DOWN_AFTER) - 1, wait)
            now = backoff.until
        self.assertEqual(backoff.down, count >= DOWN_AFTER)


class FakeResolver:
    """Answers from a table."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[str] = []
        self.hangs = False
        self.waiting: list[Any] = []

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, addressTypes: Any = None) -> Any:
        """Answer at once."""
        self.asked.append(hostName)
        if self.hangs:
            self.waiting.append(receiver)
            return receiver
        for address in self.answers.get(hostName, []):
            receiver.addressResolved(address)
        receiver.resolutionComplete()
        return receiver


class ResolverTests(SynchronousTestCase):
    """Names become backends."""

    def setUp(self) -> None:
        clock: Any = Clock()
        self.clock = clock
        clock.nameResolver = self.resolver = FakeResolver()
        self.cluster = Cluster(section("app.test:80 id=app\n1.1.1.1:1 id=a"), random.Random(1))
        self.service = ResolverService({"c": self.cluster}, self.clock)
        self.addCleanup(self.check_clock)

    def check_clock(self) -> None:
        """No timer is left."""
        if self.service.running:
            self.service.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def found(self) -> list[str]:
        """Ids of the cluster."""
        return [backend.id for backend in self.cluster.backends]

    def test_each_address_is_a_backend_and_the_last_good_answer_stays(self) -> None:
        """Both families; a failure is counted and changes nothing; a changed answer is taken over."""
        self.resolver.answers["app.test"] = [IPv4Address("TCP", "2.2.2.2", 80), IPv6Address("TCP", "2001:db8::2", 80)]
        self.service.startService()
        self.assertEqual(self.found(), ["app@2.2.2.2", "app@2001:db8::2", "a"])
        self.assertEqual(self.cluster.backends[1].family, socket.AF_INET6)
        self.resolver.answers["app.test"] = []
        self.clock.advance(30)
        self.assertEqual((len(self.found()), self.cluster.resolve_failures_total), (3, 1))
        self.resolver.answers["app.test"] = [IPv4Address("TCP", "3.3.3.3", 80)]
        self.clock.advance(30)
        self.assertEqual(self.found(), ["app@3.3.3.3", "a"])
        self.assertEqual(self.resolver.asked, ["app.test"] * 3)

    def test_a_name_with_too_many_addresses_is_cut(self) -> None:
        """resolve_max."""
        self.cluster.update(dataclasses.replace(self.cluster.section, resolve_max=2))
        self.resolver.answers["app.test"] = [IPv4Address("TCP", f"2.2.2.{number}", 80) for number in range(9)]
        self.service.startService()
        self.assertEqual(self.found(), ["app@2.2.2.0", "app@2.2.2.1", "a"])

    def test_an_answer_after_the_end_is_ignored(self) -> None:
        """Stopped is stopped."""
        self.service.startService()
        self.service.stopService()
        self.service.resolved(self.cluster, "app.test", 80, [(socket.AF_INET, ("9.9.9.9", 80))])
        self.assertEqual(self.found(), ["a"])

    def test_a_hanging_name_service_gets_one_question_at_a_time(self) -> None:
        """It is asked again when it has answered, or after two minutes; an answer that late counts for nothing."""
        self.resolver.hangs = True
        self.service.startService()
        self.clock.pump([30.0] * 3)
        self.assertEqual(self.resolver.asked, ["app.test"])
        self.clock.advance(30)
        self.assertEqual(self.resolver.asked, ["app.test"] * 2)
        given_up, current = self.resolver.waiting
        given_up.addressResolved(IPv4Address("TCP", "8.8.8.8", 80))
        given_up.resolutionComplete()
        self.assertEqual(self.found(), ["a"])
        current.addressResolved(IPv4Address("TCP", "2.2.2.2", 80))
        current.resolutionComplete()
        self.assertEqual(self.found(), ["app@2.2.2.2", "a"])
        self.clock.advance(30)
        self.assertEqual(self.resolver.asked, ["app.test"] * 3)
