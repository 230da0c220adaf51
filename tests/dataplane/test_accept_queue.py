"""The accept queue of seed 001."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.dataplane.accept_queue import AcceptQueue


class AcceptQueueTests(SynchronousTestCase):
    """Newest first, the too old out, bounded."""

    def test_the_newest_is_served_first_and_its_wait_recorded(self) -> None:
        """A client that just came is still there."""
        queue: AcceptQueue[str] = AcceptQueue(10, 60.0)
        queue.push("old", 1.0)
        queue.push("new", 2.0)
        self.assertEqual([queue.pop(3.0), queue.pop(3.0), queue.pop(3.0)], ["new", "old", None])
        self.assertEqual((queue.waits.count, queue.waits.sum), (2, 3.0))

    def test_what_waited_too_long_comes_out_oldest_first(self) -> None:
        """The others stay."""
        queue: AcceptQueue[str] = AcceptQueue(10, 60.0)
        for when, item in ((0.0, "a"), (1.0, "b"), (50.0, "c")):
            queue.push(item, when)
        self.assertEqual(queue.next_expiry(), 60.0)
        self.assertEqual(queue.expire(61.5), ["a", "b"])
        self.assertEqual((len(queue), queue.expired_total), (1, 2))

    def test_a_full_queue_takes_no_more_and_counts(self) -> None:
        """The newcomer is the one that goes (seed 001)."""
        queue: AcceptQueue[int] = AcceptQueue(2, 60.0)
        self.assertEqual([queue.push(number, 0.0) for number in range(3)], [True, True, False])
        self.assertEqual((queue.dropped_total, len(queue)), (1, 2))

    def test_without_a_timeout_nothing_expires(self) -> None:
        """0 = off."""
        queue: AcceptQueue[int] = AcceptQueue(2, 0.0)
        queue.push(1, 0.0)
        self.assertEqual((queue.expire(1e9), queue.next_expiry()), ([], 0.0))
