"""Metrics that only HTTP has: requests, durations, retries, refusals of each listener; pools and queues of clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from netappliance.http.backends.pool import BackendPool
from netappliance.http.frontend import Frontend
from netappliance.http.statistics import CLASSES, RequestStatistics

_PREFIX = "netappliance_http_"


class HttpCollector(Collector):
    """One listener's numbers, read at scrape time."""

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        frontend = self._frontend
        everything = {"": frontend.local, **{name: each.statistics for name, each in frontend.targets.items()}}
        yield from self._requests(everything)
        yield from self._refusals()
        yield self._sticky()

    def _requests(self, everything: dict[str, RequestStatistics]) -> Iterator[Metric]:
        listener = self._frontend.name
        requests = CounterMetricFamily(
            _PREFIX + "requests",
            "Requests that ended, by method and class of status (none: nothing was sent); no cluster: answered here.",
            labels=["listener", "cluster", "method", "status"],
        )
        seconds = HistogramMetricFamily(
            _PREFIX + "request_secs",
            "Seconds from a request's head to the end of its response.",
            labels=["listener", "cluster"],
        )
        retries = CounterMetricFamily(
            _PREFIX + "retries", "Attempts on backends beyond a request's first.", labels=["listener", "cluster"]
        )
        for cluster, statistics in everything.items():
            rows = [(method.decode(), row) for method, row in statistics.rows.items()]
            for method, row in [*rows, ("other", statistics.others)]:
                for word, count in (*zip(CLASSES, row[:6], strict=False), ("other", sum(row[6:]))):
                    if count or (method == "GET" and word == "2xx"):
                        requests.add_metric([listener, cluster, method, word], count)
            histogram = statistics.seconds
            seconds.add_metric([listener, cluster], list(histogram.cumulative()), histogram.sum)
            retries.add_metric([listener, cluster], statistics.retries)
        yield from (requests, seconds, retries)

    def _refusals(self) -> Iterator[Metric]:
        listener, refusals = self._frontend.name, self._frontend.refusals
        for name, text, found in (
            ("refused_requests", "Requests that were malformed or too large.", refusals.requests),
            ("refused_responses", "Responses of backends that were malformed.", refusals.responses),
        ):
            family = CounterMetricFamily(_PREFIX + name, text, labels=["listener", "reason"])
            for why, count in found.items():
                family.add_metric([listener, why], count)
            yield family

    def _sticky(self) -> Metric:
        listener = self._frontend.name
        family = CounterMetricFamily(
            _PREFIX + "sticky",
            "Responses of clusters with sticky sessions: kept (the cookie's backend), moved (another), assigned (new).",
            labels=["listener", "cluster", "result"],
        )
        for name, target in self._frontend.targets.items():
            sticky = target.sticky
            if sticky is not None:
                family.add_metric([listener, name, "kept"], sticky.kept_total)
                family.add_metric([listener, name, "moved"], sticky.moved_total)
                family.add_metric([listener, name, "assigned"], sticky.assigned_total)
        return family


class PoolCollector(Collector):
    """
    The pools of clusters, each once, though listeners share them.

    :param pools: cluster -> its pool; read at scrape time.
    """

    def __init__(self, pools: Mapping[str, BackendPool]) -> None:
        self._pools = pools

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        idle = GaugeMetricFamily(
            _PREFIX + "pool_idle", "Idle connections kept to the backends of a cluster.", labels=["cluster"]
        )
        events = CounterMetricFamily(
            _PREFIX + "pool_events",
            "Requests on a kept connection (hit) or a new one (miss), and kept connections that were closed.",
            labels=["cluster", "event"],
        )
        waiting = GaugeMetricFamily(
            _PREFIX + "queue_length", "Requests that wait for a place on a backend.", labels=["cluster"]
        )
        refused = CounterMetricFamily(
            _PREFIX + "queue_refused",
            "Requests answered with 503 because the queue was full or they waited too long.",
            labels=["cluster", "reason"],
        )
        for name, pool in self._pools.items():
            idle.add_metric([name], sum(map(len, pool.idle.values())))
            events.add_metric([name, "hits"], pool.cluster.reused_total)
            for event in ("misses", "stale", "expired", "overflow"):
                events.add_metric([name, event], getattr(pool, event))
            waiting.add_metric([name], len(pool.queue))
            refused.add_metric([name, "full"], pool.queue_full)
            refused.add_metric([name, "timeout"], pool.queue_timeouts)
        yield from (idle, events, waiting, refused)
