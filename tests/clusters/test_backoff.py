"""How long a backend is left alone."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backoff import DOWN_AFTER, Backoff


def window(failures: int, seed: int) -> float:
    """Seconds that a backend is left alone after so many failures in a row."""
    backoff, rng, now = Backoff(), random.Random(seed), 0.0
    for _ in range(failures):
        now = backoff.until
        backoff.failed(now, rng)
    return backoff.until - now


class WindowTests(SynchronousTestCase):
    """Seconds by the number of failures."""

    def test_every_whole_second_up_to_the_window_is_drawn(self) -> None:
        """One after the first failure, 1 to 2**k - 1 after the k-th, never more than 63."""
        self.assertEqual({window(1, seed) for seed in range(20)}, {1.0})
        self.assertEqual({window(2, seed) for seed in range(100)}, {1.0, 2.0, 3.0})
        self.assertEqual({window(3, seed) for seed in range(300)}, {float(n) for n in range(1, 8)})
        for failures in (6, 7, 20):
            drawn = {window(failures, seed) for seed in range(1500)}
            self.assertEqual(drawn, {float(n) for n in range(1, 64)})

    def test_a_failure_at_the_end_of_the_window_counts(self) -> None:
        """One before it does not."""
        backoff, rng = Backoff(), random.Random(1)
        self.assertEqual((backoff.failures, backoff.until, backoff.down), (0, 0.0, False))
        backoff.failed(0.0, rng)
        self.assertFalse(backoff.failed(0.999, rng))
        self.assertEqual(backoff.failures, 1)
        backoff.failed(1.0, rng)
        self.assertEqual(backoff.failures, 2)

    def test_down_is_told_once_and_up_once(self) -> None:
        """At the sixth failure, and with the first success after it."""
        backoff, rng = Backoff(), random.Random(1)
        told = [backoff.failed(backoff.until, rng) for _ in range(9)]
        self.assertEqual(told, [False] * 5 + [True] + [False] * 3)
        self.assertEqual([backoff.succeeded(), backoff.succeeded()], [True, False])
        self.assertEqual((backoff.failures, backoff.until, backoff.down), (0, 0.0, False))
        for _ in range(5):
            backoff.failed(backoff.until, rng)
        self.assertFalse(backoff.down or backoff.succeeded())


class BackoffTests(SynchronousTestCase):
    """How long a backend is left alone."""

    def test_failures_within_the_window_count_once(self) -> None:
        """Fifty sessions that fail together are one outage."""
        backoff, rng = Backoff(), random.Random(1)
        for _ in range(50):
            backoff.failed(10.0, rng)
        self.assertEqual((backoff.failures, backoff.until), (1, 11.0))

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, 2**32), st.integers(1, 30))
    def test_the_window_grows_to_at_most_63_seconds(self, seed: int, count: int) -> None:
        """1 s, then 1 to 2**k - 1."""
        backoff, rng, now = Backoff(), random.Random(seed), 0.0
        for number in range(1, count + 1):
            went_down = backoff.failed(now, rng)
            self.assertEqual(went_down, number == DOWN_AFTER)
            wait = backoff.until - now
            self.assertTrue(1 <= wait <= 2 ** min(number, DOWN_AFTER) - 1, wait)
            now = backoff.until
        self.assertEqual(backoff.down, count >= DOWN_AFTER)
