"""The backend with the fewest connections for its weight."""

from __future__ import annotations

from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy
from netappliance.clusters.balancing.round_robin import RoundRobin


class LeastConnections(Policy):
    """
    Looks at all and compares active / weight; ties go in weighted turn.

    Short sessions leave every backend idle most of the time: were ties not weighted, or were the coming connection
    counted in, the heaviest would take them all.
    """

    def __init__(self) -> None:
        self._ties = RoundRobin()

    def set_members(self, members: Sequence[Backend]) -> None:
        """Turns start over."""
        self._ties.set_members(members)

    def weights_changed(self) -> None:
        """Turns start over."""
        self._ties.weights_changed()

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Take the least loaded, or the next in turn of several."""
        best = backends[0]
        active, weight = best.active, best.weight or 1
        tied = [best]
        for backend in backends[1:]:
            # cross-multiplied: whole numbers tie exactly
            mine, theirs = backend.active * weight, active * (backend.weight or 1)
            if mine < theirs:
                active, weight = backend.active, backend.weight or 1
                tied = [backend]
            elif mine == theirs:
                tied.append(backend)
        return tied[0] if len(tied) == 1 else self._ties.choose(tied, key, now)
