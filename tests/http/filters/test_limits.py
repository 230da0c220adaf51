"""Rates and concurrency of client networks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.filters.chain import RequestChain
from netappliance.http.filters.limits import Buckets
from tests.http.filters.support import build, exchange


class RateTests(SynchronousTestCase):
    """kind = request_rate_limit."""

    def test_more_than_the_rate_is_told_when_to_come_again(self) -> None:
        """And may, then."""
        made = build("kind = request_rate_limit\nrequests = 2\nperiod = 10s")
        self.assertEqual([made.request(exchange()) for _ in range(2)], [None, None])
        answer = made.request(exchange())
        self.assertEqual((answer.status, answer.lines), (429, [b"Retry-After: 5"]))
        self.assertEqual(made.request(exchange(now=103.5)).lines, [b"Retry-After: 2"])
        self.assertIsNone(made.request(exchange(now=105.0)))
        self.assertIsNotNone(made.request(exchange(now=105.0)))
        self.assertEqual(made.figures(), {"limited": 3, "evicted": 0})

    def test_networks_have_buckets_of_their_own(self) -> None:
        """A /32 and a /64 unless said otherwise."""
        made = build("kind = request_rate_limit\nrequests = 1")
        passed = [
            made.request(exchange(client=client)) is None
            for client in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "")
        ]
        self.assertEqual(passed, [True, True, False, True, False, True, True])

    def test_the_table_is_bounded(self) -> None:
        """The least recently used goes, and one that is over its limit counts as used."""
        made = build("kind = request_rate_limit\nrequests = 1\nperiod = 1h\nmax_clients = 3")
        self.assertIsNone(made.request(exchange(client="10.0.0.1")))
        for number in range(2, 40):
            self.assertIsNotNone(made.request(exchange(client="10.0.0.1")), number)
            self.assertIsNone(made.request(exchange(client=f"10.0.1.{number}")))
        self.assertEqual(len(made.buckets.buckets), 3)
        self.assertEqual(made.figures()["evicted"], 36)

    def test_a_burst_is_as_long_as_configured(self) -> None:
        """And at least one request."""
        for options, most in (("requests = 2\nburst = 3", 6), ("requests = 0.5", 1)):
            made = build(f"kind = request_rate_limit\n{options}")
            self.assertEqual(sum(made.request(exchange()) is None for _ in range(20)), most)

    @given(
        st.floats(0.1, 50),
        st.floats(1, 20),
        st.lists(st.floats(0, 5, allow_subnormal=False), max_size=80),
    )
    @settings(deadline=None, max_examples=200)
    def test_no_more_passes_than_the_bucket_and_the_rate(self, rate: float, most: float, steps: list[float]) -> None:
        """Over any time from the first request on; and the wait that is told is enough."""
        buckets, now, passed = Buckets(rate, most, 10), 0.0, 0
        for step in steps:
            now += step
            wait = buckets.take("a", now)
            passed += not wait
            self.assertLessEqual(passed, most + rate * now + 1e-6)
            if wait:
                self.assertGreaterEqual(buckets.left("a", now + wait), 1.0 - 1e-6)


class ConcurrencyTests(SynchronousTestCase):
    """kind = concurrency_limit."""

    def test_what_is_under_way_counts_until_its_end(self) -> None:
        """Then another may come."""
        made = build("kind = concurrency_limit\nrequests = 2")
        chain = RequestChain([("c", made)])
        under_way = [exchange(), exchange()]
        self.assertEqual([chain.request(each) for each in under_way], [None, None])
        refused = exchange()
        answer = chain.request(refused)
        assert answer is not None
        self.assertEqual((answer.status, answer.lines, answer.filter), (429, [b"Retry-After: 1"], "c"))
        # the end of what was refused gives nothing back
        chain.finished(refused)
        self.assertIsNotNone(chain.request(exchange()))
        self.assertIsNone(chain.request(exchange(client="192.0.2.2")))
        chain.finished(under_way[0])
        self.assertIsNone(chain.request(exchange()))
        self.assertEqual(made.figures(), {"limited": 2})

    def test_nothing_is_kept_of_networks_that_left(self) -> None:
        """The table is as large as what is under way."""
        made = build("kind = concurrency_limit\nrequests = 1\nretry_after = 0")
        chain = RequestChain([("c", made)])
        for number in range(50):
            each = exchange(client=f"10.0.0.{number}")
            chain.request(each)
            chain.finished(each)
        self.assertEqual(made.active, {})
        chain.request(exchange())
        self.assertEqual(getattr(chain.request(exchange()), "lines", None), [])

    @given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60))
    @settings(deadline=None, max_examples=100)
    def test_the_count_is_that_of_what_is_under_way(self, steps: list[tuple[int, bool]]) -> None:
        """Whatever comes and goes."""
        made = build("kind = concurrency_limit\nrequests = 3")
        chain = RequestChain([("c", made)])
        live: list[list[object]] = [[], [], []]
        for client, come in steps:
            if come:
                each = exchange(client=f"10.0.0.{client}")
                passed = chain.request(each) is None
                self.assertEqual(passed, len(live[client]) < 3)
                if passed:
                    live[client].append(each)
            elif live[client]:
                chain.finished(live[client].pop())  # type: ignore[arg-type]
        self.assertEqual(sum(made.active.values()), sum(map(len, live)))
