"""The section of the filter rate_limit."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSection:
    """Limits datagrams and bytes from each client network by token buckets."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="rate_limit", example="rate_limit")
    max_packets: float = option(
        values.number(0, 1e9), "0", unit="datagrams", doc="Datagrams in each period; 0 = no limit on datagrams."
    )
    max_bytes: int = option(values.size, "0", unit="bytes", doc="Bytes in each period; 0 = no limit on bytes.")
    period_s: float = option(
        values.positive_duration, "1s", key="period", unit="duration", doc="The time in which a bucket fills."
    )
    burst: float = option(
        values.number(0.01, 1000), "1", unit="periods", doc="How many periods' worth an idle client may send at once."
    )
    prefix_v4: int = option(
        values.integer(0, 32), "32", unit="bits", doc="IPv4 clients that share this share a bucket."
    )
    prefix_v6: int = option(
        values.integer(0, 128), "64", unit="bits", doc="IPv6 clients that share this share a bucket."
    )
    max_clients: int = option(
        values.integer(1, 10_000_000),
        "65536",
        unit="buckets",
        doc="Buckets kept; the least recently used goes first, and comes back full.",
    )
