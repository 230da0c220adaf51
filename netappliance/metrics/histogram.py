"""A histogram of plain integers that a collector reads at scrape time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

SESSION_DURATION_BUCKETS = (1.0, 5.0, 10.0, 25.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)


class Histogram:
    """Counts of observations by upper bound; not cumulative inside, cumulative in :meth:`cumulative`."""

    __slots__ = ("_lowest", "buckets", "counts", "sum")

    def __init__(self, buckets: tuple[float, ...]) -> None:
        self.buckets = buckets
        self.counts = [0] * (len(buckets) + 1)
        self.sum = 0.0
        self._lowest = buckets[0]

    def observe(self, value: float) -> None:
        """Count one value, in the unit of the buckets."""
        # most requests are faster than the lowest bound
        at = 0 if value <= self._lowest else bisect_left(self.buckets, value)
        self.counts[at] += 1
        self.sum += value

    def add(self, other: Histogram) -> None:
        """Add the observations of another one with the same buckets."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Yield (upper bound as Prometheus prints it, observations at or below it), ending with ``+Inf``."""
        total = 0
        for bound, count in zip(self.buckets, self.counts, strict=False):
            total += count
            yield repr(float(bound)), total
        yield "+Inf", total + self.counts[-1]
