"""Random in proportion to the weights."""

from __future__ import annotations

import random
from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.draw import Draw
from netappliance.clusters.balancing.policy import Policy


class Randomly(Policy):
    """No memory of what was chosen."""

    def __init__(self, rng: random.Random) -> None:
        self._draw = Draw(rng)

    def weights_changed(self) -> None:
        """The draw goes by others."""
        self._draw.forget()

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Draw."""
        return self._draw.one(backends)
