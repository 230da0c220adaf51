"""Branches by a value of the metadata."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from netappliance.udp.filters.sections.match import branches
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

    def test_each_side_has_its_branches(self) -> None:
        """Counted together; a side without any does not count."""
        filter_ = build("kind = match\nmetadata_key = k\nfallthrough = pass\non_write = a drop")
        self.assertIsNone(filter_.read(datagram(k=b"a")))
        self.assertEqual(filter_.write(datagram(k=b"a")), Drop.FILTERED)
        self.assertIsNone(filter_.write(datagram(k=b"b")))
        self.assertIsNone(filter_.write(datagram()))
        self.assertEqual(filter_.figures(), {"matched": 1, "fell_through": 2})

    def test_branches_as_they_are_read(self) -> None:
        """Text or base64, each value once, the filter behind the first space."""
        self.assertEqual(
            branches("a  x\nbase64:/w== drop me\nbase64 y"), ((b"a", "x"), (b"\xff", "drop me"), (b"base64", "y"))
        )
        for text, words in (
            ("a", "VALUE FILTER, not 'a'"),
            ("a ", "VALUE FILTER, not 'a '"),
            ("a x\na y", "each value once"),
            ("a x\nbase64:YQ== y", "each value once"),
            ("base64:! x", "base64"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, branches, text)), words)
        error = self.assertRaises(ValueError, build, "kind = match")
        self.assertEqual(str(error), "on_read: it or on_write needs a branch")
