"""Families by group, direction and protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from netappliance.tracker.counting.totals import GAUGES, HOW, OPEN, WAYS, Totals

_PREFIX = "netappliance_tracker_"
_LABELS = ["group", "direction", "protocol"]


def families(every: Iterable[Totals]) -> Iterator[Metric]:
    """Yield what is counted for each of ``every``."""
    active = GaugeMetricFamily(_PREFIX + "connections", "Connections now, by state.", labels=[*_LABELS, "state"])
    opened = CounterMetricFamily(_PREFIX + "opened", "Connections whose opening was seen.", labels=_LABELS)
    established = CounterMetricFamily(_PREFIX + "established", "Connections that were answered.", labels=_LABELS)
    closed = CounterMetricFamily(_PREFIX + "closed", "Connections that ended, by how.", labels=[*_LABELS, "how"])
    packets = CounterMetricFamily(_PREFIX + "packets", "Packets that the kernel counted.", labels=[*_LABELS, "way"])
    octets = CounterMetricFamily(_PREFIX + "bytes", "Bytes that the kernel counted.", labels=[*_LABELS, "way"])
    durations = HistogramMetricFamily(_PREFIX + "duration_secs", "From opening to end, in seconds.", labels=_LABELS)
    shakes = HistogramMetricFamily(
        _PREFIX + "handshake_secs", "From SYN to ESTABLISHED, in seconds.", labels=_LABELS[:2]
    )
    for totals in every:
        key = [totals.group, totals.direction, totals.protocol]
        for index, state in enumerate(GAUGES):
            active.add_metric([*key, state], totals.gauges[index])
        opened.add_metric(key, totals.opened)
        established.add_metric(key, totals.established)
        for index, how in enumerate(HOW):
            closed.add_metric([*key, how], totals.closed[index])
        for index, way in enumerate(WAYS):
            packets.add_metric([*key, way], totals.traffic[2 * index])
            octets.add_metric([*key, way], totals.traffic[2 * index + 1])
        durations.add_metric(key, list(totals.durations.cumulative()), totals.durations.sum)
        if totals.tcp:
            shakes.add_metric(key[:2], list(totals.handshakes.cumulative()), totals.handshakes.sum)
    yield from (active, opened, established, closed, packets, octets, durations, shakes)


def expected(names: Iterable[str], every: Iterable[Totals]) -> Metric:
    """Return the gauge of expected links: 1 while the group has an open connection."""
    family = GaugeMetricFamily(_PREFIX + "expected_up", "1 while the group has an open connection.", labels=["group"])
    alive = {totals.group for totals in every if totals.gauges[OPEN] > 0}
    for name in names:
        family.add_metric([name], int(name in alive))
    return family
