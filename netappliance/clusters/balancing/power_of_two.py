"""The better of two random backends (Mitzenmacher's two choices)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy, weighted


def two(rng: random.Random, backends: Sequence[Backend]) -> tuple[Backend, Backend]:
    """Draw two different backends, each in proportion to the weights; the same one twice when there is only one."""
    first = weighted(rng, backends)
    if len(backends) == 1:
        return first, first
    return first, weighted(rng, [backend for backend in backends if backend is not first])


class PowerOfTwo(Policy):
    """Nearly as even as looking at all, and it does not herd."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Of two, the one with fewer connections for its weight; the first, which was drawn by weight, when equal."""
        first, second = two(self._rng, backends)
        if second.active * (first.weight or 1) < first.active * (second.weight or 1):
            return second
        return first
