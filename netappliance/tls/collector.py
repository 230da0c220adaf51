"""The handshakes of one listener as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from netappliance.tls.handshakes import OK, HandshakeStatistics

_ALWAYS = (("1.2", False, OK), ("1.3", False, OK))


class TlsCollector(Collector):
    """One listener's numbers, read at scrape time."""

    def __init__(self, listener: str, statistics: HandshakeStatistics) -> None:
        self._listener = listener
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        family = CounterMetricFamily(
            "netappliance_tls_handshakes",
            "Handshakes with clients that ended, by version, resumption and result: ok, or why there is no connection.",
            labels=["listener", "version", "resumed", "result"],
        )
        counts = {**dict.fromkeys(_ALWAYS, 0), **self._statistics.counts}
        for (version, resumed, result), count in counts.items():
            family.add_metric([self._listener, version, "yes" if resumed else "no", result], count)
        yield family
