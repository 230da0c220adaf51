"""Metrics of sections that are chosen by server name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class HelloCollector(Collector):
    """What the ClientHellos of one section came to, read at scrape time."""

    def __init__(self, name: str, hellos: Mapping[str, int]) -> None:
        self._name = name
        self._hellos = hellos

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        family = CounterMetricFamily(
            "netappliance_tls_hellos",
            "ClientHellos of addresses that sections share by sni: those passed on, and those refused by reason.",
            labels=["listener", "result"],
        )
        for result, count in self._hellos.items():
            family.add_metric([self._name, result], count)
        yield family
