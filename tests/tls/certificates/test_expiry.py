"""When it is told that something runs out."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates.credential import Credential, Staple
from netappliance.tls.certificates.expiry import DAY_S, ExpiryNotices
from tests.tls.certificates.test_selection import credential

LATE = 1_800_000_000.0


def lasting(days: float, file: str = "a.pem") -> Credential:
    """Return one that lasts so long and ends at ``LATE``."""
    return credential(file, b"a.org", not_before=LATE - days * DAY_S, not_after=LATE)


def told(notices: ExpiryNotices, days: float, *credentials: Credential) -> list[str]:
    """Return what is told so many days before the end."""
    return [str(each) for told in notices.due(credentials, LATE - days * DAY_S) for each in told]


class ExpiryTests(SynchronousTestCase):
    """ExpiryNotices."""

    def test_each_step_once(self) -> None:
        """30, 7 and 1 days before, and at the end."""
        notices, one = ExpiryNotices(), lasting(90)
        expected = {
            30.0: "a.pem expires in less than 30 days, on 2027-01-15 08:00 UTC",
            7.0: "a.pem expires in less than 7 days, on 2027-01-15 08:00 UTC",
            1.0: "a.pem expires in less than 1 day, on 2027-01-15 08:00 UTC",
            0.0: "a.pem expired on 2027-01-15 08:00 UTC; it is still served",
        }
        for days in (90.0, 31.0, 30.0, 29.0, 7.0, 6.9, 1.0, 0.5, 0.0, -1.0, -100.0):
            self.assertEqual(told(notices, days, one), [expected[days]] if days in expected else [], days)

    def test_at_a_start_the_last_step_alone(self) -> None:
        """However many have passed."""
        self.assertEqual(len(told(ExpiryNotices(), 5, lasting(90))), 1)
        self.assertIn("less than 7", told(ExpiryNotices(), 5, lasting(90))[0])
        self.assertIn("expired", told(ExpiryNotices(), -5, lasting(90))[0])

    def test_steps_that_are_longer_than_half_of_its_life(self) -> None:
        """A certificate of six days is renewed when it is three days old; it is no news that it has less than seven."""
        notices, short = ExpiryNotices(), lasting(6)
        self.assertEqual(
            [told(notices, days, short) == [] for days in (6, 3, 1.1, 1, 0)], [True, True, True, False, False]
        )
        self.assertEqual(told(ExpiryNotices(), 29, lasting(47)), [])

    def test_another_certificate_begins_anew(self) -> None:
        """Also in the same file; one that is gone is forgotten."""
        notices, one = ExpiryNotices(), lasting(90)
        other = replace(one, fingerprint="other")
        self.assertEqual([len(told(notices, 5, each)) for each in (one, other, other, one)], [1, 1, 0, 1])

    def test_not_yet_valid(self) -> None:
        """Told once, not after it has begun."""
        notices, one = ExpiryNotices(), lasting(90)
        self.assertEqual(told(notices, 91, one), ["a.pem is not valid before 2026-10-17 08:00 UTC"])
        self.assertEqual(told(notices, 90.5, one), [])
        self.assertEqual(told(ExpiryNotices(), 90, one), [])

    def test_ocsp_responses(self) -> None:
        """At the end alone; the next response begins anew."""
        notices = ExpiryNotices()
        one = replace(lasting(90), staple=Staple(b"one", LATE - 60 * DAY_S))
        two = replace(one, staple=Staple(b"two", LATE - 50 * DAY_S))
        self.assertEqual(told(notices, 61, one), [])
        self.assertEqual(notices.due_at, LATE - 60 * DAY_S)
        self.assertEqual(
            told(notices, 60, one),
            ["the OCSP response of a.pem ran out on 2026-11-16 08:00 UTC; it is stapled no more"],
        )
        self.assertEqual(told(notices, 59, one), [])
        self.assertEqual(told(notices, 59, two), [])
        self.assertEqual(len(told(notices, 50, two)), 1)

    @settings(deadline=None)
    @given(
        st.lists(st.floats(2, 400), min_size=1, max_size=4),
        st.lists(st.floats(-10, 400), min_size=1, max_size=20),
    )
    def test_nothing_is_told_before_it_is_due(self, lives: list[float], looks: list[float]) -> None:
        """So that asking at ``due_at`` tells the same as asking all the time."""
        credentials = [lasting(days, f"{number}.pem") for number, days in enumerate(lives)]
        always, seldom = ExpiryNotices(), ExpiryNotices()
        for days in sorted(looks, reverse=True):
            now = LATE - days * DAY_S
            expected = [notice for told in always.due(credentials, now) for notice in told]
            found = list(seldom.due(credentials, now)) if now >= seldom.due_at else []
            self.assertEqual([notice for told in found for notice in told], expected)
