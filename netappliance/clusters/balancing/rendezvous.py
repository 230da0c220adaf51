"""Weighted rendezvous hashing (highest random weight, Thaler and Ravishankar 1998; logarithmic weights)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy, stable_hash


class Rendezvous(Policy):
    """Every backend draws a lot for the key; the highest wins. One leaving moves only its own keys."""

    needs_key: bool = True

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Draw -weight / ln(u) for each with u from the hash of key and id."""
        best = backends[0]
        highest = -1.0
        for backend in backends:
            uniform = (stable_hash(key, backend.id.encode()) + 1) / (2**64 + 1)
            # u rounds to 1.0 for the very largest hashes, whose logarithm is 0
            score = (backend.full_weight or 1) / max(-math.log(uniform), 1e-18)
            if score > highest:
                best, highest = backend, score
        return best
