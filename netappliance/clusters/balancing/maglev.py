"""Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): one table look-up for each key."""

from __future__ import annotations

from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy, stable_hash

#: slots; a prime, "at least 100 times the number of backends" for an even spread
SIZE = 65537


class Maglev(Policy):
    """
    A table of the configured members, so that every process has the same one.

    A member that cannot be used now keeps its slots; keys that fall on one walk on to the next usable slot, so they
    alone move.
    """

    needs_key: bool = True

    def __init__(self) -> None:
        self._members: tuple[Backend, ...] = ()
        self._table: list[Backend] = []

    def set_members(self, members: Sequence[Backend]) -> None:
        """Forget the table; it is built when the next key comes."""
        self._members = tuple(members)
        self._table = []

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Look up, and walk on where the slot's backend may not be used."""
        if not self._table:
            self._table = build(self._members or tuple(backends))
        table = self._table
        slot = stable_hash(key) % SIZE
        chosen = table[slot]
        if chosen in backends:
            return chosen
        # a hash of its own for each step: neighbours of a slot are not independent of it
        for step in range(1, 64):
            chosen = table[stable_hash(key, step.to_bytes(1, "big")) % SIZE]
            if chosen in backends:
                return chosen
        return backends[slot % len(backends)]


def build(members: Sequence[Backend]) -> list[Backend]:
    """Fill the slots: members take turns, in proportion to their weights, each along a permutation of its own."""
    ordered = sorted((backend for backend in members if backend.full_weight), key=lambda backend: backend.id)
    ordered = ordered or sorted(members, key=lambda backend: backend.id)
    heaviest = max(backend.full_weight for backend in ordered) or 1
    shares = [(backend.full_weight or heaviest) / heaviest for backend in ordered]
    positions = [stable_hash(backend.id.encode(), b"offset") % SIZE for backend in ordered]
    skips = [stable_hash(backend.id.encode(), b"skip") % (SIZE - 1) + 1 for backend in ordered]
    purse = [0.0] * len(ordered)
    owner = [-1] * SIZE
    free = SIZE
    while True:
        for index, share in enumerate(shares):
            purse[index] += share
            if purse[index] < 1.0:
                continue
            purse[index] -= 1.0
            position, skip = positions[index], skips[index]
            while owner[position] >= 0:
                position += skip
                if position >= SIZE:
                    position -= SIZE
            owner[position] = index
            positions[index] = position
            free -= 1
            if not free:
                return [ordered[index] for index in owner]
