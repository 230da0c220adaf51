"""The ``[tracker]`` section."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.tracker.hosts import ignore_rule


def _ignore(value: str) -> Callable[[bytes, int], bool]:
    return ignore_rule(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSection:
    """The host's TCP connections by state and remote end, from the kernel's connection tracking."""

    ignore: tuple[Callable[[bytes, int], bool], ...] = option(
        values.list_of(_ignore),
        "127.0.0.0/8, ::1/128",
        unit="addresses",
        doc="Remote ends that get no series: address, network, or address:port ([v6]:port).",
    )
    max_hosts: int = option(
        values.integer(1, 100_000), "200", unit="series", doc='Series budget; further hosts are host="other".'
    )
    keep_s: float = option(
        values.duration,
        "10m",
        key="keep",
        unit="duration",
        doc="How long a host without connections keeps its zeros, so that an alert on a broken link works.",
    )
    receive_buffer: int = option(
        values.size, "8MiB", unit="size", doc="Kernel buffer for events; the kernel may give less without rights."
    )
    reconcile_s: float = option(
        values.positive_duration,
        "60s",
        key="reconcile",
        unit="duration",
        doc="How often the kernel's whole table is read again, even when no event was lost.",
    )
