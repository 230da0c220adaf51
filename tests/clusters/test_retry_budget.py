"""A retry budget follows the requests of the last ten seconds, though it sees their number only now and then."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.retry_budget import WINDOW_S, RetryBudget


class RetryBudgetTests(SynchronousTestCase):
    """Twenty for each hundred unless said otherwise."""

    def taken(self, budget: RetryBudget, begun: int, now: float, wanted: int = 1000) -> int:
        """How many of so many retries are allowed, each of which begins another attempt."""
        count = 0
        for _ in range(wanted):
            count += budget.take(begun + count, now)
        return count

    def test_the_minimum_is_there_from_the_start(self) -> None:
        """For the whole window; what is refused is counted."""
        budget = RetryBudget(20, 3)
        budget.look(0, 5.0)
        self.assertEqual(self.taken(budget, 0, 5.0, 40), 30)
        self.assertEqual((budget.taken_total, budget.exceeded_total), (30, 10))

    def test_a_share_of_the_requests(self) -> None:
        """Retries are no requests: they do not feed on themselves."""
        budget = RetryBudget(20, 0)
        budget.look(0, 0.0)
        self.assertEqual(self.taken(budget, 1000, 1.0), 200)
        self.assertEqual(self.taken(budget, 1200, 1.5), 0)
        self.assertEqual(self.taken(budget, 1300, 2.0), 20)

    def test_nothing_without_a_budget(self) -> None:
        """Neither share nor minimum."""
        budget = RetryBudget(0, 0)
        budget.look(0, 0.0)
        self.assertEqual(self.taken(budget, 100000, 1.0, 10), 0)

    def test_what_is_older_than_the_window_is_forgotten(self) -> None:
        """Requests as well as retries."""
        budget = RetryBudget(20, 0)
        for second in range(30):
            # a hundred a second for ten seconds, then nobody
            budget.look(100 * min(second, 10), float(second))
        self.assertEqual(self.taken(budget, 1000, 30.0), 0)
        budget = RetryBudget(20, 1)
        budget.look(0, 0.0)
        self.assertEqual(self.taken(budget, 0, 0.0), 10)
        self.assertEqual(self.taken(budget, 10, 5.0), 0)
        for second in range(6, 25):
            budget.look(10, float(second))
        self.assertEqual(self.taken(budget, 10, 25.0), 10)

    def test_a_time_that_nobody_looked_at_is_taken_for_even(self) -> None:
        """A thousand requests in a hundred seconds are a hundred in ten."""
        budget = RetryBudget(20, 0)
        budget.look(0, 0.0)
        self.assertEqual(self.taken(budget, 1000, 100.0), 20)

    def test_the_part_of_a_gap_that_belongs_to_the_window(self) -> None:
        """Of both counters."""
        budget = RetryBudget(20, 10)
        budget.look(0, 0.0)
        self.assertEqual(self.taken(budget, 1000, 1.0), 300)
        # half of the 20 seconds since then are in the window: half of 1300 attempts, of which half of 300 were retries
        self.assertEqual(self.taken(budget, 2300, 21.0), 50)
        budget = RetryBudget(20, 0)
        budget.look(0, 0.0)
        budget.look(1000, 1.0)
        self.assertEqual(self.taken(budget, 2000, 20.5), 102)

    def test_the_edge_of_the_window(self) -> None:
        """What was just so long ago is no part of it."""
        budget = RetryBudget(0, 1)
        budget.look(0, 0.0)
        self.assertEqual(self.taken(budget, 0, 0.0, 99), 10)
        budget.look(10, 1.0)
        self.assertEqual(self.taken(budget, 10, 10.0, 99), 0)
        self.assertEqual(self.taken(budget, 10, 11.0, 99), 10)

    @settings(deadline=None)
    @given(
        st.integers(0, 100),
        st.integers(0, 5),
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 300)), min_size=1, max_size=60),
    )
    def test_whoever_gets_a_retry_finds_the_budget_of_its_window_kept(
        self, percent: int, minimum: int, seconds: list[tuple[int, int]]
    ) -> None:
        """Looked at each second, as busy clusters are; and what is remembered is bounded."""
        budget = RetryBudget(percent, minimum)
        requests, retries, begun = [], [], 0
        for second, (asked, wanted) in enumerate(seconds):
            budget.look(begun, float(second))
            begun += asked
            count = self.taken(budget, begun, second + 0.5, wanted)
            begun += count
            requests.append(asked)
            retries.append(count)
            if count:
                window = slice(max(0, second - int(WINDOW_S) + 1), second + 1)
                # half of the second in which the window begins counts, by the even flow that is assumed
                before = requests[second - int(WINDOW_S)] if second >= WINDOW_S else 0
                allowed = (sum(requests[window]) + before) * percent / 100 + minimum * WINDOW_S
                self.assertLessEqual(sum(retries[window]), allowed)
        self.assertLessEqual(len(budget._looks), WINDOW_S + 2)
