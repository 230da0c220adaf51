"""What the tracker shows of this host's sockets: where its numbers come from, long-lived connections, TCP_INFO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from netappliance.tracker.collector import PREFIX
from netappliance.tracker.counting.totals import GAUGES, HOW

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
        yield from self._namespaces()
        tracking = self._service.sources.sockets
        if tracking.source is None:
            return
        yield from self._sockets()
        if self._service.section.longterm:
            yield self._longterm()
        if self._service.section.tcp_info:
            yield from self._qualities()
        if self._service.section.max_cgroups:
            yield from self._cgroups()

    def _namespaces(self) -> Iterator[Metric]:
        if not self._service.section.namespaces:
            return
        up = GaugeMetricFamily(
            PREFIX + "namespace_up", "1 while the namespace's connections are read.", labels=["namespace"]
        )
        gauges = GaugeMetricFamily(
            PREFIX + "namespace_connections", "Connections of the namespace now.", labels=["namespace", "state"]
        )
        opened = CounterMetricFamily(
            PREFIX + "namespace_opened", "Connections whose opening was seen.", labels=["namespace"]
        )
        closed = CounterMetricFamily(
            PREFIX + "namespace_closed", "Connections that ended.", labels=["namespace", "how"]
        )
        for namespace in self._service.namespaces:
            sums = namespace.sums()
            up.add_metric([namespace.name], int(namespace.up))
            opened.add_metric([namespace.name], sums.opened)
            for state, count in zip(GAUGES, namespace.gauges(), strict=True):
                gauges.add_metric([namespace.name, state], count)
            for how, count in zip(HOW, sums.closed, strict=True):
                closed.add_metric([namespace.name, how], count)
        yield from (up, gauges, opened, closed)

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

    def _cgroups(self) -> Iterator[Metric]:
        tracking = self._service.sources.sockets
        labels = ["cgroup"]
        open_now = GaugeMetricFamily(PREFIX + "cgroup_connections", "Established TCP connections.", labels=labels)
        sent = CounterMetricFamily(PREFIX + "cgroup_sent_bytes", "TCP payload sent.", labels=labels)
        received = CounterMetricFamily(PREFIX + "cgroup_received_bytes", "TCP payload received.", labels=labels)
        again = CounterMetricFamily(PREFIX + "cgroup_retransmitted_segments", "TCP segments sent again.", labels=labels)
        for path, count, traffic in tracking.cgroups.shown(tracking.table.entries.values()):
            open_now.add_metric([path], count)
            sent.add_metric([path], traffic.sent)
            received.add_metric([path], traffic.received)
            again.add_metric([path], traffic.retransmitted)
        yield from (open_now, sent, received, again)
