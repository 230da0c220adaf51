"""What the tracker shows of this host's sockets: where its numbers come from, long-lived connections, TCP_INFO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from netappliance.tracker.collector import PREFIX

if TYPE_CHECKING:
    from netappliance.tracker.service import TrackerService

LONGTERM = "netstat_tcp_longterm_connections_total"
"""The original's name; a gauge all the same."""

_LONGTERM_HELP = "Connections that have been established for longterm_duration or longer."


class SocketCollector(Collector):
    """Read at scrape time."""

    def __init__(self, service: TrackerService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        chosen = self._service.sources.chosen
        source = GaugeMetricFamily(
            PREFIX + "source",
            "1 for where connections come from, and why.",
            labels=["source", "reason"],
        )
        source.add_metric([chosen.source, chosen.reason], 1)
        yield source
        tracking = self._service.sources.sockets
        if tracking.source is None:
            return
        yield from self._sockets()
        if self._service.section.longterm:
            yield self._longterm()
        if self._service.section.tcp_info:
            yield from self._qualities()

    def _sockets(self) -> Iterator[Metric]:
        tracking = self._service.sources.sockets
        source = tracking.source
        assert source is not None
        yield GaugeMetricFamily(PREFIX + "sockets", "TCP sockets of this host that are known.", len(tracking.table))
        yield GaugeMetricFamily(PREFIX + "sockets_up", "1 while this host's sockets are read.", int(source.up))
        yield GaugeMetricFamily(
            PREFIX + "sockets_dump_secs", "How long the last reading of all sockets took.", source.dump_secs
        )
        for name, text, value in (
            ("socket_notices", "Notices of ended sockets received.", source.events),
            ("socket_notices_lost", "Notices that the kernel dropped for want of buffer.", source.lost),
            ("socket_malformed", "sock_diag messages or lines of /proc/net/tcp that were garbage.", source.malformed),
            ("socket_dumps", "Complete readings of all sockets.", source.resyncs),
            ("socket_dumps_refused", "Readings of all sockets that failed.", source.refused),
        ):
            yield CounterMetricFamily(PREFIX + name, text, value=value)

    def _longterm(self) -> Metric:
        tracking, section = self._service.sources.sockets, self._service.section
        now = self._service.now()
        if section.longterm_simple:
            return GaugeMetricFamily(LONGTERM, _LONGTERM_HELP, tracking.longterm.total(tracking.table, now))
        family = GaugeMetricFamily(LONGTERM, _LONGTERM_HELP, labels=["port", "tcp_version"])
        for series, count in tracking.longterm.count(tracking.table, now).items():
            family.add_metric(series, count)
        return family

    def _qualities(self) -> Iterator[Metric]:
        labels = ["group", "direction"]
        rtt = HistogramMetricFamily(
            PREFIX + "rtt_secs", "Smoothed round-trip time, once a reading for each socket with traffic.", labels=labels
        )
        sent = CounterMetricFamily(PREFIX + "segments", "TCP segments sent.", labels=labels)
        again = CounterMetricFamily(PREFIX + "retransmitted_segments", "TCP segments sent again.", labels=labels)
        for key, quality in self._service.sources.sockets.qualities.by_place.items():
            rtt.add_metric(key, list(quality.rtt.cumulative()), quality.rtt.sum)
            sent.add_metric(key, quality.segments)
            again.add_metric(key, quality.retransmitted)
        yield from (rtt, sent, again)
