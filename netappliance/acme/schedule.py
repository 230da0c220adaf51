"""When a certificate is ordered next: well before its end, later after each failure. Pure; times are Unix seconds."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime

#: the part of its life before its end from which on a certificate is renewed, unless told otherwise
RENEW_PART = 1 / 3
#: the part of its life that a renewal may come earlier, by chance, so that a fleet does not come at once
JITTER_PART = 1 / 30
#: the part of its life that passes at least between two orders that succeed: where the clocks of authority and host are
#: far apart, every new certificate would look as if it wanted renewal at once
LEAST_PART = 1 / 3
#: the part that a time to the next attempt is shorter or longer, by chance
RETRY_JITTER = 0.2
#: the longest that an authority's Retry-After is followed (seconds); no rate limit known lasts longer
MOST_RETRY_AFTER_S = 7 * 86400.0


class Schedule:
    """
    When one certificate is ordered.

    :param renew_before_s: how long before its end it is renewed, at most half of its life; 0 = a third of it.
    :param retry_interval_s: from the first failure to the next attempt; doubled by each further one up to
        ``retry_max_s``.
    :ivar failures: attempts in a row that failed. :ivar retry_at: not before then, while there are failures.
    :ivar renew_at: when the certificate in force wants renewal; 0 = there is none.
    """

    __slots__ = ("_renew_before_s", "_retry_interval_s", "_retry_max_s", "_rng", "failures", "renew_at", "retry_at")

    def __init__(self, renew_before_s: float, retry_interval_s: float, retry_max_s: float, rng: random.Random) -> None:
        self._renew_before_s = renew_before_s
        self._retry_interval_s = retry_interval_s
        self._retry_max_s = max(retry_max_s, retry_interval_s)
        self._rng = rng
        self.failures = 0
        self.retry_at = 0.0
        self.renew_at = 0.0

    @property
    def next_at(self) -> float:
        """When to order next; past = now."""
        return max(self.renew_at, self.retry_at)

    def in_force(self, not_before: float, not_after: float, issued_at: float) -> None:
        """Take up a good certificate and its life, and when it came (0 = unknown): plan its renewal."""
        life = max(not_after - not_before, 0.0)
        before = min(self._renew_before_s or life * RENEW_PART, life / 2)
        wanted = not_after - before - self._rng.random() * life * JITTER_PART
        self.renew_at = max(wanted, issued_at + life * LEAST_PART)

    def succeeded(self, not_before: float, not_after: float, now: float) -> None:
        """Book a certificate that was issued."""
        self.failures = 0
        self.retry_at = 0.0
        self.in_force(not_before, not_after, now)

    def order_now(self) -> None:
        """Let the next attempt be at once, whatever went before; failures stay counted."""
        self.renew_at = self.retry_at = 0.0

    def failed(self, now: float, retry_after_s: float) -> None:
        """Book a failure; ``retry_after_s`` is what the authority asked for, 0 = nothing."""
        self.failures += 1
        # of the exponent, so that no number grows without end
        delay = min(self._retry_interval_s * 2.0 ** min(self.failures - 1, 32), self._retry_max_s)
        delay *= 1 + RETRY_JITTER * (2 * self._rng.random() - 1)
        self.retry_at = now + max(delay, min(retry_after_s, MOST_RETRY_AFTER_S))

    def resume(self, failures: int, retry_at: float, now: float) -> None:
        """Go on with what an earlier process left; a time that no failure can have set is cut (the clock was wrong)."""
        self.failures = max(failures, 0)
        longest = max(self._retry_max_s * (1 + RETRY_JITTER), MOST_RETRY_AFTER_S)
        self.retry_at = min(retry_at, now + longest) if self.failures else 0.0


def retry_after_s(value: str, now: float) -> float:
    """
    Return the seconds that a Retry-After field asks for (RFC 9110 section 10.2.3): a number or a date; 0 = neither.

    :param now: Unix seconds.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= 9 else MOST_RETRY_AFTER_S
    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, OverflowError, TypeError):
        return 0.0
