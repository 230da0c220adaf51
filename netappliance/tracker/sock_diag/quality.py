"""How well connections go, from TCP_INFO: round-trip times, retransmissions, traffic. Sans-I/O."""

from __future__ import annotations

from netappliance.metrics.histogram import Histogram
from netappliance.tracker.counting.totals import Totals
from netappliance.tracker.sock_diag.inet_diag import TcpInfo

RTT_BUCKETS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Upper bounds in seconds."""


class Quality:
    """What the connections of one group and direction did; only ever added to, so that all are counters."""

    __slots__ = ("retransmitted", "rtt", "segments")

    def __init__(self) -> None:
        self.rtt = Histogram(RTT_BUCKETS)
        self.segments = 0
        self.retransmitted = 0


class Qualities:
    """
    Quality by (group, direction): a closed set.

    :param traffic: TCP_INFO is also where bytes and packets come from, because no conntrack counts them.
    """

    def __init__(self, *, traffic: bool = True) -> None:
        self.by_place: dict[tuple[str, str], Quality] = {}
        self.traffic = traffic

    def observe(self, totals: Totals, inbound: bool, before: TcpInfo | None, info: TcpInfo) -> None:
        """
        Add what a connection did since it was looked at last.

        Its smoothed round-trip time is observed once for each look in which segments had gone.

        :param before: what it had then; None at the first look.
        """
        if not totals.group:  # ignored
            return
        key = (totals.group, totals.direction)
        quality = self.by_place.get(key)
        if quality is None:
            quality = self.by_place[key] = Quality()
        new_out, new_in, again = info.segments_out, info.segments_in, info.total_retransmits
        sent, received = info.sent - info.retransmitted, info.received
        if before is not None:
            new_out -= before.segments_out
            new_in -= before.segments_in
            again -= before.total_retransmits
            sent -= before.sent - before.retransmitted
            received -= before.received
        if new_out <= 0 and new_in <= 0:
            return
        quality.segments += max(0, new_out)
        quality.retransmitted += max(0, again)
        if info.rtt_us:
            quality.rtt.observe(info.rtt_us / 1e6)
        if self.traffic:
            here, there = (2, 0) if inbound else (0, 2)  # totals.traffic has the opener's way first
            totals.traffic[here] += max(0, new_out)
            totals.traffic[here + 1] += max(0, sent)
            totals.traffic[there] += max(0, new_in)
            totals.traffic[there + 1] += max(0, received)
