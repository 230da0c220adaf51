"""The faster of two random backends, by a moving average of their latency that rises at once and falls slowly."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from netappliance.clusters.backend import LATENCY_DECAY_S, Backend
from netappliance.clusters.balancing.draw import Draw
from netappliance.clusters.balancing.policy import Policy

#: the first of the two, drawn by weight, stays unless it costs this many times the second: latencies never tie, and
#: without a margin their noise would decide instead of the weights
MARGIN = 2.0


class PeakEwma(Policy):
    """Cost = latency x (1 + connections for its weight); one without a measurement is cheap, so that it gets one."""

    def __init__(self, rng: random.Random) -> None:
        self._draw = Draw(rng)

    def weights_changed(self) -> None:
        """The draw goes by others."""
        self._draw.forget()

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Of two, the first, unless the second is clearly cheaper."""
        first, second = self._draw.two(backends)
        mean = ((first.weight or 1) + (second.weight or 1)) / 2
        return second if self._cost(second, mean, now) * MARGIN < self._cost(first, mean, now) else first

    @staticmethod
    def _cost(backend: Backend, mean: float, now: float) -> float:
        # an old measurement fades, or a backend that was slow once would never be tried again
        faded = backend.latency_s * math.exp(-max(0.0, now - backend.latency_at) / LATENCY_DECAY_S)
        return (faded + 1e-6) * (1.0 + backend.active * mean / (backend.weight or 1))
