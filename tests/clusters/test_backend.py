"""One backend: when it is full or down, and how its latency is remembered."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.clusters.state import BackendState


def backend(**options: object) -> Backend:
    """One with these options."""
    return Backend(BackendSection("a", "192.0.2.1", 80, **options), 2, ("192.0.2.1", 80), "a")  # type: ignore[arg-type]


class BackendTests(SynchronousTestCase):
    """State and its consequences."""

    def test_a_new_one_is_well_and_idle(self) -> None:
        """Nothing is counted yet."""
        made = backend()
        self.assertEqual((made.active, made.connections_total, made.failures_total), (0, 0, 0))
        self.assertEqual((made.checks_passed_total, made.checks_failed_total, made.latency_s), (0, 0, 0.0))
        self.assertEqual(
            (made.healthy, made.draining, made.state(0.0), made.full), (True, False, BackendState.UP, False)
        )
        self.assertEqual((made.weight, made.backup, made.max_connections, made.tokens), (100, False, 0, ()))

    def test_full_is_at_the_limit(self) -> None:
        """Without a limit never."""
        limited, free = backend(max_connections=2), backend()
        for active, full in ((0, False), (1, False), (2, True), (3, True)):
            limited.active = free.active = active
            self.assertEqual((limited.full, free.full), (full, False))

    def test_of_several_states_the_gravest_counts(self) -> None:
        """From the last one to the first."""
        made = backend(max_connections=1)
        self.assertIs(made.state(0.0), BackendState.UP)
        made.active = 1
        self.assertIs(made.state(0.0), BackendState.FULL)
        made.backoff.until = 5.0
        self.assertEqual((made.state(4.9), made.state(5.0)), (BackendState.EJECTED, BackendState.FULL))
        made.probation = True
        self.assertIs(made.state(5.0), BackendState.EJECTED)
        made.backoff.failures = 5
        self.assertIs(made.state(5.0), BackendState.EJECTED)
        made.backoff.failures = 6
        self.assertIs(made.state(5.0), BackendState.DOWN)
        made.backoff.failures = 0
        made.healthy = False
        self.assertIs(made.state(5.0), BackendState.DOWN)
        made.checking = True
        self.assertIs(made.state(5.0), BackendState.CHECKING)
        made.draining = True
        self.assertIs(made.state(5.0), BackendState.DRAINING)

    def test_a_worse_latency_counts_at_once_and_a_better_one_bit_by_bit(self) -> None:
        """After ten seconds an old one counts for 1/e."""
        made = backend()
        made.observe_latency(0.5, 100.0)
        self.assertEqual((made.latency_s, made.latency_at), (0.5, 100.0))
        made.observe_latency(0.1, 110.0)
        self.assertAlmostEqual(made.latency_s, 0.1 + 0.4 / math.e)
        made.observe_latency(0.3, 110.0)
        self.assertEqual(made.latency_s, 0.3)
        made.observe_latency(0.0, 110.0)
        self.assertEqual(made.latency_s, 0.3)
        made.observe_latency(0.0, 130.0)
        self.assertAlmostEqual(made.latency_s, 0.3 * math.exp(-2))
