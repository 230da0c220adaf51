"""Counters of requests, kept as plain integers and read at scrape time. Sans-I/O."""

from __future__ import annotations

from netappliance.metrics.histogram import Histogram

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE")
#: status classes: the index is the first digit; 0 = none was sent, from 6 on they are no class
CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx", *("other",) * 4)


class RequestStatistics:
    """
    Requests of one listener towards one cluster (the empty name: answered here).

    :ivar rows: method -> counts by the first digit of the status.
    :ivar others: the same for methods that are not :data:`METHODS`.
    :ivar seconds: from the head of the request to the end of the response. :ivar retries: attempts beyond the first.
    """

    __slots__ = ("others", "retries", "rows", "seconds")

    def __init__(self) -> None:
        self.rows = {method: [0] * len(CLASSES) for method in METHODS}
        self.others = [0] * len(CLASSES)
        self.seconds = Histogram(REQUEST_BUCKETS)
        self.retries = 0

    def finished(self, method: bytes, status: int, seconds: float) -> None:
        """Count one request."""
        (self.rows.get(method) or self.others)[status // 100] += 1
        self.seconds.observe(seconds)


class Refusals:
    """
    Messages that framing refused.

    :ivar requests: why -> how many. :ivar responses: likewise, of backends. Both texts are of closed sets.
    """

    __slots__ = ("requests", "responses")

    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.responses: dict[str, int] = {}

    def count(self, why: str) -> None:
        """Count a request."""
        self.requests[why] = self.requests.get(why, 0) + 1

    def count_backend(self, why: str) -> None:
        """Count a response."""
        self.responses[why] = self.responses.get(why, 0) + 1
