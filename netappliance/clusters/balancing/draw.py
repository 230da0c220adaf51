"""Drawing at random in proportion to weights, at a cost that does not grow with the number of backends."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from netappliance.clusters.backend import Backend

#: draws for a second backend before the others are looked at one by one: one of them has nearly all the weight
_DRAWS: Final = 8


class Draw:
    """Draws from the backends that may be used; their sums are made when these are others, or their weights change."""

    __slots__ = ("_equal", "_known", "_rng", "_sums")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._known: Sequence[Backend] = ()
        self._sums: list[int] = []
        self._equal = False

    def forget(self) -> None:
        """The weights have changed."""
        self._known = ()

    def one(self, backends: Sequence[Backend]) -> Backend:
        """Draw one; each as likely as the others where none has a weight."""
        if backends is not self._known:
            self._known = backends
            weights = [backend.weight for backend in backends]
            self._equal = len(set(weights)) == 1
            self._sums = list(accumulate(weights))
        drawn = self._rng.random()
        place = int(drawn * len(backends)) if self._equal else bisect_right(self._sums, drawn * self._sums[-1])
        return backends[place if place < len(backends) else -1]

    def two(self, backends: Sequence[Backend]) -> tuple[Backend, Backend]:
        """Draw two different ones, the second among the others; the same one twice when there is only one."""
        first = self.one(backends)
        if len(backends) == 1:
            return first, first
        for _ in range(_DRAWS):
            second = self.one(backends)
            if second is not first:
                return first, second
        others = [backend for backend in backends if backend is not first]
        return first, Draw(self._rng).one(others)
