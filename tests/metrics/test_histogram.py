"""Observations by upper bound, as Prometheus wants them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.metrics.histogram import SESSION_DURATION_BUCKETS, Histogram


class HistogramTests(SynchronousTestCase):
    """Three buckets and infinity."""

    def test_a_value_counts_at_its_bound_and_above(self) -> None:
        """Bounds are inclusive; what is larger than all of them is in +Inf alone."""
        histogram = Histogram((1.0, 2.5, 10.0))
        self.assertEqual((histogram.count, histogram.sum), (0, 0.0))
        for value in (0.0, 1.0, 1.0, 1.1, 2.5, 10.0, 10.5):
            histogram.observe(value)
        self.assertEqual(list(histogram.cumulative()), [("1.0", 3), ("2.5", 5), ("10.0", 6), ("+Inf", 7)])
        self.assertEqual((histogram.count, histogram.sum), (7, 26.1))

    def test_histograms_add_up(self) -> None:
        """Bucket by bucket; the other one stays."""
        one, other = Histogram((1.0,)), Histogram((1.0,))
        one.observe(0.5)
        other.observe(0.25)
        other.observe(3.0)
        one.add(other)
        self.assertEqual((list(one.cumulative()), one.sum), ([("1.0", 2), ("+Inf", 3)], 3.75))
        self.assertEqual((other.count, other.sum), (2, 3.25))

    def test_other_buckets_cannot_be_added(self) -> None:
        """The sum would mean nothing."""
        self.assertRaises(ValueError, Histogram((1.0,)).add, Histogram((1.0, 2.0)))

    def test_the_bounds_of_session_durations(self) -> None:
        """Dashboards ask for them by value: a second to an hour."""
        bounds = [bound for bound, _ in Histogram(SESSION_DURATION_BUCKETS).cumulative()]
        self.assertEqual(" ".join(bounds), "1.0 5.0 10.0 25.0 60.0 300.0 900.0 1800.0 3600.0 +Inf")
