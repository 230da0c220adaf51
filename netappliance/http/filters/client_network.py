"""Clients by network: which of two lists an address is in, and which clients count as one."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache

from netappliance.config.values import Network
from netappliance.sessions.session import ip_of

#: addresses whose network or verdict is remembered, for each filter
REMEMBERED = 4096

PREFIX_V4_DOC = "IPv4 clients that share this many bits count as one."
PREFIX_V6_DOC = "IPv6 clients that share this many bits count as one."


def within(networks: Iterable[Network]) -> Callable[[str], bool]:
    """Return a function that says whether a client is in one of these networks; no unix socket is."""
    known = tuple(networks)

    @lru_cache(REMEMBERED)
    def inside(client: str) -> bool:
        address = ip_of(client)
        return address is not None and any(address in network for network in known)

    return inside


def grouping(prefix_v4: int, prefix_v6: int) -> Callable[[str], str]:
    """Return a function from a client to the text of its network; clients of unix sockets are one, with no text."""

    @lru_cache(REMEMBERED)
    def group(client: str) -> str:
        address = ip_of(client)
        if address is None:
            return ""
        bits = prefix_v4 if address.version == 4 else prefix_v6
        return str(ipaddress.ip_network((address, bits), strict=False))

    return group
