"""The backend with the fewest connections for its weight."""

from __future__ import annotations

from collections.abc import Sequence

from netappliance.clusters.backend import Backend


class LeastConnections:
    """Looks at all; ties go in turn, so that an idle cluster is used evenly."""

    needs_key = False

    def __init__(self) -> None:
        self._turn = 0

    def set_members(self, members: Sequence[Backend]) -> None:
        """Nothing to remember."""

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Compare (active + 1) / weight."""
        count = len(backends)
        self._turn += 1
        best = backends[self._turn % count]
        best_load = (best.active + 1) / (best.weight or 1)
        for offset in range(1, count):
            backend = backends[(self._turn + offset) % count]
            load = (backend.active + 1) / (backend.weight or 1)
            if load < best_load:
                best, best_load = backend, load
        return best
