"""The ``[tcp NAME]`` section."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSection:
    """A TCP reverse proxy: listen here, forward to a cluster."""

    name: str
    listen: tuple[values.Endpoint, ...] = option(
        values.stream_endpoints,
        required=True,
        unit="endpoints",
        doc="Where to listen: tcp:PORT[:interface=ADDRESS][:backlog=N] or unix:PATH[:mode=660], one or more.",
        example="tcp:9000:interface=127.0.0.1",
    )
    cluster: str = option(
        values.text, required=True, unit="name", doc="The [cluster NAME] to forward to.", example="echo"
    )
    proxy_protocol: str = option(
        values.choice("none", "expect", "send_v1", "send_v2", "relay"),
        "none",
        doc="PROXY protocol: expect it from clients, send version 1 or 2 to backends, or relay what the client sent.",
    )
    proxy_protocol_timeout_s: float = option(
        values.duration,
        "3s",
        key="proxy_protocol_timeout",
        unit="duration",
        doc="How long a client may take to send the whole PROXY header (expect and relay).",
    )
    idle_timeout_s: float = option(
        values.duration,
        "60s",
        key="idle_timeout",
        unit="duration",
        doc="Close a session without traffic in either direction for this long; 0 = never.",
    )
    backlog: int = option(
        values.integer(1, 65535),
        "1024",
        unit="connections",
        doc="Length of the kernel's queue of unaccepted connections.",
    )
    reuse_port: bool = option(
        values.boolean, "no", doc="Set SO_REUSEPORT, so that several processes share the address."
    )
