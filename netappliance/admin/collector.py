"""
What ``/metrics`` shows: plain integers of the running parts, read at scrape time (names: docs/metrics.md).

Nothing is kept here that could go down: every counter's owner lives as long as the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.logger import Logger

from netappliance import __version__
from netappliance.admin.scrape import SlicedRegistry
from netappliance.admin.series import added_up
from netappliance.clusters.state import BackendState
from netappliance.metrics.histogram import SESSION_DURATION_BUCKETS, Histogram
from netappliance.process.build import this_build

if TYPE_CHECKING:
    from netappliance.clusters.backend import Backend
    from netappliance.clusters.cluster import Cluster
    from netappliance.dataplane.listener import StreamListener
    from netappliance.dataplane.plane import DataPlane
    from netappliance.logs.access_log import AccessLog
    from netappliance.process.status import Status
    from netappliance.sessions.admission import Admission
    from netappliance.sessions.table import SessionTable

    Listeners = Mapping[tuple[str, str], Sequence[StreamListener]]

PREFIX = "netappliance_"
#: backends whose samples are made without an interruption
BACKENDS = 50

_log = Logger()


def counter(name: str, text: str, labels: Sequence[str] = ()) -> CounterMetricFamily:
    """Return an empty counter family; ``_total`` is added to the name."""
    return CounterMetricFamily(PREFIX + name, text, labels=labels)


def gauge(name: str, text: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    """Return an empty gauge family."""
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)


def histogram(name: str, text: str, labels: Sequence[str] = ()) -> HistogramMetricFamily:
    """Return an empty histogram family."""
    return HistogramMetricFamily(PREFIX + name, text, labels=labels)


def add_histogram(family: HistogramMetricFamily, labels: Sequence[str], observed: Histogram) -> None:
    """Add the current state of ``observed``."""
    family.add_metric(labels, list(observed.cumulative()), observed.sum)


class SessionCollector(Collector):
    """Sessions of all kinds: live ones and what ended ones left behind."""

    def __init__(self, table: SessionTable) -> None:
        self._table = table

    def collect(self) -> Iterator[Metric]:
        """Yield the session families of metrics-contract.md."""
        yield from self._listeners()
        yield from self._traffic()
        zombies = counter("zombies", "Sessions ended because nothing happened to them for zombie_check_interval.")
        zombies.add_metric([], self._table.zombies_total)
        yield zombies
        errors = counter("observer_errors", "Exceptions raised by connection observers and contained.", ["observer"])
        for name, count in self._table.observer_errors.items():
            errors.add_metric([name], count)
        yield errors

    def _listeners(self) -> Iterator[Metric]:
        labels = ["kind", "listener"]
        active = gauge("session_active", "Sessions that are open now.", labels)
        total = counter("session", "Sessions ever opened.", labels)
        durations = histogram("session_duration_secs", "How long ended sessions lasted, in seconds.", labels)
        rx_errors = counter("session_rx_errors", "Errors while receiving from backends.", labels)
        tx_errors = counter("session_tx_errors", "Errors while sending to backends.", labels)
        closed = counter("session_closed", "Ended sessions by close reason.", [*labels, "side", "phase", "cause"])
        rejected = counter(
            "session_rejected", "Connections or datagrams refused before they had a session.", [*labels, "reason"]
        )
        for key, totals in self._table.listeners.items():
            active.add_metric(key, totals.active)
            total.add_metric(key, totals.total)
            add_histogram(durations, key, totals.durations)
            rx_errors.add_metric(key, totals.rx_errors)
            tx_errors.add_metric(key, totals.tx_errors)
            for (side, phase, cause), count in totals.closed.items():
                closed.add_metric([*key, side.value, phase.value, cause.value], count)
            for reason, count in totals.rejected.items():
                rejected.add_metric([*key, reason], count)
        yield from (active, total, durations, rx_errors, tx_errors, closed, rejected)

    def _traffic(self) -> Iterator[Metric]:
        labels = ["kind", "listener", "cluster"]
        rx_bytes = counter("session_rx_bytes", "Bytes received from backends.", labels)
        tx_bytes = counter("session_tx_bytes", "Bytes sent to backends.", labels)
        rx_packets = counter("session_rx_packets", "Datagrams received from backends.", labels)
        tx_packets = counter("session_tx_packets", "Datagrams sent to backends.", labels)
        for key, totals in self._table.traffic().items():
            rx_bytes.add_metric(key, totals.rx_bytes)
            tx_bytes.add_metric(key, totals.tx_bytes)
            if key[0] == "udp":
                rx_packets.add_metric(key, totals.rx_packets)
                tx_packets.add_metric(key, totals.tx_packets)
        yield from (rx_bytes, tx_bytes, rx_packets, tx_packets)


class AcceptCollector(Collector):
    """
    Accept queues and the process-wide limit on connections.

    :param listeners: by (kind, section name); read at scrape time.
    """

    def __init__(self, listeners: Listeners, admission: Admission) -> None:
        self._listeners = listeners
        self._limit = admission

    def collect(self) -> Iterator[Metric]:
        """Yield the accept families; listeners of the same name under different kinds are added up."""
        length = gauge("accept_queue_length", "Accepted connections that wait for a session.", ["listener"])
        waits = histogram("accept_queue_wait_secs", "Seconds that connections waited for a session.", ["listener"])
        dropped = counter("accept_queue_dropped", "Connections that found no room or waited too long.", ["listener"])
        pauses = counter(
            "accept_pauses", "Times that accepting paused because the host ran out of something.", ["listener"]
        )
        for name, listeners in self._by_name().items():
            length.add_metric([name], sum(len(one.queue) for one in listeners))
            dropped.add_metric([name], sum(one.queue.dropped_total + one.queue.expired_total for one in listeners))
            pauses.add_metric([name], sum(one.pauses_total for one in listeners))
            add_histogram(waits, [name], _sum([one.queue.waits for one in listeners]))
        yield from (length, waits, dropped, pauses, *self._admission())

    def _by_name(self) -> dict[str, list[StreamListener]]:
        result: dict[str, list[StreamListener]] = {}
        for (_, name), listeners in self._listeners.items():
            if listeners:
                result.setdefault(name, []).extend(listeners)
        return result

    def _admission(self) -> Iterator[Metric]:
        admission = self._limit
        active = gauge("connections_active", "Client connections that count against max_connections.")
        active.add_metric([], admission.active)
        limit = gauge(
            "connections_limit", "The limit in force: max_connections, or less where descriptors do not suffice."
        )
        limit.add_metric([], admission.limit)
        full = counter("connections_full", "Times that the limit on connections was reached.")
        full.add_metric([], admission.full_total)
        yield from (active, limit, full)


def _sum(histograms: Sequence[Histogram]) -> Histogram:
    if len(histograms) == 1:
        return histograms[0]
    result = Histogram(histograms[0].buckets)
    for one in histograms:
        result.sum += one.sum
        result.counts = [left + right for left, right in zip(result.counts, one.counts, strict=True)]
    return result


class ClusterCollector(Collector):
    """Backends by cluster and id."""

    def __init__(self, clusters: Mapping[str, Cluster], clock: Callable[[], float]) -> None:
        self._clusters = clusters
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield the backend families."""
        yield from self._handshakes()
        opened = counter("backend_fail_open", "Choices made although every backend looked broken.", ["cluster"])
        panic = gauge("backend_panic", "1 while all backends are used because too few look well.", ["cluster"])
        unresolved = counter("backend_resolve_failures", "Host names of backends that did not resolve.", ["cluster"])
        spent = counter(
            "backend_retry_budget_exceeded", "Retries that were not made: too many were retries already.", ["cluster"]
        )
        connect = histogram("backend_connect_secs", "How long connecting to a backend took, in seconds.", ["cluster"])
        for name, cluster in self._clusters.items():
            add_histogram(connect, [name], cluster.connect_secs)
            opened.add_metric([name], cluster.fail_open_total)
            unresolved.add_metric([name], cluster.resolve_failures_total)
            panic.add_metric([name], int(cluster.panic))
            spent.add_metric([name], cluster.retry_budget.exceeded_total)
        yield from (opened, panic, unresolved, spent, connect)
        yield from _backend_families(())
        for name, cluster in self._clusters.items():
            backends = list(cluster.backends)
            checked = cluster.section.health_check is not None
            for start in range(0, len(backends), BACKENDS):
                some = [(name, backend, checked) for backend in backends[start : start + BACKENDS]]
                yield from _backend_families(some, self._clock())

    def _handshakes(self) -> Iterator[Metric]:
        shaken = counter("backend_tls_handshakes", "TLS handshakes with backends.", ["cluster", "result"])
        resumed = counter("backend_tls_resumed", "TLS handshakes with backends that resumed a session.", ["cluster"])
        for name, cluster in self._clusters.items():
            if cluster.tls is not None:
                for result, count in cluster.handshakes.results.items():
                    shaken.add_metric([name, result], count)
                resumed.add_metric([name], cluster.handshakes.resumed_total)
        yield from (shaken, resumed)


