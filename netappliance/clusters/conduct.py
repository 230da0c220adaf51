"""What a backend's responses were like. Pure."""

from __future__ import annotations


class Conduct:
    """
    Counters of one backend, for clusters that look for outliers.

    :ivar failures: in a row that failed to connect, broke, or were no response. :ivar gateway_errors: responses of 502,
        503 and 504 in a row, and those that did not come in time.
    :ivar requests: of this interval. :ivar successes: those with a status below 500. :ivar seconds: that all took.
    :ivar ejections: how often it was ejected, less one for each interval in which it was not.
    """

    __slots__ = ("ejections", "failures", "gateway_errors", "requests", "seconds", "successes")

    def __init__(self) -> None:
        self.failures = 0
        self.gateway_errors = 0
        self.requests = 0
        self.successes = 0
        self.seconds = 0.0
        self.ejections = 0

    def next_interval(self) -> None:
        """Count anew."""
        self.requests = self.successes = 0
        self.seconds = 0.0
