"""Reading a netlink socket: turns, receives taken together, errors."""

from __future__ import annotations

import errno
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.netlink_reader import TURN_S, NetlinkReader

FULL, BROKEN = OSError(errno.ENOBUFS, "full"), OSError(errno.EIO, "broken")


class Socket:
    """Brings what it was given, then nothing."""

    def __init__(self, *waiting: bytes | OSError) -> None:
        self.waiting = list(waiting)

    def recv(self, size: int) -> bytes:
        """Return or raise the next."""
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "nothing")
        each = self.waiting.pop(0)
        if isinstance(each, OSError):
            raise each
        return each[:size]


class ReaderTests(SynchronousTestCase):
    """One turn."""

    def drain(self, *waiting: bytes | OSError, together: int = 1, step: float = 0.0, stop: bytes = b"-") -> bool:
        """Read for one turn in which each look at the clock takes ``step`` seconds; ``stop`` ends it."""
        self.now = 0.0
        self.found: list[bytes] = []
        self.problems: list[OSError] = []
        opened: Any = Socket(*waiting)

        def clock() -> float:
            self.now += step
            return self.now

        def on_data(data: bytes) -> bool:
            self.found.append(data)
            return data != stop

        reader = NetlinkReader("test", opened, 10, on_data, self.problems.append, clock, together)
        ended = reader.drain()
        self.left = opened.waiting
        return ended

    def test_each_receive_by_itself(self) -> None:
        """Until nothing is left."""
        self.assertTrue(self.drain(b"a", FULL, b"b"))
        self.assertEqual((self.found, self.problems), ([b"a", b"b"], []))

    def test_receives_taken_together(self) -> None:
        """As many as there may be; fewer where nothing more is there or the buffer was full."""
        self.assertTrue(self.drain(b"a", b"b", b"c", b"d", FULL, b"e", together=3))
        self.assertEqual((self.found, self.problems), ([b"abc", b"d", b"e"], []))

    def test_an_error_is_told(self) -> None:
        """Whatever came just before it."""
        self.assertTrue(self.drain(b"a", BROKEN, b"b"))
        self.assertEqual((self.found, self.problems), ([b"a"], [BROKEN]))
        self.assertTrue(self.drain(b"a", b"b", b"c", BROKEN, b"d", together=2))
        self.assertEqual((self.found, self.problems, self.left), ([b"ab"], [BROKEN], [b"d"]))

    def test_a_turn_has_an_end(self) -> None:
        """By the clock, or because the one who takes says so; the rest waits."""
        for step, count in ((TURN_S / 2.5, 2), (TURN_S / 1.5, 1), (TURN_S * 2, 1), (TURN_S / 4.5, 4)):
            self.assertFalse(self.drain(*[b"a"] * 9, step=step))
            self.assertEqual((len(self.found), len(self.left)), (count, 9 - count))
        self.assertFalse(self.drain(*[FULL] * 9, step=TURN_S / 2.5))
        self.assertEqual(len(self.left), 7)
        self.assertFalse(self.drain(b"a", b"b", b"c", b"d", together=2, stop=b"ab"))
        self.assertEqual((self.found, self.left), ([b"ab"], [b"c", b"d"]))
