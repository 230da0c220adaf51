"""Branches by a value of the metadata."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from tests.udp.filters.support import build, datagram


class MatchTests(SynchronousTestCase):
    """Branches."""

    def test_the_branch_of_the_value_runs_on_its_side_and_else_the_fallthrough(self) -> None:
        """The write side sees what the read side captured; a side without branches passes."""
        filter_ = build("kind = match\nmetadata_key = k\non_read =\n    one pass\n    base64:/w== drop")
        self.assertIsNone(filter_.read(datagram(k=b"one")))
        self.assertEqual(filter_.read(datagram(k=b"\xff")), Drop.FILTERED)
        self.assertEqual(filter_.read(datagram(k=b"two")), Drop.FILTERED)
        self.assertEqual(filter_.read(datagram(k=["one"])), Drop.FILTERED)
        self.assertIsNone(filter_.write(datagram()))
        self.assertEqual((filter_.matched, filter_.fell_through), (2, 2))
