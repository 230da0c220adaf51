"""Whether a backend counts as well, from what its checks found; and when the next one is due. Pure."""

from __future__ import annotations

import random

#: part of the interval by which checks are moved at random, so that processes do not ask in step
JITTER = 0.1
#: seconds within which the first checks after a start are spread
FIRST_WITHIN_S = 1.0


class HealthState:
    """
    Counts checks in a row.

    A backend is well until ``fall`` checks in a row failed, then ill until ``rise`` in a row passed. One that is being
    checked is neither, until it is the one or the other.

    :ivar healthy: the state. :ivar checking: there is none yet. :ivar streak: checks in a row that spoke against the
        state, or, while there is none, that said the same.
    """

    __slots__ = ("checking", "fall", "healthy", "rise", "said", "streak")

    def __init__(self, rise: int, fall: int, *, healthy: bool = True, checking: bool = False) -> None:
        self.rise = rise
        self.fall = fall
        self.healthy = healthy
        self.checking = checking
        self.said = False
        self.streak = 0

    def observe(self, *, passed: bool) -> bool:
        """Take in the result of a check; True when the state changed."""
        if self.checking:
            if passed != self.said:
                self.streak = 0
            self.said = passed
        elif passed == self.healthy:
            self.streak = 0
            return False
        self.streak += 1
        if self.streak < (self.rise if passed else self.fall):
            return False
        self.streak = 0
        self.healthy = passed
        self.checking = False
        return True


def first_delay(interval_s: float, rng: random.Random) -> float:
    """Return the seconds until the first check of a backend."""
    return rng.random() * min(interval_s, FIRST_WITHIN_S)


def next_delay(interval_s: float, rng: random.Random, *, checking: bool = False) -> float:
    """Return the seconds from the end of a check to the next; backends without a state yet are asked more often."""
    if checking:
        interval_s = min(interval_s, FIRST_WITHIN_S)
    return interval_s * (1.0 - JITTER + 2.0 * JITTER * rng.random())
