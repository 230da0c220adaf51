"""Who may come in: refused or allowed by network; nobody during maintenance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.http.filters.base import RequestFilter, Resources
from netappliance.http.filters.client_network import within
from netappliance.http.message import Answer, Exchange

#: seconds for which it is remembered whether the switch file is there
SWITCH_EVERY_S = 1.0

_WHY_DOC = "Said in the body of the answer."


@dataclass(frozen=True, slots=True, kw_only=True)
class DenySection:
    """Refuses clients of some networks, or everybody."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="deny", example="deny")
    networks: tuple[values.Network, ...] = option(
        values.networks, unit="networks", doc="Clients that are refused; empty = all.", example="203.0.113.0/24"
    )
    status: str = option(values.choice("403", "404"), "403", unit="status", doc="403, or 404 to hide what is here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowSection:
    """Refuses clients that are in none of some networks."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="allow", example="allow")
    networks: tuple[values.Network, ...] = option(
        values.networks,
        required=True,
        unit="networks",
        doc="Clients that may come in; those of unix sockets are in no network.",
        example="10.0.0.0/8, 2001:db8::/32",
    )
    status: str = option(values.choice("403", "404"), "403", unit="status", doc="403, or 404 to hide what is here.")


class Deny(RequestFilter):
    """
    By network.

    :param refused: whether being in one of the networks is what refuses, or being in none.
    """

    def __init__(self, section: DenySection | AllowSection, *, refused: bool) -> None:
        self._everybody = refused and not section.networks
        self._inside = within(section.networks)
        self._refused = refused
        self._status = int(section.status)

    def request(self, exchange: Exchange) -> Answer | None:
        """Judge the client."""
        if self._everybody or self._inside(exchange.client) is self._refused:
            return Answer(self._status)
        return None


def make_deny(section: DenySection, resources: Resources) -> Deny:
    """Build it."""
    return Deny(section, refused=True)


def make_allow(section: AllowSection, resources: Resources) -> Deny:
    """
    Build it.

    :raises ValueError: no network, which would refuse everybody.
    """
    if not section.networks:
        raise ValueError("networks: at least one (kind = deny refuses everybody)")
    return Deny(section, refused=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSection:
    """Answers 503 to everybody but some, always or while a file is there."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="maintenance", example="maintenance")
    switch: str = option(
        values.text,
        unit="path",
        doc="Only while there is a file of this name (looked for once a second at most, and only when requests come); "
        "empty = always.",
        example="var/maintenance",
    )
    retry_after_s: float = option(
        values.duration, "5m", key="retry_after", unit="duration", doc="When to come again (Retry-After); 0 = not said."
    )
    allow: tuple[values.Network, ...] = option(
        values.networks, unit="networks", doc="Clients that come in all the same."
    )
    why: str = option(values.text, "The service is being worked on.", unit="text", doc=_WHY_DOC)


class Maintenance(RequestFilter):
    """503."""

    def __init__(self, section: MaintenanceSection, resources: Resources) -> None:
        self._allowed = within(section.allow)
        self._switch = section.switch
        self._exists = resources.exists
        self._why = section.why
        self._lines = retry_after(section.retry_after_s)
        self._on = not section.switch
        self._look_at = -math.inf

    def request(self, exchange: Exchange) -> Answer | None:
        """Answer, while it is on."""
        if self._switch and exchange.now >= self._look_at:
            self._look_at = exchange.now + SWITCH_EVERY_S
            self._on = self._exists(self._switch)
        if not self._on or self._allowed(exchange.client):
            return None
        return Answer(503, self._why, list(self._lines))


def retry_after(seconds: float) -> list[bytes]:
    """Return the line of Retry-After in whole seconds, rounded up, at least 1; none for 0."""
    return [b"Retry-After: %d" % max(1, math.ceil(seconds))] if seconds > 0 else []


def make_maintenance(section: MaintenanceSection, resources: Resources) -> Maintenance:
    """Build it."""
    return Maintenance(section, resources)
