"""Allow and deny by network and port; what no rule matches is denied."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from mypy_extensions import mypyc_attr

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.sessions.session import Address
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources

#: source addresses whose verdict is remembered, for each direction
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: the networks of either family, and inclusive port ranges (none = every port)."""

    allow: bool
    networks: tuple[values.Network, ...]
    ports: tuple[tuple[int, int], ...]

    def matches(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
        """True when network and port both match."""
        if self.ports and not any(low <= port <= high for low, high in self.ports):
            return False
        return not self.networks or any(address in network for network in self.networks)


def rules(text: str) -> tuple[Rule, ...]:
    """Lines of ``allow|deny [NETWORK ...] [port N | ports A-B,C ...]``; both ends of a range count."""
    return tuple(_rule(line) for line in values.lines(text))


def _rule(line: str) -> Rule:
    action, *words = line.split()
    if action not in ("allow", "deny"):
        raise ValueError(f"allow or deny first in {line!r}")
    networks: list[values.Network] = []
    ports: list[tuple[int, int]] = []
    in_ports = False
    for word in words:
        if word in ("port", "ports"):
            in_ports = True
        elif in_ports:
            ports.extend(_range(part) for part in word.split(",") if part)
        elif word != "any":
            networks.append(values.network(word))
    if in_ports and not ports:
        raise ValueError(f"a port or range after ports in {line!r}")
    return Rule(action == "allow", tuple(networks), tuple(ports))


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text, re.ASCII)
    if match is None:
        raise ValueError(f"a port or range such as 1024-65535, not {text!r}")
    low, high = int(match.group(1)), int(match.group(2) or match.group(1))
    if not low <= high <= 65535:
        raise ValueError(f"a range from low to high, at most 65535, not {text!r}")
    return low, high


@mypyc_attr(native_class=False)
@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallSection:
    """Drops datagrams by address and port; the first matching rule decides, and what matches none is denied."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="firewall", example="firewall")
    on_read: tuple[Rule, ...] = option(
        rules,
        unit="rules",
        doc="On the client's address, one rule a line: allow|deny [any|NETWORK ...] [ports A-B,C]; ranges include both "
        "ends; a v4-mapped address is its IPv4 address. No rule: all denied.",
    )
    on_write: tuple[Rule, ...] = option(rules, "allow any", unit="rules", doc="The same on the backend's address.")


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
