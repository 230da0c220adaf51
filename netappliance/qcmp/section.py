"""The ``[qcmp NAME]`` section."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option


@dataclass(frozen=True, slots=True, kw_only=True)
class QcmpSection:
    """Answers the latency pings of game clients; compatible with Quilkin's QCMP on the wire."""

    name: str
    listen: tuple[values.Endpoint, ...] = option(
        values.datagram_endpoints,
        required=True,
        unit="endpoints",
        doc="Where to listen: udp:PORT[:interface=ADDRESS], one or more.",
        example="udp:7600:interface=127.0.0.1",
    )
    max_packets: float = option(
        values.number(0.1, 1e9),
        "20",
        unit="datagrams",
        doc="Pings answered for each client network and second; a reply is twice a ping, and sources can be forged.",
    )
    max_clients: int = option(
        values.integer(1, 10_000_000), "65536", unit="networks", doc="Client networks whose rate is remembered."
    )
