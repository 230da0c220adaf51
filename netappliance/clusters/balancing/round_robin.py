"""Smooth weighted round robin: in turn, the heavier more often but not in bursts."""

from __future__ import annotations

from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy


class RoundRobin(Policy):
    """Each turn every backend gains its weight; the richest is chosen and pays the sum."""

    def __init__(self) -> None:
        self._turn = 0
        self._credit: dict[str, int] = {}
        self._equal = True
        self._members: tuple[Backend, ...] = ()

    def set_members(self, members: Sequence[Backend]) -> None:
        """Start over with equal credit."""
        self._members = tuple(members)
        self.weights_changed()

    def weights_changed(self) -> None:
        """Start over too: credit is counted in weights."""
        members = self._members
        self._credit = dict.fromkeys((backend.id for backend in members), 0)
        self._equal = len({backend.weight for backend in members}) <= 1

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Take the next in turn."""
        if self._equal:
            self._turn += 1
            return backends[self._turn % len(backends)]
        credit = self._credit
        total = 0
        best = backends[0]
        richest: int | None = None
        for backend in backends:
            weight = backend.weight or 1
            total += weight
            have = credit[backend.id] = credit.get(backend.id, 0) + weight
            if richest is None or have > richest:
                best, richest = backend, have
        credit[best.id] -= total
        return best
