"""The ``[udp NAME]`` section."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpSection:
    """A UDP session proxy: a session for each client and backend, datagrams through a filter chain both ways."""

    name: str
    listen: tuple[values.Endpoint, ...] = option(
        values.datagram_endpoints,
        required=True,
        unit="endpoints",
        doc="Where to listen: udp:PORT[:interface=ADDRESS], one or more.",
        example="udp:26000:interface=127.0.0.1",
    )
    cluster: str = option(
        values.text, required=True, unit="name", doc="The [cluster NAME] to forward to.", example="game"
    )
    filters: tuple[str, ...] = option(
        values.words,
        unit="names",
        doc="[filter NAME] sections, or kinds that need no options; first to last on read, last to first on write.",
    )
    balance_all: bool = option(
        values.boolean,
        "no",
        doc="When no filter chose a destination: a copy to every backend (Quilkin's default) instead of one of the "
        "cluster's choice.",
    )
    idle_timeout_s: float = option(
        values.positive_duration,
        "60s",
        key="idle_timeout",
        unit="duration",
        doc="End a session without a datagram in either direction for this long.",
    )
    unanswered_timeout_s: float = option(
        values.duration,
        "0",
        key="unanswered_timeout",
        unit="duration",
        doc="The same for a session that its backend never answered; 0 = idle_timeout.",
    )
    max_lifetime_s: float = option(
        values.duration, "0", key="max_lifetime", unit="duration", doc="End a session after this long; 0 = never."
    )
    max_sessions: int = option(values.integer(1, 1_000_000), "10000", unit="sessions", doc="Sessions of this section.")
    when_full: str = option(
        values.choice("refuse", "evict"),
        "refuse",
        doc="At max_sessions: refuse new clients, or end the least recently active session.",
    )
    max_sessions_per_client: int = option(
        values.integer(0, 1_000_000), "0", unit="sessions", doc="Sessions of one client address; 0 = unlimited."
    )
    requests: int = option(
        values.integer(0, 10**9), "0", unit="datagrams", doc="End a session after this many from the client; 0 = never."
    )
    responses: int = option(
        values.integer(0, 10**9),
        "0",
        unit="datagrams",
        doc="End a session after this many from the backend; 0 = never.",
    )
    amplification_limit: float = option(
        values.number(0, 10**6),
        "0",
        unit="factor",
        doc="To a client that has not spoken again after a reply, send at most so many times the bytes it sent; "
        "0 = off.",
    )
    max_datagram_size: int = option(
        values.integer(1, 65507), "65507", unit="bytes", doc="Larger datagrams are dropped and counted, never cut."
    )
    receive_buffer: int = option(
        values.size, "0", unit="bytes", doc="Kernel receive buffer of the listeners; 0 = its default."
    )
    send_buffer: int = option(
        values.size, "0", unit="bytes", doc="Kernel send buffer of the listeners; 0 = its default."
    )
