"""The ``[demo]`` section."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSection:
    """Embedded backends, so that the shipped configuration runs with nothing installed. Off without the section."""

    http: tuple[values.Endpoint, ...] = option(
        values.optional_stream_endpoints,
        "tcp:9801:interface=127.0.0.1, tcp:9802:interface=127.0.0.1",
        unit="endpoints",
        doc="Small HTTP servers: /, /healthz, /headers, /bytes/N, and /echo for POST; each says where it listens.",
    )
    tcp_echo: tuple[values.Endpoint, ...] = option(
        values.optional_stream_endpoints,
        "tcp:9803:interface=127.0.0.1",
        unit="endpoints",
        doc="Servers that send back what they get.",
    )
    udp_echo: tuple[values.Endpoint, ...] = option(
        values.optional_datagram_endpoints,
        "udp:9804:interface=127.0.0.1",
        unit="endpoints",
        doc="Servers that send each datagram back.",
    )
    max_connections: int = option(
        values.integer(1, 65535), "4096", unit="connections", doc="Connections at once to each demo listener."
    )
    idle_timeout_s: float = option(
        values.duration,
        "5m",
        key="idle_timeout",
        unit="duration",
        doc="A connection without traffic for this long is closed.",
    )
