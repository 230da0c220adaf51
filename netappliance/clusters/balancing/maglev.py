"""Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): one table look-up for each key."""

from __future__ import annotations

from collections.abc import Sequence

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy, stable_hash

#: slots that are filled in one turn of the data plane while a new table is made
SLICE = 2048
#: slots; a prime, "at least 100 times the number of backends" for an even spread
SIZE = 65537


class Maglev(Policy):
    """
    A table of the configured members, so that every process has the same one.

    A member that cannot be used now keeps its slots; keys that fall on one walk on to the next usable slot, so they
    alone move. When members change, the new table is filled in slices as keys come, and the old one serves meanwhile.
    """

    needs_key: bool = True

    def __init__(self) -> None:
        self._table: list[Backend] = []
        self._filling: Filling | None = None
        self._filled_at = 0.0
        self._known: Sequence[Backend] = ()
        self._usable: frozenset[Backend] = frozenset()

    def set_members(self, members: Sequence[Backend]) -> None:
        """Begin a table of these."""
        self._filling = Filling(members) if members else None
        if not members:
            self._table = []

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Look up, and walk on where the slot's backend may not be used."""
        if self._filling is not None or not self._table:
            self._fill(backends, now)
        if backends is not self._known:
            self._known = backends
            self._usable = frozenset(backends)
        table, usable = self._table, self._usable
        slot = stable_hash(key) % SIZE
        chosen = table[slot]
        if chosen in usable:
            return chosen
        # a hash of its own for each step: neighbours of a slot are not independent of it
        for step in range(1, 64):
            chosen = table[stable_hash(key, step.to_bytes(1, "big")) % SIZE]
            if chosen in usable:
                return chosen
        return backends[slot % len(backends)]

    def _fill(self, backends: Sequence[Backend], now: float) -> None:
        """Go on with the new table, once a turn; at once where there is no other to go on with."""
        filling = self._filling
        if filling is None:
            filling = self._filling = Filling(backends)
        if not self._table:
            self._table = filling.table()
        elif now != self._filled_at:
            self._filled_at = now
            if filling.go_on(SLICE):
                return
            self._table = filling.table()
        else:
            return
        self._filling = None


class Filling:
    """Fills the slots: members take turns, in proportion to their weights, each along a permutation of its own."""

    def __init__(self, members: Sequence[Backend]) -> None:
        """Begin. :param members: one at least."""
        ordered = sorted((backend for backend in members if backend.full_weight), key=lambda backend: backend.id)
        self._ordered = ordered or sorted(members, key=lambda backend: backend.id)
        heaviest = max(backend.full_weight for backend in self._ordered) or 1
        self._shares = [(backend.full_weight or heaviest) / heaviest for backend in self._ordered]
        self._positions = [stable_hash(backend.id.encode(), b"offset") % SIZE for backend in self._ordered]
        self._skips = [stable_hash(backend.id.encode(), b"skip") % (SIZE - 1) + 1 for backend in self._ordered]
        self._purse = [0.0] * len(self._ordered)
        self._next = 0
        self._owner = [-1] * SIZE
        self._free = SIZE

    def table(self) -> list[Backend]:
        """Fill what is left, and return the table."""
        self.go_on(self._free)
        return [self._ordered[index] for index in self._owner]

    def go_on(self, slots: int) -> bool:
        """Fill up to so many slots; False when none is left."""
        shares, purse, positions, skips, owner = self._shares, self._purse, self._positions, self._skips, self._owner
        count, index = len(shares), self._next
        left = min(slots, self._free)
        self._free -= left
        while left:
            purse[index] += shares[index]
            if purse[index] >= 1.0:
                purse[index] -= 1.0
                position, skip = positions[index], skips[index]
                while owner[position] >= 0:
                    position += skip
                    if position >= SIZE:
                        position -= SIZE
                owner[position] = index
                positions[index] = position
                left -= 1
            index += 1
            if index == count:
                index = 0
        self._next = index
        return self._free > 0