def _backend_families(some: Iterable[tuple[str, Backend, bool]], now: float = 0.0) -> Iterator[Metric]:
    """
    Yield the families of backends with these ones' samples.

    :param some: (cluster, backend, whether there are health checks). :param now: monotonic seconds.
    """
    labels = ["cluster", "backend"]
    up = gauge("backend_up", "1 when the backend is up or full, 0 in its other states.", labels)
    states = gauge("backend_state", "1 for the state that the backend is in, 0 for the others.", [*labels, "state"])
    active = gauge("backend_active", "Sessions and connection attempts that the backend has now.", labels)
    connections = counter("backend_connections", "Connections made to the backend.", labels)
    ejections = counter("backend_ejections", "Times that the backend became ejected.", labels)
    failures = counter("backend_failures", "Connections to the backend that failed or broke.", labels)
    checks = counter("backend_health_checks", "Active health checks of the backend.", [*labels, "result"])
    for name, backend, checked in some:
        key = [name, backend.id]
        state = backend.state(now)
        up.add_metric(key, int(state in (BackendState.UP, BackendState.FULL)))
        for one in BackendState:
            states.add_metric([*key, one.value], int(one is state))
        active.add_metric(key, backend.active)
        connections.add_metric(key, backend.connections_total)
        ejections.add_metric(key, backend.ejections_total)
        failures.add_metric(key, backend.failures_total)
        if checked:
            checks.add_metric([*key, "success"], backend.checks_passed_total)
            checks.add_metric([*key, "failure"], backend.checks_failed_total)
    yield from (up, states, active, connections, failures, ejections, checks)


