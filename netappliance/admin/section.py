"""The ``[admin]`` section."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSection:
    """Metrics, health and configuration pages over HTTP. Reading is open; what changes state asks for the token."""

    listen: tuple[values.Endpoint, ...] = option(
        values.stream_endpoints,
        "tcp:9901:interface=127.0.0.1",
        unit="endpoints",
        doc="Where GET /metrics, /live, /ready, /config and the index page at / are served.",
    )
    token_file: str = option(
        values.text,
        "",
        unit="path",
        doc="File with the bearer token (16 characters or more, not open to everybody) that every state-changing call "
        "must send; required when listening elsewhere than on loopback or a unix socket. Reading needs no token.",
    )
    aliases: str = option(
        values.choice("none", "quilkin"),
        "none",
        doc="quilkin also shows the ten session metrics of Quilkin, as quilkin_session_*, summed over udp listeners.",
    )
    max_connections: int = option(
        values.integer(1, 65535), "64", unit="connections", doc="Client connections at once; further ones are closed."
    )
    max_body_size: int = option(values.size, "64KiB", unit="size", doc="Largest request body; larger ones get 413.")
    request_timeout_s: float = option(
        values.duration,
        "30s",
        key="request_timeout",
        unit="duration",
        doc="From a request's first byte to the end of its answer.",
    )
    idle_timeout_s: float = option(
        values.duration,
        "60s",
        key="idle_timeout",
        unit="duration",
        doc="How long a kept connection may be silent.",
    )
