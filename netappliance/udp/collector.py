"""Metrics that only datagram services have: drops by reason, what each filter did, what the kernel dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from netappliance.udp.filters.simple import Timestamp

if TYPE_CHECKING:
    from netappliance.udp.service import UdpService

_PREFIX = "netappliance_"


class UdpCollector(Collector):
    """One service's numbers, read at scrape time."""

    def __init__(self, service: UdpService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        listener = self._service.proxy.name
        drops = CounterMetricFamily(
            f"{_PREFIX}session_packets_dropped",
            "Datagrams dropped, by the side of the chain and the reason.",
            labels=["listener", "direction", "reason"],
        )
        for (direction, reason), count in self._service.proxy.totals.drops.items():
            drops.add_metric([listener, direction, reason], count)
        kernel = CounterMetricFamily(
            f"{_PREFIX}udp_kernel_drops",
            "Datagrams that the kernel dropped because the listener's receive buffer was full.",
            labels=["listener"],
        )
        kernel.add_metric([listener], sum(each.kernel_drops() for each in self._service.listeners))
        yield drops
        yield kernel
        yield from self._filters(listener)

    def _filters(self, listener: str) -> Iterator[Metric]:
        labels = ["listener", "filter", "direction"]
        seen = CounterMetricFamily(f"{_PREFIX}filter_packets", "Datagrams that a filter saw.", labels=labels)
        dropped = CounterMetricFamily(f"{_PREFIX}filter_dropped", "Datagrams that a filter dropped.", labels=labels)
        errors = CounterMetricFamily(f"{_PREFIX}filter_errors", "Exceptions of a filter, contained.", labels=labels)
        durations = HistogramMetricFamily(
            f"{_PREFIX}filter_duration_secs", "Seconds that a filter took for a datagram, sampled.", labels=labels
        )
        for (name, direction), counters in self._service.proxy.chain.counters.items():
            key = [listener, name, direction]
            seen.add_metric(key, counters.seen)
            dropped.add_metric(key, counters.dropped)
            errors.add_metric(key, counters.errors)
            durations.add_metric(key, list(counters.durations.cumulative()), counters.durations.sum)
        yield from (seen, dropped, errors, durations)
        yield from self._own_figures(listener)

    def _own_figures(self, listener: str) -> Iterator[Metric]:
        figures = CounterMetricFamily(
            f"{_PREFIX}filter_figures", "What filters count of their own.", labels=["listener", "filter", "figure"]
        )
        ages = HistogramMetricFamily(
            f"{_PREFIX}filter_age_secs", "Age of datagrams by their sender's clock.", labels=["listener", "filter"]
        )
        proxy = self._service.proxy
        for name, made in proxy.filters:
            try:
                own = {str(figure): int(count) for figure, count in getattr(made, "figures", dict)().items()}
            except Exception:  # noqa: BLE001 - a filter's bug costs its own figures, not the page
                for key, counters in proxy.chain.counters.items():
                    counters.errors += key[0] == name
                continue
            for figure, count in own.items():
                figures.add_metric([listener, name, figure], count)
            if isinstance(made, Timestamp):
                ages.add_metric([listener, name], list(made.ages.cumulative()), made.ages.sum)
        yield from (figures, ages)
