"""Random in proportion to the weights."""

from __future__ import annotations

import random
from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy, weighted


class Randomly(Policy):
    """No memory at all."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Draw."""
        return weighted(self._rng, backends)
