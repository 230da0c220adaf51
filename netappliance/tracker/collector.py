"""What the tracker shows: the seed's gauges, totals, and its own health."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netappliance.tracker import sockets
from netappliance.tracker.counting import group_metrics
from netappliance.tracker.counting.totals import GAUGES

if TYPE_CHECKING:
    from netappliance.tracker.service import TrackerService

PREFIX = "netappliance_tracker_"
_HELP = {
    "opening": "Connections to the remote host that are opening.",
    "open": "Connections to the remote host that are open.",
    "closing": "Connections to the remote host that are closing.",
    "closed": "Connections to the remote host that were reset and that the kernel still remembers.",
}


class TrackerCollector(Collector):
    """Read at scrape time from counters that events keep."""

    def __init__(self, service: TrackerService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from self._hosts()
        yield from group_metrics.families(self._service.places.totals.values())
        yield group_metrics.expected(self._service.section.expected, self._service.places.totals.values())
        yield from self._health()
        yield from self._kernel()
        yield from self._event_log()

    def _hosts(self) -> Iterator[Metric]:
        shown = self._service.hosts()
        for index, word in enumerate(GAUGES):
            for suffix in ("", "_total"):
                gauge = GaugeMetricFamily(f"conntrack_{word}_connections{suffix}", _HELP[word], labels=["host"])
                for label, gauges in shown:
                    gauge.add_metric([label], gauges[index])
                yield gauge

    def _health(self) -> Iterator[Metric]:
        table, source, hosts = self._service.table, self._service.source, self._service.places.hosts
        counters = (
            ("adopted", "Connections found open, whose opening was not seen.", table.adopted),
            ("unobserved", "Entries that a dump proved gone without an event.", table.unobserved),
            ("events", "Events received.", source.events),
            ("events_lost", "Events that the kernel dropped for want of buffer.", source.lost),
            ("malformed", "Netlink messages that were garbage.", source.malformed),
            ("dumps", "Complete readings of the kernel's table.", source.resyncs),
            ("dumps_refused", "Readings that failed.", source.refused),
            (
                "hosts_overflowed",
                "Connections whose remote end found no room to be counted by itself.",
                hosts.overflowed,
            ),
        )
        for name, text, value in counters:
            yield CounterMetricFamily(PREFIX + name, text, value=value)
        yield GaugeMetricFamily(PREFIX + "up", "1 while the tracker has the kernel's events.", int(source.up))
        tracking = int(self._service.tracking)
        yield GaugeMetricFamily(PREFIX + "tracking", "1 while the kernel tracks connections.", tracking)
        yield GaugeMetricFamily(PREFIX + "entries", "Connections known.", len(table))
        yield GaugeMetricFamily(PREFIX + "hosts", "Remote ends counted by themselves.", len(hosts))
        yield GaugeMetricFamily(PREFIX + "dump_secs", "How long the last reading took.", source.dump_secs)

        names = self._service.names
        if names is not None:
            yield GaugeMetricFamily(PREFIX + "names", "Addresses whose name is known, or known to be none.", len(names))
            text = "Reverse lookups without a name."
            yield CounterMetricFamily(PREFIX + "name_failures", text, value=names.failures)

    def _kernel(self) -> Iterator[Metric]:
        acct = int(sockets.switched_on("nf_conntrack_acct"))
        yield GaugeMetricFamily(PREFIX + "accounting", "1 when the kernel counts packets and bytes.", acct)
        fill = sockets.table_fill()
        if fill is not None:
            yield self._cpus()
            yield GaugeMetricFamily(PREFIX + "kernel_entries", "Entries of the kernel's table.", fill[0])
            yield GaugeMetricFamily(PREFIX + "kernel_limit", "Most entries that the kernel's table holds.", fill[1])

    @staticmethod
    def _cpus() -> Metric:
        labels = ["cpu", "stat"]
        text = "The kernel's own counters of its connection tracking, by CPU."
        family = CounterMetricFamily(PREFIX + "kernel_stat", text, labels=labels)
        for cpu, numbers in sorted(sockets.cpu_stats().items()):
            for name, value in numbers.items():
                family.add_metric([str(cpu), name], value)
        return family

    def _event_log(self) -> Iterator[Metric]:
        log = self._service.event_log
        if log is not None:
            counters = (
                ("lines", "Lines of the event log.", log.lines_total),
                ("dropped", "Lines that the event log's file did not take.", log.dropped_total),
                ("suppressed", "Events beyond event_log_rate.", log.suppressed_total),
                ("errors", "Failed writes and reopens of the event log.", log.errors_total),
            )
            for name, text, value in counters:
                yield CounterMetricFamily(f"{PREFIX}event_log_{name}", text, value=value)
