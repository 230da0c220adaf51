"""The backend with the fewest connections for its weight."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import Policy

#: its load, when its turn is among those of this load, a number that tells equal ones apart, and who it is
Entry = tuple[float, float, int, Backend]


class LeastConnections(Policy):
    """
    Keeps the backends in the order of active / weight, correctly rounded, so that equal loads tie exactly; ties go in
    weighted turn.

    Short sessions leave every backend idle most of the time: were ties not weighted, or were the coming connection
    counted in, the heaviest would take them all. The order is a heap in which a backend whose load changed stands once
    more, at its new place; what it had before is thrown away when it comes up.
    """

    counts: bool = True

    def __init__(self) -> None:
        self._known: Sequence[Backend] = ()
        self._heap: list[Entry] = []
        #: backend -> its one valid entry's number
        self._valid: dict[Backend, int] = {}
        self._turns: dict[Backend, float] = {}
        self._serial = 0
        self._turn = 0.0

    def weights_changed(self) -> None:
        """Turns start over."""
        self._known = ()
        self._valid = {}
        self._turns = {}
        self._turn = 0.0

    def set_members(self, members: Sequence[Backend]) -> None:
        """Turns start over."""
        self.weights_changed()

    def loaded(self, backend: Backend) -> None:
        """Give it its new place."""
        if backend in self._valid:
            self._place(backend, self._turns[backend])

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Take the least loaded, or the next in turn of several."""
        if len(backends) == 1:
            return backends[0]
        heap = self._heap
        if backends is not self._known or len(heap) > 8 * len(backends) + 64:
            heap = self._take_up(backends)
        valid = self._valid
        _, turn, serial, chosen = heap[0]
        while valid[chosen] != serial:
            heappop(heap)
            _, turn, serial, chosen = heap[0]
        heappop(heap)
        if turn > self._turn:
            self._turn = turn
        turn = self._turns[chosen] = self._turn + 1.0 / (chosen.weight or 1)
        self._place(chosen, turn)
        return chosen

    def _place(self, backend: Backend, turn: float) -> None:
        serial = self._serial = self._serial + 1
        self._valid[backend] = serial
        heappush(self._heap, (backend.active / (backend.weight or 1), turn, serial, backend))

    def _take_up(self, backends: Sequence[Backend]) -> list[Entry]:
        """Others may be used now, or too much has piled up: make the order anew; turns go on."""
        before, now = self._turns, self._turn
        self._known = backends
        self._turns = turns = {}
        self._valid = valid = {}
        heap: list[Entry] = []
        for serial, backend in enumerate(backends):
            weight = backend.weight or 1
            turn = turns[backend] = max(before.get(backend, now + 1.0 / weight), now)
            valid[backend] = serial
            heap.append((backend.active / weight, turn, serial, backend))
        heapify(heap)
        self._heap = heap
        self._serial = len(heap)
        return heap
