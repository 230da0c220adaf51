"""The ``[manhole]`` section; apart from the service, whose import brings in the whole of conch."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option


@dataclass(frozen=True, slots=True, kw_only=True)
class ManholeSection:
    """A Python prompt inside the running process, over SSH with public keys only. Off unless the section is there."""

    listen: tuple[values.Endpoint, ...] = option(
        values.stream_endpoints,
        "tcp:9922:interface=127.0.0.1",
        unit="endpoints",
        doc="Where SSH listens. Whoever logs in can do what the process can do.",
    )
    authorized_keys: str = option(
        values.text,
        "var/manhole_keys.pub",
        unit="path",
        doc="Public keys that may log in under any user name, one per line without options; read anew for each login. "
        "A missing, unreadable, empty or doubtful file stops the start.",
    )
    host_key: str = option(
        values.text,
        "var/manhole_host_ed25519",
        unit="path",
        doc="The ed25519 host key; made on first start with mode 0600.",
    )
    max_logins: int = option(values.integer(1, 1000), "4", unit="logins", doc="Operators logged in at once.")
    max_pending: int = option(
        values.integer(1, 1000), "16", unit="connections", doc="Connections at once that have not logged in yet."
    )
    login_timeout_s: float = option(
        values.duration,
        "30s",
        key="login_timeout",
        unit="duration",
        doc="A connection that has not logged in by then is closed.",
    )
