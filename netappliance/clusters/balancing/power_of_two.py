"""The better of two random backends (Mitzenmacher's two choices)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.draw import Draw
from netappliance.clusters.balancing.policy import Policy


class PowerOfTwo(Policy):
    """Nearly as even as looking at all, and it does not herd."""

    def __init__(self, rng: random.Random) -> None:
        self._draw = Draw(rng)

    def weights_changed(self) -> None:
        """The draw goes by others."""
        self._draw.forget()

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Of two, the one with fewer connections for its weight; the first, which was drawn by weight, when equal."""
        first, second = self._draw.two(backends)
        if second.active * (first.weight or 1) < first.active * (second.weight or 1):
            return second
        return first
