"""The section of the filter firewall."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option


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