class ProcessFacts(Collector):
    """The version, reloads, and lines that logs lost."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._compiled = "yes" if this_build().compiled else "no"

    def collect(self) -> Iterator[Metric]:
        """Yield build_info and the process-wide counters."""
        status = self._status
        build = gauge("build_info", "Always 1; version and build are in the labels.", ["version", "compiled"])
        build.add_metric([__version__, self._compiled], 1)
        ready = gauge("ready", "1 when new sessions are welcome, 0 while starting or draining.")
        ready.add_metric([], int(not status.obstacle()))
        reloads = counter("config_reloads", "Attempts to put a new configuration in force.", ["result"])
        for result, count in status.reloads.items():
            reloads.add_metric([result], count)
        lost = counter("log_dropped", "Diagnostic lines that their file did not take.")
        lost.add_metric([], status.log_observer.dropped if status.log_observer is not None else 0)
        yield from (build, ready, reloads, lost)


class AccessLogCollector(Collector):
    """Lines of the access log; no samples when there is none."""

    def __init__(self, log: AccessLog | None) -> None:
        self._access_log = log

    def collect(self) -> Iterator[Metric]:
        """Yield lines made, lines lost and failed writes."""
        lines = counter("access_log_lines", "Access log lines made.")
        dropped = counter("access_log_dropped", "Access log lines lost because the file took nothing for too long.")
        errors = counter("access_log_errors", "Writes and reopens of the access log that failed.")
        log = self._access_log
        if log is not None:
            lines.add_metric([], log.lines_total)
            dropped.add_metric([], log.dropped_total)
            errors.add_metric([], log.errors_total)
        yield from (lines, dropped, errors)


class CombinedCollector(Collector):
    """
    All families of all collectors, each name once: samples of the same family from several services are put together,
    and added up where they have the same labels.

    A collector that raises loses its samples of this scrape, is counted and logged the first time; the page stays.

    :param collectors: read anew for each scrape, so that services may add theirs later.
    """

    def __init__(self, collectors: Iterable[Collector], *, quilkin_aliases: bool = False) -> None:
        self._collectors = collectors
        self._quilkin = quilkin_aliases
        self._errors = 0

    def collect(self) -> Iterator[Metric]:
        """Yield every family once, sorted by name, and the aliases when they are asked for."""
        return (family for family in self.steps() if family is not None)

    def steps(self) -> Iterator[Metric | None]:
        """Yield them likewise, and None where the work may be interrupted."""
        families: dict[str, Metric] = {}
        owners: dict[str, Collector] = {}
        several: dict[str, Metric] = {}
        for collector in list(self._collectors):
            found = []
            try:
                for family in collector.collect():
                    found.append(family)
                    yield None
            except Exception:  # noqa: BLE001 - a plug-in's collector must not take the page down
                self._failed(collector)
                continue
            for family in found:
                known = families.setdefault(family.name, family)
                owner = owners.setdefault(family.name, collector)
                if known is not family:
                    known.samples.extend(family.samples)
                    if owner is not collector:
                        several[known.name] = known
        for family in several.values():
            family.samples = added_up(family.samples)
        errors = counter("collector_errors", "Metric collectors that raised during a scrape.")
        errors.add_metric([], self._errors)
        families[errors.name] = errors
        if self._quilkin:
            for alias in quilkin_aliases(families):
                families[alias.name] = alias
        yield from (families[name] for name in sorted(families))

    def _failed(self, collector: Collector) -> None:
        self._errors += 1
        if self._errors == 1:
            _log.failure(
                "metric collector {name} raised; further failures are only counted", name=type(collector).__name__
            )


_QUILKIN = (
    "session_active",
    "session_duration_secs",
    "session",
    "session_rx_bytes",
    "session_tx_bytes",
    "session_rx_packets",
    "session_tx_packets",
    "session_packets_dropped",
    "session_rx_errors",
    "session_tx_errors",
)


def quilkin_aliases(families: dict[str, Metric]) -> Iterator[Metric]:
    """
    The Quilkin page's ten session metrics (seed 000), summed over udp listeners.

    :param families: ours by name; those without a ``kind`` label are udp's anyway.
    """
    for name in _QUILKIN:
        source = families.get(PREFIX + name)
        if source is None:
            source = CounterMetricFamily(PREFIX + name, "Datagrams that a filter or limit dropped.")
        alias = Metric(f"quilkin_{name}", f"{source.documentation} All udp listeners together.", source.type)
        sums: dict[tuple[str, str], float] = _zeros(source)
        for sample in source.samples:
            if sample.labels.get("kind", "udp") == "udp":
                key = (sample.name.replace(PREFIX, "quilkin_", 1), sample.labels.get("le", ""))
                sums[key] = sums.get(key, 0) + sample.value
        for (sample_name, bound), value in sums.items():
            alias.add_sample(sample_name, {"le": bound} if bound else {}, value)
        yield alias


def _zeros(source: Metric) -> dict[tuple[str, str], float]:
    """What a family shows before there is any udp session, in the order of exposition."""
    name = source.name.replace(PREFIX, "quilkin_", 1)
    if source.type == "gauge":
        return {(name, ""): 0}
    if source.type == "counter":
        return {(f"{name}_total", ""): 0}
    empty = Histogram(SESSION_DURATION_BUCKETS)
    zeros: dict[tuple[str, str], float] = {(f"{name}_bucket", bound): 0 for bound, _ in empty.cumulative()}
    zeros |= {(f"{name}_count", ""): 0, (f"{name}_sum", ""): 0}
    return zeros


def own_collectors(
    plane: DataPlane,
    listeners: Listeners,
    clusters: Mapping[str, Cluster],
    status: Status,
    access_log: AccessLog | None,
) -> list[Collector]:
    """Return the collectors of what every appliance has."""
    return [
        SessionCollector(plane.sessions),
        AcceptCollector(listeners, plane.admission),
        ClusterCollector(clusters, plane.poller.clock),
        ProcessFacts(status),
        AccessLogCollector(access_log),
    ]


def make_registry(
    own: Iterable[Collector], added: Iterable[Collector], *, quilkin_aliases: bool = False
) -> SlicedRegistry:
    """Return the registry of the admin page: our own collectors, the process's, and those that services add."""
    everything = _Chain(own, added)
    registry = SlicedRegistry()
    registry.register(CombinedCollector(everything, quilkin_aliases=quilkin_aliases))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class _Chain:
    """Iterates over several lists as they are at that time."""

    def __init__(self, *parts: Iterable[Collector]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[Collector]:
        for part in self._parts:
            yield from list(part)
