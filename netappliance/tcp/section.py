"""The ``[tcp NAME]`` section."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import ClassVar

from netappliance.config import values
from netappliance.config.schema import group, option
from netappliance.tls.keys import TlsKeys

#: what clients send as a server name (tls/client_hello.py)
_HOST_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}", re.ASCII)


def server_name_pattern(value: str) -> str:
    """One of ``www.example.com``, ``*.example.com`` and ``*``."""
    if value == "*":
        return value
    pattern = value.lower().removesuffix(".")
    name = pattern.removeprefix("*.")
    if len(name) > 253 or not _HOST_NAME.fullmatch(name):
        raise ValueError(f"www.example.com, *.example.com (one label), or * for everything else; not {value!r}")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return pattern
    raise ValueError(f"a name, for clients send no addresses as server names; not {value!r}")


def server_name_patterns(value: str) -> tuple[str, ...]:
    """A list of patterns, each once; may be empty."""
    patterns = values.list_of(server_name_pattern)(value)
    for pattern in patterns:
        if patterns.count(pattern) > 1:
            raise ValueError(f"{pattern} once")
    return patterns


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSection:
    """A TCP reverse proxy: listen here, forward to a cluster."""

    shares_addresses_by: ClassVar[str] = "sni"

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
    sni: tuple[str, ...] = option(
        server_name_patterns,
        unit="patterns",
        doc="Serve TLS clients that ask for these server names, without ending their TLS: www.example.com, "
        "*.example.com (one label), * (everything else, and clients that name nothing). Other sections with sni may "
        "listen on the same address; exact names go before wildcards. Empty = everybody, whatever they speak.",
        example="www.example.com",
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
    tls: bool = option(values.boolean, "no", doc="End TLS here, with the keys that follow; not together with sni.")
    tls_keys: TlsKeys = group(TlsKeys)  # noqa: RUF009 - a field
    backlog: int = option(
        values.integer(1, 65535),
        "1024",
        unit="connections",
        doc="Length of the kernel's queue of unaccepted connections.",
    )
    reuse_port: bool = option(
        values.boolean, "no", doc="Set SO_REUSEPORT, so that several processes share the address."
    )

    @property
    def expects_header(self) -> bool:
        """Clients begin with a PROXY header."""
        return self.proxy_protocol in ("expect", "relay")
