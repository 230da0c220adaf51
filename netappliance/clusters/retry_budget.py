"""How many retries a cluster is given, so that failures do not multiply its load (as Finagle's and Envoy's). Pure."""

from __future__ import annotations

from typing import Final

#: seconds of the past that count
WINDOW_S: Final = 10.0
#: seconds between two looks at the number of requests; between them it is taken for even
STEP_S: Final = 1.0


class RetryBudget:
    """
    Allows as many retries as are a share of the requests of the last :data:`WINDOW_S` seconds, and a few more.

    Nobody tells it of each request: it is shown a counter now and then, and remembers what it was.

    :param percent: retries for each hundred requests. :param minimum: a second, besides.
    :ivar taken_total: retries allowed. :ivar exceeded_total: retries refused.
    """

    __slots__ = ("_looks", "exceeded_total", "minimum", "percent", "taken_total")

    def __init__(self, percent: int, minimum: int) -> None:
        self.percent = percent
        self.minimum = minimum
        self.taken_total = 0
        self.exceeded_total = 0
        #: (monotonic seconds, attempts begun, retries among them), the oldest first; one at least as old as the window
        self._looks: list[tuple[float, int, int]] = []

    def look(self, begun: int, now: float) -> None:
        """Remember the counter: ``begun`` attempts so far, retries included."""
        looks = self._looks
        if not looks:
            looks.append((now, 0, 0))
        elif now - looks[-1][0] >= STEP_S:
            looks.append((now, begun, self.taken_total))
        while len(looks) > 1 and looks[1][0] <= now - WINDOW_S:
            del looks[0]

    def take(self, begun: int, now: float) -> bool:
        """Ask for one retry; False when the budget is spent. ``begun`` as for :meth:`look`."""
        self.look(begun, now)
        begun_then, taken_then = self._at(now - WINDOW_S)
        retries = self.taken_total - taken_then
        requests = begun - begun_then - retries
        if retries + 1 > requests * self.percent / 100 + self.minimum * WINDOW_S:
            self.exceeded_total += 1
            return False
        self.taken_total += 1
        return True

    def _at(self, then: float) -> tuple[float, float]:
        """Return what both counters were at a time: between two looks they grew evenly."""
        before = self._looks[0]
        if then <= before[0]:
            return before[1], before[2]
        # there is one: the last look was less than a step ago
        after = self._looks[1]
        part = (then - before[0]) / (after[0] - before[0])
        return before[1] + (after[1] - before[1]) * part, before[2] + (after[2] - before[2]) * part
