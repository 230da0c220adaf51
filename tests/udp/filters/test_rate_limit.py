"""Token buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.udp.filters.support import build, datagram


class RateLimitTests(SynchronousTestCase):
    """Token buckets."""

    def passed(self, filter_: Any, times: Sequence[float], source: str = "192.0.2.1", size: int = 10) -> int:
        """How many of the datagrams at these times pass."""
        count = 0
        for now in times:
            given_ = datagram(b"x" * size, (source, 1))
            given_.now = now
            count += filter_.read(given_) is None
        return count

    def test_the_rate_holds_over_time_without_doubling_at_window_ends(self) -> None:
        """10 a second: 10 at once, then one each 100 ms; a fixed window would let 20 pass around its end."""
        filter_ = build("kind = rate_limit\nmax_packets = 10")
        self.assertEqual(self.passed(filter_, [0.95] * 30), 10)
        self.assertEqual(self.passed(filter_, [1.05] * 30), 1)
        self.assertEqual(self.passed(filter_, [10.0] * 30), 10)

    def test_bytes_are_limited_too(self) -> None:
        """And a datagram larger than the bucket passes when the bucket is full."""
        filter_ = build("kind = rate_limit\nmax_bytes = 1000")
        self.assertEqual(self.passed(filter_, [0.0] * 20, size=300), 3)
        self.assertEqual(self.passed(filter_, [10.0] * 3, size=5000), 1)

    def test_networks_share_buckets_by_prefix(self) -> None:
        """IPv6 by /64 unless told otherwise."""
        filter_ = build("kind = rate_limit\nmax_packets = 1\nprefix_v4 = 24")
        self.assertEqual(self.passed(filter_, [0.0], "192.0.2.1"), 1)
        self.assertEqual(self.passed(filter_, [0.0], "192.0.2.2"), 0)
        self.assertEqual(self.passed(filter_, [0.0], "2001:db8::1"), 1)
        self.assertEqual(self.passed(filter_, [0.0], "2001:db8::ffff"), 0)

    def test_state_is_bounded(self) -> None:
        """A flood of addresses costs max_clients buckets."""
        filter_ = build("kind = rate_limit\nmax_packets = 1\nmax_clients = 100")
        for number in range(5000):
            self.passed(filter_, [0.0], f"10.{number // 250}.{number % 250}.1")
        self.assertEqual(len(filter_.buckets), 100)

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.floats(0, 3), min_size=1, max_size=80), st.integers(1, 8))
    def test_no_more_than_burst_plus_rate_passes_in_any_time(self, gaps: list[float], rate: int) -> None:
        """The definition of a token bucket."""
        filter_ = build(f"kind = rate_limit\nmax_packets = {rate}")
        now, times = 0.0, []
        for gap in gaps:
            now += gap
            times.append(now)
        self.assertLessEqual(self.passed(filter_, times), rate + rate * (times[-1] - times[0]) + 1e-6)
