"""Exponential back-off with jitter for a backend whose connections fail (behaviour of Sōzu's retry policy). Pure."""

from __future__ import annotations

import random

#: consecutive failures after which a backend counts as down
DOWN_AFTER = 6


class Backoff:
    """
    How long a backend is left alone.

    After the first failure one second; after k failures a random whole number of seconds from 1 to 2**k - 1, k at
    most 6. A failure within the window belongs to the same outage and is ignored; one success forgets all.
    """

    __slots__ = ("failures", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0

    @property
    def down(self) -> bool:
        """True after six failures in a row."""
        return self.failures >= DOWN_AFTER

    def failed(self, now: float, rng: random.Random) -> bool:
        """Book a failure at ``now``; True when the backend has just gone down."""
        if now < self.until:
            return False
        self.failures = min(self.failures + 1, DOWN_AFTER + 1)
        power = min(self.failures, DOWN_AFTER)
        self.until = now + (1 if power == 1 else rng.randint(1, 2**power - 1))
        return self.failures == DOWN_AFTER

    def succeeded(self) -> bool:
        """Book a success; True when the backend was down."""
        was_down = self.down
        self.failures = 0
        self.until = 0.0
        return was_down
