"""What ``[acme]`` shows in /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from netappliance.acme.service import AcmeService

PREFIX = "netappliance_acme_"


class AcmeCollector(Collector):
    """Read at scrape time; names are those of the configuration."""

    def __init__(self, service: AcmeService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        orders = CounterMetricFamily(PREFIX + "orders", "Orders that ended, by result.", labels=["result"])
        for result, count in self._service.orders.items():
            orders.add_metric([result], count)
        yield orders
        text = "Challenges that an authority asked for, and that were answered."
        yield CounterMetricFamily(PREFIX + "challenges_answered", text, value=self._service.challenges_answered)
        gauges = (
            ("certificate_expires_timestamp_seconds", "When the authority's certificate ends; 0 = there is none."),
            ("last_success_timestamp_seconds", "When a certificate was issued last; 0 = never."),
            ("next_attempt_timestamp_seconds", "When a certificate is ordered next."),
            ("failures", "Attempts in a row that failed."),
        )
        families = [GaugeMetricFamily(PREFIX + name, text, labels=["name"]) for name, text in gauges]
        for each in self._service.certificates:
            schedule = each.schedule
            numbers = (each.expires, each.last_success, schedule.next_at, schedule.failures)
            for family, number in zip(families, numbers, strict=True):
                family.add_metric([each.name], number)
        yield from families
