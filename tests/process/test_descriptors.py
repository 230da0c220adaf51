"""How the limits are fitted to the descriptors there are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.process.descriptors import RESERVE, plan


class PlanTests(SynchronousTestCase):
    """Pure arithmetic."""

    def test_enough_descriptors_leave_the_limits_alone(self) -> None:
        """Two for each connection, one for each place in a queue."""
        fitted = plan(30_000, 10_000, 1024, 1)
        self.assertEqual((fitted.enough, fitted.max_connections, fitted.accept_queue_size), (True, 10_000, 1024))
        self.assertEqual(fitted.needed, 20_000 + 1024 + RESERVE + 1)

    @settings(deadline=None)
    @given(
        st.integers(0, 200_000),
        st.integers(1, 100_000),
        st.integers(1, 5000),
        st.integers(1, 20),
        st.integers(0, 50_000),
    )
    def test_lowered_limits_fit_and_are_never_zero(
        self, available: int, connections: int, queue: int, listeners: int, other: int
    ) -> None:
        """Whatever the host gives."""
        fitted = plan(available, connections, queue, listeners, other)
        self.assertTrue(1 <= fitted.max_connections <= connections)
        self.assertTrue(1 <= fitted.accept_queue_size <= queue)
        if not fitted.enough and available > 4 * (RESERVE + listeners) and fitted.max_connections > 1:
            used = 2 * fitted.max_connections + listeners * fitted.accept_queue_size + RESERVE + listeners
            self.assertLessEqual(used, available)
