"""Content-Length and Transfer-Encoding together; the verdicts on their values are tested with whole heads."""

from __future__ import annotations

import sys

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.body_length import CONFLICT, body_length, plain_length
from netappliance.http.message import CHUNKED


class BodyLengthTests(SynchronousTestCase):
    """Which field is there."""

    def test_either_both_or_neither(self) -> None:
        """Without any there is no body; with both nobody can say."""
        self.assertEqual(body_length(None, None, 1), 0)
        self.assertEqual(body_length([b"5"], None, 0), 5)
        self.assertEqual(body_length(None, [b"chunked"], 1), CHUNKED)
        self.assertEqual(body_length([b"5"], [b"chunked"], 1), CONFLICT)

    def test_numbers_are_remembered_up_to_a_limit(self) -> None:
        """Peers choose them; each is read right before and after it was forgotten."""
        known = sys.modules[plain_length.__module__].__dict__["_known"]
        for _ in range(2):
            for number in range(3000):
                self.assertEqual(plain_length(b"%d" % number), number)
                self.assertLessEqual(len(known), 1024)
        known.clear()
        for number in range(1025):
            self.assertEqual((plain_length(b"%d" % number), len(known)), (number, number % 1024 + 1))
        for value in (b"", b"-1", b"1,1", b"1" * 19, b"x"):
            self.assertEqual(plain_length(value), -1)
            self.assertNotIn(value, known)
        self.assertEqual((plain_length(b"0"), plain_length(b"9" * 18)), (0, 10**18 - 1))
