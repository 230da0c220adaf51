"""Choose destinations: by token, or by a balancing policy for each datagram."""

from __future__ import annotations

import random
from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing import make_balancer
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.routing import LoadBalancerSection, TokenRouterSection


class TokenRouter(DatagramFilter):
    """One dictionary look-up; the destinations of an earlier datagram or filter are never kept."""

    def __init__(self, section: TokenRouterSection) -> None:
        self._key = section.metadata_key

    def read(self, datagram: Datagram) -> Drop | None:
        """Route, or drop."""
        token = datagram.metadata.get(self._key)
        if not isinstance(token, bytes):
            return Drop.NO_TOKEN
        destinations = datagram.by_token.get(token)
        if not destinations:
            return Drop.NO_MATCH
        datagram.destinations = destinations
        return None


def make_token_router(section: TokenRouterSection, resources: Resources) -> TokenRouter:
    """Build it."""
    return TokenRouter(section)


class LoadBalancer(DatagramFilter):
    """Among the destinations that an earlier filter chose, or all backends."""

    def __init__(self, section: LoadBalancerSection, rng: random.Random) -> None:
        self._policy = make_balancer(section.policy, rng)
        self._members: Sequence[Backend] | None = None

    def read(self, datagram: Datagram) -> Drop | None:
        """Choose one, or drop when there is none."""
        backends = datagram.destinations or datagram.backends
        if not backends:
            return Drop.NO_BACKEND
        if datagram.backends is not self._members:
            self._members = datagram.backends
            self._policy.set_members(datagram.backends)
        host, port = datagram.client
        key = f"{host}:{port}".encode() if self._policy.needs_key else b""
        datagram.destinations = (self._policy.choose(backends, key, datagram.now),)
        return None


def make_load_balancer(section: LoadBalancerSection, resources: Resources) -> LoadBalancer:
    """Build it."""
    return LoadBalancer(section, resources.rng)
