"""Allow and deny by network and port; what no rule matches is denied."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from netappliance.sessions.session import Address
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.firewall import FirewallSection, Rule

#: source addresses whose verdict is remembered, for each direction
REMEMBERED = 4096


def verdict(chain: tuple[Rule, ...], address: Address) -> bool:
    """True when the first matching rule allows; an address that is none (a unix path) is denied."""
    try:
        parsed = ipaddress.ip_address(address[0])
    except ValueError:
        return False
    return next((rule.allow for rule in chain if rule.matches(parsed, address[1])), False)


class Firewall(DatagramFilter):
    """Verdicts are remembered by address, so a session costs one evaluation."""

    def __init__(self, section: FirewallSection) -> None:
        self._allow_read = lru_cache(REMEMBERED)(lambda address: verdict(section.on_read, address))
        self._allow_write = lru_cache(REMEMBERED)(lambda address: verdict(section.on_write, address))

    def read(self, datagram: Datagram) -> Drop | None:
        """Judge the client."""
        return None if self._allow_read(datagram.source) else Drop.DENIED

    def write(self, datagram: Datagram) -> Drop | None:
        """Judge the backend."""
        return None if self._allow_write(datagram.source) else Drop.DENIED


def make(section: FirewallSection, resources: Resources) -> Firewall:
    """Build it."""
    return Firewall(section)
