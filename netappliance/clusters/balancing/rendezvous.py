"""Weighted rendezvous hashing (highest random weight, Thaler and Ravishankar 1998; logarithmic weights)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy, stable_hash

#: keys whose backend is remembered, for all members and for those that may be used now; when full, all are forgotten
#: (clients choose the keys)
REMEMBERED = 65536


class Rendezvous(Policy):
    """
    Every backend draws a lot for the key; the highest wins. One leaving moves only its own keys.

    Drawing costs a hash for each backend, so who wins among all members is remembered by key; only keys whose winner
    may not be used now are drawn for again.
    """

    needs_key: bool = True

    def __init__(self) -> None:
        self._members: tuple[Backend, ...] = ()
        self._winners: dict[bytes, Backend] = {}
        self._known: Sequence[Backend] = ()
        self._usable: frozenset[Backend] = frozenset()
        self._seconds: dict[bytes, Backend] = {}

    def set_members(self, members: Sequence[Backend]) -> None:
        """Forget who won."""
        self._members = tuple(members)
        self._winners.clear()
        self._known = ()

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Return the winner among these."""
        if backends is not self._known:
            self._known = backends
            self._usable = frozenset(backends)
            self._seconds.clear()
        winner = self._winners.get(key)
        if winner is None:
            winner = self._winners[key] = drawn(self._members or backends, key)
            if len(self._winners) > REMEMBERED:
                self._winners.clear()
        if winner in self._usable:
            return winner
        second = self._seconds.get(key)
        if second is None:
            second = self._seconds[key] = drawn(backends, key)
            if len(self._seconds) > REMEMBERED:
                self._seconds.clear()
        return second


def drawn(backends: Sequence[Backend], key: bytes) -> Backend:
    """Draw -weight / ln(u) for each with u from the hash of key and id; the highest wins."""
    best = backends[0]
    highest = -1.0
    for backend in backends:
        uniform = (stable_hash(key, backend.id.encode()) + 1) / (2**64 + 1)
        # u rounds to 1.0 for the very largest hashes, whose logarithm is 0
        score = (backend.full_weight or 1) / max(-math.log(uniform), 1e-18)
        if score > highest:
            best, highest = backend, score
    return best
