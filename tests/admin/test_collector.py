"""What /metrics shows, from the running parts' plain integers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.collector import make_registry, own_collectors
from netappliance.admin.scrape import SlicedRegistry
from netappliance.clusters.retry_budget import RetryBudget
from netappliance.clusters.state import BackendState
from netappliance.dataplane.accept_queue import AcceptQueue
from netappliance.dataplane.plane import DataPlane
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.logs.access_log import AccessLog
from netappliance.logs.reopenable import ReopenableFile
from netappliance.metrics.histogram import Histogram
from netappliance.process.status import Status
from netappliance.sessions.admission import Admission
from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side
from netappliance.sessions.session import Kind, Session
from netappliance.sessions.table import SessionTable
from netappliance.tls.to_backends.peer import HandshakeCounts
from netappliance.tls.to_backends.verification import RESULTS

FIN = CloseReason(Side.CLIENT, Phase.DATA, Cause.FIN)
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")


class FakeListener:
    """What metrics read of a listener."""

    def __init__(self) -> None:
        self.queue: AcceptQueue[int] = AcceptQueue(2, 10.0)
        self.pauses_total = 0


class FakeBackend:
    """What metrics read of a backend."""

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.is_in = BackendState.UP
        self.ejections_total = 0
        self.active = 0
        self.connections_total = 0
        self.failures_total = 0
        self.checks_passed_total = 0
        self.checks_failed_total = 0

    def state(self, now: float) -> BackendState:
        """How it is."""
        return self.is_in


@dataclass
class FakeClusterSection:
    """What metrics read of a cluster's section."""

    health_check: object | None = None


class FakeCluster:
    """What metrics read of a cluster."""

    def __init__(self, *backends: FakeBackend) -> None:
        self.fail_open_total = 0
        self.retry_budget = RetryBudget(20, 10)
        self.panic = False
        self.resolve_failures_total = 0
        self.backends = backends
        self.section = FakeClusterSection()
        self.connect_secs = Histogram((0.1, 1.0))
        self.tls: object | None = None
        self.handshakes = HandshakeCounts()


