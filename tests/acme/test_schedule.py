"""When certificates are ordered, by a clock that the test moves."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.acme.schedule import MOST_RETRY_AFTER_S, Schedule, retry_after_s

DAY = 86400.0
#: a day of 2026
NOW = 1_795_000_000.0


class Middle(random.Random):
    """A generator without chance: always in the middle."""

    def random(self) -> float:
        return 0.5


def schedule(renew_before: float = 0.0, rng: random.Random | None = None) -> Schedule:
    """Retries after 600 s at first and 43 200 s at most."""
    return Schedule(renew_before, 600.0, 43200.0, rng or Middle())


class RenewalTests(SynchronousTestCase):
    """Of what is in force."""

    def test_without_a_certificate_it_is_due(self) -> None:
        """At once."""
        self.assertEqual(schedule().next_at, 0.0)

    def test_a_third_of_the_life_before_its_end(self) -> None:
        """And a sixtieth earlier, in the middle of the jitter."""
        made = schedule()
        made.in_force(NOW, NOW + 90 * DAY, 0.0)
        self.assertAlmostEqual(made.next_at - NOW, (60 - 1.5) * DAY)

    def test_or_as_long_before_as_the_operator_says(self) -> None:
        """But never before half of the life is over."""
        made = schedule(10 * DAY)
        made.in_force(NOW, NOW + 90 * DAY, 0.0)
        self.assertAlmostEqual(made.next_at - NOW, (80 - 1.5) * DAY)
        made.in_force(NOW, NOW + 6 * DAY, 0.0)
        self.assertAlmostEqual(made.next_at - NOW, (3 - 0.1) * DAY)

    @given(st.floats(60.0, 1e9), st.floats(0.0, 1e9), st.integers(0, 1000))
    def test_it_is_in_the_second_half_of_the_life(self, life: float, before: float, seed: int) -> None:
        """Whatever life, setting and chance: neither all the time nor too late (a thirtieth for the jitter)."""
        made = schedule(before, random.Random(seed))
        made.in_force(NOW, NOW + life, 0.0)
        self.assertLessEqual(made.next_at, NOW + life)
        self.assertGreaterEqual(made.next_at, NOW + life * (0.5 - 1 / 30) - 1)

    def test_clocks_that_are_far_apart_do_not_make_it_order_all_the_time(self) -> None:
        """A third of its life passes between two orders, after a restart too."""
        made = schedule()
        made.succeeded(NOW - 200 * DAY, NOW - 110 * DAY, NOW)
        self.assertEqual(made.next_at, NOW + 30 * DAY)
        made.in_force(NOW - 200 * DAY, NOW - 110 * DAY, NOW - DAY)
        self.assertEqual(made.next_at, NOW + 29 * DAY)

    def test_a_certificate_of_no_life_is_due(self) -> None:
        """Its end before its begin."""
        made = schedule()
        made.in_force(NOW, NOW - DAY, 0.0)
        self.assertLess(made.next_at, NOW)


class FailureTests(SynchronousTestCase):
    """Attempts that failed."""

    def test_times_double_up_to_a_limit(self) -> None:
        """10 minutes to 12 hours; any number of failures."""
        made, delays = schedule(), []
        for _ in range(9):
            made.failed(NOW, 0.0)
            delays.append(made.next_at - NOW)
        self.assertEqual(delays, [600, 1200, 2400, 4800, 9600, 19200, 38400, 43200, 43200])
        made.resume(10**6, NOW, NOW)
        made.failed(NOW, 0.0)
        self.assertEqual(made.next_at - NOW, 43200)

    def test_chance_moves_them_by_a_fifth(self) -> None:
        """Both ways, so that a fleet does not come back at once."""
        delays = []
        for seed in range(200):
            made = schedule(rng=random.Random(seed))
            made.failed(NOW, 0.0)
            delays.append(made.next_at - NOW)
        self.assertGreaterEqual(min(delays), 480)
        self.assertLessEqual(max(delays), 720)
        self.assertGreater(max(delays) - min(delays), 200)

    def test_the_authority_may_ask_for_more_but_not_for_less(self) -> None:
        """And for a week at most."""
        made = schedule()
        made.failed(NOW, 5000.0)
        self.assertEqual(made.next_at, NOW + 5000)
        made.failed(NOW, 1.0)
        self.assertEqual(made.next_at, NOW + 1200)
        made.failed(NOW, 1e12)
        self.assertEqual(made.next_at, NOW + 7 * DAY)

    def test_a_success_forgets_them(self) -> None:
        """The next failure is a first one."""
        made = schedule()
        made.failed(NOW, 0.0)
        made.failed(NOW, 0.0)
        made.succeeded(NOW, NOW + 90 * DAY, NOW)
        self.assertEqual((made.failures, made.next_at), (0, made.renew_at))
        made.failed(NOW + 60 * DAY, 0.0)
        self.assertEqual(made.next_at - NOW, 60 * DAY + 600)

    def test_a_failed_renewal_waits_even_though_it_is_due(self) -> None:
        """And what is in force does not make it earlier."""
        made = schedule()
        made.in_force(NOW - 89 * DAY, NOW + DAY, 0.0)
        self.assertLess(made.next_at, NOW)
        made.failed(NOW, 0.0)
        self.assertEqual(made.next_at, NOW + 600)

    def test_a_restart_goes_on_where_it_was(self) -> None:
        """With the failures of before; a time that the clock cannot have meant is cut."""
        made = schedule()
        made.resume(3, NOW + 1000, NOW)
        self.assertEqual((made.failures, made.next_at), (3, NOW + 1000))
        made.resume(3, NOW + 1e9, NOW)
        self.assertEqual(made.next_at, NOW + MOST_RETRY_AFTER_S)
        long = Schedule(0.0, 600.0, 10 * DAY, Middle())
        long.resume(30, NOW + 1e9, NOW)
        self.assertEqual(long.next_at, NOW + 12 * DAY)
        made.resume(0, NOW + 1000, NOW)
        self.assertEqual(made.next_at, 0.0)


class RetryAfterTests(SynchronousTestCase):
    """RFC 9110 section 10.2.3."""

    def test_seconds_and_dates(self) -> None:
        """Both forms; a date that is over is 0."""
        self.assertEqual(retry_after_s("120", NOW), 120.0)
        self.assertEqual(retry_after_s(" 0 ", NOW), 0.0)
        self.assertEqual(retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 10.0), 50.0)
        self.assertEqual(retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 100.0), 0.0)

    def test_what_is_neither_asks_for_nothing(self) -> None:
        """And a number without end for the most."""
        for text in ("", "-5", "soon", "1.5", "Thu, 99 Jan 1970 00:01:00 GMT", "\N{SUPERSCRIPT TWO}"):
            self.assertEqual(retry_after_s(text, NOW), 0.0, text)
        self.assertEqual(retry_after_s("9" * 9, NOW), 999_999_999.0)
        for digits in (10, 5000):
            self.assertEqual(retry_after_s("9" * digits, NOW), MOST_RETRY_AFTER_S)

    @given(st.text())
    def test_any_text_gives_a_number(self, text: str) -> None:
        """That is not negative."""
        self.assertGreaterEqual(retry_after_s(text, NOW), 0.0)
