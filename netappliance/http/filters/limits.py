"""How much one client network may ask for: requests in a time, and requests at a time; more is 429."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.http.filters.access import retry_after
from netappliance.http.filters.base import RequestFilter, Resources
from netappliance.http.filters.client_network import PREFIX_V4_DOC, PREFIX_V6_DOC, grouping
from netappliance.http.message import Answer, Exchange


class Buckets:
    """
    Token buckets by key, refilled by the time that passed; the least recently used goes when there are too many.

    :param rate: tokens a second. :param most: tokens of a full bucket, at least 1. :param limit: buckets kept.
    :ivar evicted: buckets that went before they were full again.
    """

    __slots__ = ("_limit", "_most", "_rate", "buckets", "evicted")

    def __init__(self, rate: float, most: float, limit: int) -> None:
        self._rate = rate
        self._most = max(1.0, most)
        self._limit = limit
        #: key -> (tokens, when)
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.evicted = 0

    def take(self, key: str, now: float) -> float:
        """Take one token; 0 when there was one, else the seconds until there is one (nothing is taken)."""
        buckets = self.buckets
        found = buckets.get(key)
        if found is None:
            self._keep(key, self._most - 1.0, now)
            return 0.0
        # in use, whether it has a token or not: forgotten it would come back full
        buckets.move_to_end(key)
        tokens, when = found
        if now > when:
            tokens += (now - when) * self._rate
            if tokens > self._most:
                tokens = self._most
        if tokens < 1.0:
            return (1.0 - tokens) / self._rate
        buckets[key] = (tokens - 1.0, now)
        return 0.0

    def wait(self, key: str, now: float) -> float:
        """Return the seconds until there is a token, 0 when there is one; nothing is taken."""
        tokens = self.left(key, now)
        if tokens >= 1.0:
            return 0.0
        self.buckets.move_to_end(key)
        return (1.0 - tokens) / self._rate

    def left(self, key: str, now: float) -> float:
        """Return the tokens in a bucket."""
        tokens, when = self.buckets.get(key, (self._most, now))
        return min(self._most, tokens + max(0.0, now - when) * self._rate)

    def spend(self, key: str, now: float) -> None:
        """Take one token, or what is left."""
        self._keep(key, max(0.0, self.left(key, now) - 1.0), now)

    def _keep(self, key: str, tokens: float, now: float) -> None:
        buckets = self.buckets
        if key in buckets:
            buckets.move_to_end(key)
        elif len(buckets) >= self._limit:
            _, (left, when) = buckets.popitem(last=False)
            self.evicted += left + (now - when) * self._rate < self._most
        buckets[key] = (tokens, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRateLimitSection:
    """Limits the requests of each client network by a token bucket; more are answered 429 with Retry-After."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="request_rate_limit", example="request_rate_limit")
    requests: float = option(
        values.number(0.001, 1e9), required=True, unit="requests", doc="Requests in each period.", example="100"
    )
    period_s: float = option(
        values.positive_duration, "1s", key="period", unit="duration", doc="The time in which a bucket fills."
    )
    burst: float = option(
        values.number(0.01, 1000), "1", unit="periods", doc="How many periods' worth an idle client may ask at once."
    )
    prefix_v4: int = option(values.integer(0, 32), "32", unit="bits", doc=PREFIX_V4_DOC)
    prefix_v6: int = option(values.integer(0, 128), "64", unit="bits", doc=PREFIX_V6_DOC)
    max_clients: int = option(
        values.integer(1, 10_000_000),
        "65536",
        unit="buckets",
        doc="Buckets kept; the least recently used goes first, and comes back full.",
    )


class RequestRateLimit(RequestFilter):
    """Over any time t at most burst + t / period periods' worth passes; a refused request takes nothing."""

    def __init__(self, section: RequestRateLimitSection) -> None:
        self.buckets = Buckets(
            section.requests / section.period_s, section.requests * section.burst, section.max_clients
        )
        self._group = grouping(section.prefix_v4, section.prefix_v6)
        self._limited = 0

    def request(self, exchange: Exchange) -> Answer | None:
        """Take a token, or answer when to come again."""
        wait = self.buckets.take(self._group(exchange.client), exchange.now)
        if not wait:
            return None
        self._limited += 1
        return Answer(429, lines=retry_after(wait))

    def figures(self) -> dict[str, int]:
        """Requests over the limit, and buckets forgotten before they were full."""
        return {"limited": self._limited, "evicted": self.buckets.evicted}


def make_rate(section: RequestRateLimitSection, resources: Resources) -> RequestRateLimit:
    """Build it."""
    return RequestRateLimit(section)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimitSection:
    """Limits the requests of each client network that are under way at a time; more are answered 429."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="concurrency_limit", example="concurrency_limit")
    requests: int = option(
        values.integer(1, 1_000_000), required=True, unit="requests", doc="Of one network at a time.", example="20"
    )
    prefix_v4: int = option(values.integer(0, 32), "32", unit="bits", doc=PREFIX_V4_DOC)
    prefix_v6: int = option(values.integer(0, 128), "64", unit="bits", doc=PREFIX_V6_DOC)
    retry_after_s: float = option(
        values.duration, "1s", key="retry_after", unit="duration", doc="When to come again (Retry-After); 0 = not said."
    )


class ConcurrencyLimit(RequestFilter):
    """
    Counts exchanges from their request to their end, upgraded connections included.

    :ivar active: network -> exchanges under way; there are never more networks in it than exchanges.
    """

    def __init__(self, section: ConcurrencyLimitSection) -> None:
        self._most = section.requests
        self._group = grouping(section.prefix_v4, section.prefix_v6)
        self._lines = retry_after(section.retry_after_s)
        self._limited = 0
        self.active: dict[str, int] = {}

    def request(self, exchange: Exchange) -> Answer | None:
        """Count, or answer 429."""
        key = self._group(exchange.client)
        active = self.active.get(key, 0)
        if active >= self._most:
            self._limited += 1
            return Answer(429, lines=list(self._lines))
        self.active[key] = active + 1
        exchange.state[self] = key
        return None

    def finished(self, exchange: Exchange) -> None:
        """Count down, if it was counted."""
        key = exchange.state.pop(self, None)
        if key is None:
            return
        left = self.active[key] - 1
        if left:
            self.active[key] = left
        else:
            del self.active[key]

    def figures(self) -> dict[str, int]:
        """Requests over the limit."""
        return {"limited": self._limited}


def make_concurrency(section: ConcurrencyLimitSection, resources: Resources) -> ConcurrencyLimit:
    """Build it."""
    return ConcurrencyLimit(section)
