"""Accepted sockets that wait for a session: newest first, the too old closed, bounded (seed 001)."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from netappliance.metrics.histogram import Histogram

T = TypeVar("T")

WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)


class AcceptQueue(Generic[T]):
    """
    A bounded queue of (time, item); pure.

    Newest first because a client that just came is still there, while one that waited long may be gone: under
    overload some are served in time instead of all too late.

    :ivar dropped_total: items that did not fit, counted by :meth:`push`.
    :ivar expired_total: items that waited longer than ``timeout`` seconds (0 = no limit).
    """

    __slots__ = ("_waiting", "dropped_total", "expired_total", "limit", "timeout", "waits")

    def __init__(self, limit: int, timeout: float) -> None:
        self.limit = limit
        self.timeout = timeout
        self.dropped_total = 0
        self.expired_total = 0
        self.waits = Histogram(WAIT_BUCKETS)
        self._waiting: deque[tuple[float, T]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, item: T, now: float) -> bool:
        """Queue an item accepted at ``now``; False when the queue is full (the caller closes it)."""
        if len(self._waiting) >= self.limit:
            self.dropped_total += 1
            return False
        self._waiting.append((now, item))
        return True

    def pop(self, now: float) -> T | None:
        """Take the newest item and record its wait; None when empty. Call :meth:`expire` first."""
        if not self._waiting:
            return None
        accepted, item = self._waiting.pop()
        self.waits.observe(now - accepted)
        return item

    def expire(self, now: float) -> list[T]:
        """Take out what waited longer than the timeout, oldest first."""
        expired: list[T] = []
        if not self.timeout:
            return expired
        while self._waiting and now - self._waiting[0][0] > self.timeout:
            expired.append(self._waiting.popleft()[1])
        self.expired_total += len(expired)
        return expired

    def next_expiry(self) -> float:
        """When the oldest item's time is up, in monotonic seconds; 0.0 when none waits or nothing expires."""
        if not self._waiting or not self.timeout:
            return 0.0
        return self._waiting[0][0] + self.timeout

    def clear(self) -> list[T]:
        """Take everything out, for the end."""
        items = [item for _, item in self._waiting]
        self._waiting.clear()
        return items
