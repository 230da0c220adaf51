"""Content-Length and Transfer-Encoding together; the verdicts on their values are tested with whole heads."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.body_length import CONFLICT, body_length
from netappliance.http.message import CHUNKED


class BodyLengthTests(SynchronousTestCase):
    """Which field is there."""

    def test_either_both_or_neither(self) -> None:
        """Without any there is no body; with both nobody can say."""
        self.assertEqual(body_length(None, None, 1), 0)
        self.assertEqual(body_length([b"5"], None, 0), 5)
        self.assertEqual(body_length(None, [b"chunked"], 1), CHUNKED)
        self.assertEqual(body_length([b"5"], [b"chunked"], 1), CONFLICT)
