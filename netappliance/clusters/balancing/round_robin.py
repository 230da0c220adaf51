"""Weighted round robin: in turn, the heavier more often but not in bursts."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy

#: fraction of its first turn at which each further member begins, so that those of one weight do not come together:
#: the golden ratio, whose multiples are the most evenly spread
_PHASE = 0.6180339887498949


class RoundRobin(Policy):
    """
    Turns as deadlines: who is chosen is due again after 1 / weight. The earliest one is next, found in a heap, so that
    a thousand backends cost hardly more than two. Equal weights need no heap.
    """

    def __init__(self) -> None:
        self._turn = 0
        self._equal = True
        self._members: tuple[Backend, ...] = ()
        self._known: Sequence[Backend] = ()
        #: (when it is due, its place in ``_known``)
        self._heap: list[tuple[float, int]] = []
        self._due: dict[Backend, float] = {}
        self._now = 0.0

    def set_members(self, members: Sequence[Backend]) -> None:
        """Start over."""
        self._members = tuple(members)
        self.weights_changed()

    def weights_changed(self) -> None:
        """Start over too: turns are as long as weights say."""
        self._equal = len({backend.weight for backend in self._members}) <= 1
        self._known = ()
        self._due = {}
        self._now = 0.0

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Take the next in turn."""
        if self._equal:
            self._turn += 1
            return backends[self._turn % len(backends)]
        if backends is not self._known:
            self._take_up(backends)
        heap = self._heap
        self._now, place = heap[0]
        chosen = backends[place]
        due = self._due[chosen] = self._now + 1.0 / (chosen.weight or 1)
        heapreplace(heap, (due, place))
        return chosen

    def _take_up(self, backends: Sequence[Backend]) -> None:
        """Others may be used now: each goes on with its turn; who was away for long has not saved any up."""
        due, now = self._due, self._now
        self._known = backends
        heap = []
        for place, backend in enumerate(backends):
            at = due.get(backend, -1.0)
            if at < now:
                at = due[backend] = now + (1.0 + len(due)) * _PHASE % 1.0 / (backend.weight or 1)
            heap.append((at, place))
        heapify(heap)
        self._heap = heap
