"""A token bucket for each client address or network; what is over the rate is dropped."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.rate_limit import RateLimitSection


class Bucket:
    """Tokens of one network, refilled by the time that passed."""

    __slots__ = ("bytes", "packets", "updated")

    def __init__(self, packets: float, size: float, now: float) -> None:
        self.packets = packets
        self.bytes = size
        self.updated = now


class RateLimit(DatagramFilter):
    """True token buckets: over any time t at most burst + t / period periods' worth passes."""

    def __init__(self, section: RateLimitSection) -> None:
        if not section.max_packets and not section.max_bytes:
            raise ValueError("max_packets: it or max_bytes must be above 0")
        self._section = section
        self._packets_per_s = section.max_packets / section.period_s
        self._bytes_per_s = section.max_bytes / section.period_s
        # a bucket below one datagram would never let one pass
        self._most_packets = max(1.0, section.max_packets * section.burst)
        self._most_bytes = section.max_bytes * section.burst
        self.buckets: OrderedDict[str, Bucket] = OrderedDict()

    def read(self, datagram: Datagram) -> Drop | None:
        """Take from the bucket, or drop; a dropped datagram takes nothing."""
        bucket = self._bucket(datagram.source[0], datagram.now)
        section = self._section
        size = len(datagram.payload)
        if section.max_packets and bucket.packets < 1.0:
            return Drop.RATE_LIMITED
        if section.max_bytes and bucket.bytes < min(size, self._most_bytes):
            return Drop.RATE_LIMITED
        bucket.packets -= 1.0
        bucket.bytes -= size
        return None

    def _bucket(self, host: str, now: float) -> Bucket:
        key = self._network(host)
        buckets = self.buckets
        bucket = buckets.get(key)
        if bucket is None:
            if len(buckets) >= self._section.max_clients:
                buckets.popitem(last=False)
            bucket = buckets[key] = Bucket(self._most_packets, self._most_bytes, now)
            return bucket
        buckets.move_to_end(key)
        passed = max(0.0, now - bucket.updated)
        bucket.packets = min(self._most_packets, bucket.packets + passed * self._packets_per_s)
        bucket.bytes = min(self._most_bytes, bucket.bytes + passed * self._bytes_per_s)
        bucket.updated = now
        return bucket

    def _network(self, host: str) -> str:
        bits = self._section.prefix_v6 if ":" in host else self._section.prefix_v4
        if bits == 32 and ":" not in host:
            return host
        return str(ipaddress.ip_network(f"{host}/{bits}", strict=False))


def make(section: RateLimitSection, resources: Resources) -> RateLimit:
    """Build it."""
    return RateLimit(section)