class FakeAppliance:
    """The parts that collectors read."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sessions = SessionTable(lambda: self.now)
        self.admission = Admission(10)
        self.listeners: dict[tuple[str, str], list[FakeListener]] = {}
        self.clusters: dict[str, FakeCluster] = {}
        self.collectors: list[Collector] = []
        self.status = Status()
        self.status.ready = True
        self.access_log: AccessLog | None = None

    def registry(self, *, quilkin_aliases: bool = False) -> SlicedRegistry:
        """Return what the admin page would show."""
        return make_registry(self.own_collectors(), self.collectors, quilkin_aliases=quilkin_aliases)

    def own_collectors(self) -> list[Collector]:
        """Return those of what every appliance has."""
        reactor: Any = Clock()
        listeners: Any = self.listeners
        clusters: Any = self.clusters
        plane = DataPlane(Poller(reactor, lambda: self.now), TimerWheel(self.now), self.sessions, self.admission)
        return own_collectors(plane, listeners, clusters, self.status, self.access_log)


class Broken(Collector):
    """Raises in the middle."""

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("netappliance_half", "Half.", value=1)
        raise ValueError("broken")


class Extra(Collector):
    """Adds samples to a family that others have too."""

    def __init__(self, listener: str, value: int) -> None:
        self._sample = ([listener, "read", "filter"], value)

    def collect(self) -> Iterator[Metric]:
        labels = ["listener", "direction", "reason"]
        family = CounterMetricFamily("netappliance_session_packets_dropped", "Dropped datagrams.", labels=labels)
        family.add_metric(*self._sample)
        yield family


class CollectorTests(SynchronousTestCase):
    """Names, labels and numbers of metrics-contract.md."""

    def setUp(self) -> None:
        self.appliance = FakeAppliance()
        self.registry = self.appliance.registry()

    def session(self, kind: Kind = "tcp", listener: str = "echo", cluster: str = "web", **counters: int) -> Session:
        session = Session(kind, listener, ("192.0.2.1", 1), ("192.0.2.2", 2), self.appliance.now)
        session.cluster = cluster
        for name, value in counters.items():
            setattr(session, name, value)
        self.appliance.sessions.open(session)
        return session

    def page(self) -> str:
        return generate_latest(self.registry).decode()

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"netappliance_{name}", labels)

    def test_live_and_ended_sessions_add_up(self) -> None:
        """Bytes of a live session count already, and stay when it ends."""
        first = self.session(rx_bytes=100, tx_bytes=10)
        self.session(rx_bytes=1, tx_bytes=2)
        where = {"kind": "tcp", "listener": "echo"}
        self.assertEqual(self.value("session_active", **where), 2)
        self.assertEqual(self.value("session_rx_bytes_total", **where, cluster="web"), 101)
        self.appliance.now += 7
        self.appliance.sessions.closed(first, FIN)
        self.assertEqual(self.value("session_active", **where), 1)
        self.assertEqual(self.value("session_total", **where), 2)
        self.assertEqual(self.value("session_rx_bytes_total", **where, cluster="web"), 101)
        self.assertEqual(self.value("session_tx_bytes_total", **where, cluster="web"), 12)
        self.assertEqual(self.value("session_closed_total", **where, side="client", phase="data", cause="fin"), 1)
        self.assertEqual(self.value("session_duration_secs_bucket", **where, le="5.0"), 0)
        self.assertEqual(self.value("session_duration_secs_bucket", **where, le="10.0"), 1)
        self.assertEqual(self.value("session_duration_secs_sum", **where), 7)

    def test_packets_are_udps(self) -> None:
        """Stream sessions have no packet series."""
        self.session("udp", "game", rx_packets=3, tx_packets=4)
        self.session("tcp", "echo", rx_packets=9)
        self.assertEqual(self.value("session_rx_packets_total", kind="udp", listener="game", cluster="web"), 3)
        self.assertIsNone(self.value("session_rx_packets_total", kind="tcp", listener="echo", cluster="web"))

    def test_declared_listeners_start_at_zero(self) -> None:
        """A listener is visible before its first session."""
        self.appliance.sessions.declare("tcp", "echo", "web").reject("queue_full")
        self.assertEqual(self.value("session_total", kind="tcp", listener="echo"), 0)
        self.assertEqual(self.value("session_rx_bytes_total", kind="tcp", listener="echo", cluster="web"), 0)
        self.assertEqual(self.value("session_rejected_total", kind="tcp", listener="echo", reason="queue_full"), 1)

    def test_accept_queues(self) -> None:
        """Queues of one name are added up over addresses and kinds."""
        queues = [FakeListener(), FakeListener()]
        self.appliance.listeners |= {("tcp", "a"): queues[:1], ("http", "a"): queues[1:], ("tcp", "none"): []}
        for listener in queues:
            for number in range(3):
                listener.queue.push(number, 0.0)
            listener.queue.pop(0.2)
            listener.queue.expire(100.0)
        self.assertEqual(self.value("accept_queue_length", listener="a"), 0)
        self.assertEqual(self.value("accept_queue_dropped_total", listener="a"), 4)
        self.assertEqual(self.value("accept_queue_wait_secs_count", listener="a"), 2)
        self.assertEqual(self.value("accept_queue_wait_secs_bucket", listener="a", le="0.5"), 2)

    def test_handshakes_with_backends(self) -> None:
        """Every result of a cluster with TLS; nothing of those without."""
        secured, plain = FakeCluster(), FakeCluster()
        secured.tls = object()
        secured.handshakes.results["expired"] = 3
        secured.handshakes.resumed_total = 2
        self.appliance.clusters.update(secured=secured, plain=plain)
        for result in RESULTS:
            expected = 3 if result == "expired" else 0
            labels = {"result": result, "cluster": "secured"}
            self.assertEqual(self.value("backend_tls_handshakes_total", **labels), expected)
        self.assertEqual(self.value("backend_tls_resumed_total", cluster="secured"), 2)
        self.assertIsNone(self.value("backend_tls_handshakes_total", cluster="plain", result="ok"))
        self.assertIsNone(self.value("backend_tls_resumed_total", cluster="plain"))

    def test_backends(self) -> None:
        """Up, active, connections and failures by cluster and backend id; connect times by cluster."""
        backend = FakeBackend("a")
        backend.is_in, backend.active = BackendState.DOWN, 2
        backend.connections_total, backend.failures_total = 5, 3
        cluster = FakeCluster(backend)
        cluster.connect_secs.observe(0.05)
        self.appliance.clusters["web"] = cluster
        labels = {"cluster": "web", "backend": "a"}
        self.assertEqual(self.value("backend_up", **labels), 0)
        states = {state.value: self.value("backend_state", state=state.value, **labels) for state in BackendState}
        down = {"up": 0, "checking": 0, "ejected": 0, "draining": 0, "down": 1, "full": 0}
        self.assertEqual(states, down)
        backend.is_in, backend.ejections_total, cluster.panic = BackendState.FULL, 4, True
        self.assertEqual(self.value("backend_ejections_total", **labels), 4)
        self.assertEqual(self.value("backend_panic", cluster="web"), 1)
        self.assertEqual(self.value("backend_up", **labels), 1)
        self.assertEqual(self.value("backend_retry_budget_exceeded_total", cluster="web"), 0)
        self.assertEqual(self.value("backend_active", **labels), 2)
        self.assertEqual(self.value("backend_connections_total", **labels), 5)
        self.assertEqual(self.value("backend_failures_total", **labels), 3)
        self.assertIsNone(self.value("backend_health_checks_total", result="success", **labels))
        cluster.section.health_check = object()
        backend.checks_passed_total, backend.checks_failed_total = 7, 1
        self.assertEqual(self.value("backend_health_checks_total", result="success", **labels), 7)
        self.assertEqual(self.value("backend_health_checks_total", result="failure", **labels), 1)
        self.assertEqual(self.value("backend_connect_secs_bucket", cluster="web", le="0.1"), 1)

    def test_process_facts(self) -> None:
        """Version, readiness, reloads, limits, zombies and the process's own numbers."""
        page = self.page()
        self.assertRegex(page, r'netappliance_build_info\{compiled="(yes|no)",version="[\d.]+"\} 1\.0')
        self.assertIn('netappliance_config_reloads_total{result="failure"} 0.0', page)
        for name in ("ready 1.0", "zombies_total 0.0", "connections_limit 10.0", "connections_active 0.0"):
            self.assertIn(f"\nnetappliance_{name}\n", page)
        self.assertIn("process_open_fds", page)
        self.appliance.status.draining = True
        self.assertEqual(self.value("ready"), 0)

    def test_access_log(self) -> None:
        """The access log's losses are visible."""
        clock = Clock()
        log = AccessLog(ReopenableFile("/x"), "json", buffer_bytes=0, clock=clock.seconds, wall=clock.seconds,
                        call_later=clock.callLater)  # fmt: skip
        self.appliance.sessions.observers.append(log)
        self.appliance.access_log = log
        self.registry = self.appliance.registry()
        self.appliance.sessions.closed(self.session(), FIN)
        self.assertEqual(self.value("access_log_lines_total"), 1)
        self.assertEqual(self.value("access_log_dropped_total"), 1)

    def test_families_of_several_collectors_become_one(self) -> None:
        """Two services that show the same family do not make an invalid page."""
        self.appliance.collectors += [Extra("a", 1), Extra("b", 2)]
        page = self.page()
        self.assertEqual(page.count("# TYPE netappliance_session_packets_dropped_total counter"), 1)
        self.assertIn('listener="a",reason="filter"} 1.0', page)
        self.assertIn('listener="b",reason="filter"} 2.0', page)

    def test_listeners_of_one_name_are_added_up(self) -> None:
        """Those of sections of different kinds: a series comes once, or no scraper would take the page."""
        self.appliance.collectors += [Extra("a", 1), Extra("b", 2), Extra("a", 4)]
        page = self.page()
        self.assertEqual(page.count('listener="a",reason="filter"}'), 1)
        self.assertIn('listener="a",reason="filter"} 5.0', page)
        self.assertIn('listener="b",reason="filter"} 2.0', page)

    def test_a_broken_collector_costs_only_itself(self) -> None:
        """The page stays, the failure is counted, and logged once."""
        self.appliance.collectors.append(Broken())
        self.assertNotIn("netappliance_half", self.page())
        self.assertIn("netappliance_collector_errors_total 2.0", self.page())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_quilkin_aliases(self) -> None:
        """All ten names, from zero on, summed over udp listeners only."""
        registry = self.appliance.registry(quilkin_aliases=True)
        self.appliance.collectors += [Extra("a", 1), Extra("b", 2)]
        for name in ("active", "total", "rx_bytes_total", "tx_bytes_total", "rx_packets_total", "tx_packets_total",
                     "rx_errors_total", "tx_errors_total", "duration_secs_count"):  # fmt: skip
            self.assertEqual(registry.get_sample_value(f"quilkin_session_{name}"), 0, name)
        self.assertEqual(registry.get_sample_value("quilkin_session_packets_dropped_total"), 3)
        self.session("udp", "a", rx_bytes=5)
        self.appliance.sessions.closed(self.session("udp", "b", rx_bytes=6), FIN)
        self.session("tcp", "c", rx_bytes=1000)
        self.assertEqual(registry.get_sample_value("quilkin_session_rx_bytes_total"), 11)
        self.assertEqual(registry.get_sample_value("quilkin_session_active"), 1)
        self.assertEqual(registry.get_sample_value("quilkin_session_duration_secs_bucket", {"le": "+Inf"}), 1)
        self.assertEqual(registry.get_sample_value("quilkin_session_duration_secs_bucket", {"le": "1.0"}), 1)

    def fill(self) -> str:
        """A page with every family in it."""
        self.test_accept_queues()
        self.test_backends()
        self.test_packets_are_udps()
        self.appliance.sessions.observer_errors["x"] = 1
        self.appliance.sessions.declare("tcp", "echo", "web").reject("queue_full")
        self.appliance.sessions.closed(self.session(), FIN)
        return self.page()

    def test_page_parses_and_names_are_clean(self) -> None:
        """What promtool would say: help for all, _total for counters only, no abbreviated units, closed label names."""
        allowed = {
            "kind",
            "listener",
            "cluster",
            "backend",
            "state",
            "side",
            "phase",
            "cause",
            "reason",
            "le",
            "version",
            "compiled",
            "result",
            "observer",
        }
        for family in text_string_to_metric_families(self.fill()):
            if not family.name.startswith("netappliance_"):
                continue
            self.assertTrue(family.documentation.endswith("."), family.name)
            self.assertRegex(family.name, r"^[a-z][a-z0-9_]*$")
            self.assertNotRegex(family.name, r"_(s|ms|us|ns|sec|b|kb|mb|gb|total|count|sum|bucket)$")
            self.assertIsNone(re.search(r"(counter|gauge|histogram|summary)", family.name))
            for sample in family.samples:
                self.assertLessEqual(set(sample.labels), allowed)
                self.assertEqual(sample.name.endswith("_total"), family.type == "counter", sample.name)

    def test_promtool_has_no_complaint(self) -> None:
        """The real linter, where it is installed."""
        if PROMTOOL is None:
            self.skipTest("promtool is not installed")
        for page in (self.fill(), generate_latest(self.appliance.registry(quilkin_aliases=True)).decode()):
            run = subprocess.run([PROMTOOL, "check", "metrics"], input=page.encode(), capture_output=True, timeout=30)
            self.assertEqual((run.returncode, run.stdout, run.stderr), (0, b"", b""))

    def test_counters_never_go_down(self) -> None:
        """Over sessions that open, move bytes and end, no counter of the page falls."""
        before: dict[Any, float] = {}
        for step in range(6):
            session = self.session(rx_bytes=10 * step, cluster="")
            session.cluster = "web"
            if step % 2:
                self.appliance.sessions.closed(session, FIN)
            now = {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in self.registry.collect()
                if family.type in ("counter", "histogram") and family.name.startswith("netappliance")
                for sample in family.samples
            }
            for key, value in before.items():
                self.assertGreaterEqual(now[key], value, key)
            before = now
