"""
Balancing policies, one a file; all pure, all honouring weights.

A policy sees only backends of one tier that may be used now. ``rendezvous`` and ``maglev`` depend on the key and on
the backends' ids and weights alone, so every process and machine with the same configuration chooses alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from netappliance.clusters.balancing.least_connections import LeastConnections
from netappliance.clusters.balancing.maglev import Maglev
from netappliance.clusters.balancing.peak_ewma import PeakEwma
from netappliance.clusters.balancing.policy import Policy, ThirdPartyPolicy
from netappliance.clusters.balancing.power_of_two import PowerOfTwo
from netappliance.clusters.balancing.randomly import Randomly
from netappliance.clusters.balancing.rendezvous import Rendezvous
from netappliance.clusters.balancing.round_robin import RoundRobin
from netappliance.config.plugins import find, names
from netappliance.interfaces import IBalancerFactory

_OURS: dict[str, Callable[[random.Random], Policy]] = {
    "round_robin": lambda _: RoundRobin(),
    "random": Randomly,
    "least_connections": lambda _: LeastConnections(),
    "power_of_two": PowerOfTwo,
    "rendezvous": lambda _: Rendezvous(),
    "maglev": lambda _: Maglev(),
    "peak_ewma": PeakEwma,
}


def balancer_names() -> list[str]:
    """Return the policies that ``balance`` may name: ours first, then plug-ins'."""
    return [*_OURS, *(name for name in names(IBalancerFactory) if name not in _OURS)]


def make_balancer(name: str, rng: random.Random) -> Policy:
    """
    Build a policy.

    :raises ValueError: unknown name.
    """
    ours = _OURS.get(name)
    if ours is not None:
        return ours(rng)
    return ThirdPartyPolicy(name, find(IBalancerFactory, name).make(rng))
