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

    def test_a_limit_is_needed(self) -> None:
        """Either will do."""
        error = self.assertRaises(ValueError, build, "kind = rate_limit")
        self.assertEqual(str(error), "max_packets: it or max_bytes must be above 0")
        build("kind = rate_limit\nmax_bytes = 1")
        build("kind = rate_limit\nmax_packets = 0.5")

    def test_a_bucket_holds_burst_periods(self) -> None:
        """And never less than one datagram; it fills by the rate, not by the burst."""
        filter_ = build("kind = rate_limit\nmax_packets = 2\nperiod = 10s\nburst = 3")
        self.assertEqual(self.passed(filter_, [0.0] * 20), 6)
        self.assertEqual(self.passed(filter_, [4.9] * 5), 0)
        self.assertEqual(self.passed(filter_, [5.0] * 5), 1)
        self.assertEqual(self.passed(filter_, [20.0] * 5), 3)
        self.assertEqual(self.passed(filter_, [1000.0] * 20), 6)
        slow = build("kind = rate_limit\nmax_packets = 1\nperiod = 1h\nburst = 0.01")
        self.assertEqual(self.passed(slow, [0.0, 3599.0, 3600.0, 3601.0]), 2)

    def test_bytes_come_back_at_their_rate(self) -> None:
        """A datagram passes that takes the very last byte; an empty one always."""
        filter_ = build("kind = rate_limit\nmax_bytes = 100\nperiod = 10s\nburst = 2")
        self.assertEqual(self.passed(filter_, [0.0] * 5, size=100), 2)
        self.assertEqual(self.passed(filter_, [0.0], size=1), 0)
        self.assertEqual(self.passed(filter_, [0.0], size=0), 1)
        self.assertEqual(self.passed(filter_, [0.9], size=10), 0)
        self.assertEqual(self.passed(filter_, [1.0], size=10), 1)
        # one that never fits takes a full bucket, and its debt is paid before the next
        self.assertEqual(self.passed(filter_, [100.0, 100.0], size=250), 1)
        self.assertEqual(self.passed(filter_, [104.9], size=1), 0)
        self.assertEqual(self.passed(filter_, [105.2], size=1), 1)

    def test_what_is_dropped_takes_nothing(self) -> None:
        """Of neither limit; the limit that is not set limits nothing."""
        filter_ = build("kind = rate_limit\nmax_packets = 2\nmax_bytes = 10")
        self.assertEqual(self.passed(filter_, [0.0], size=8), 1)
        self.assertEqual(self.passed(filter_, [0.0] * 5, size=8), 0)
        self.assertEqual(self.passed(filter_, [0.0] * 5, size=2), 1)
        packets = build("kind = rate_limit\nmax_packets = 2")
        self.assertEqual(self.passed(packets, [0.0] * 3, size=60000), 2)
        octets = build("kind = rate_limit\nmax_bytes = 100")
        self.assertEqual(self.passed(octets, [0.0] * 200, size=1), 100)

    def test_a_clock_that_goes_back_takes_nothing_away(self) -> None:
        """And gives nothing twice."""
        filter_ = build("kind = rate_limit\nmax_packets = 2")
        self.assertEqual(self.passed(filter_, [10.0, 9.0, 9.0]), 2)

    def test_which_addresses_share_a_bucket(self) -> None:
        """By prefix of either family; scopes do not count."""
        for options, first, second, shared in (
            ("prefix_v4 = 32", "192.0.2.1", "192.0.2.2", False),
            ("prefix_v4 = 31", "192.0.2.2", "192.0.2.3", True),
            ("prefix_v4 = 31", "192.0.2.1", "192.0.2.2", False),
            ("prefix_v4 = 0", "192.0.2.1", "10.0.0.1", True),
            ("prefix_v6 = 32", "2001:db8:1::1", "2001:db8:2::1", True),
            ("prefix_v6 = 64", "2001:db8:1::1", "2001:db8:1:1::1", False),
            ("prefix_v6 = 128", "2001:db8::1", "2001:db8::2", False),
            ("prefix_v6 = 64", "fe80::1%eth0", "fe80::2%eth1", True),
        ):
            filter_ = build(f"kind = rate_limit\nmax_packets = 1\n{options}")
            self.assertEqual(self.passed(filter_, [0.0], first), 1)
            self.assertEqual(self.passed(filter_, [0.0], second), 0 if shared else 1, (options, first, second))

    def test_the_bucket_that_was_used_last_stays(self) -> None:
        """The one that was not used for longest makes room, and comes back full."""
        filter_ = build("kind = rate_limit\nmax_packets = 1\nmax_clients = 2")
        for host, passed in (("a1", 1), ("a2", 1), ("a1", 0), ("a3", 1), ("a1", 0), ("a2", 1), ("a1", 0), ("a3", 1)):
            self.assertEqual(self.passed(filter_, [0.0], host.replace("a", "192.0.2.")), passed, host)
        self.assertEqual(len(filter_.buckets), 2)
