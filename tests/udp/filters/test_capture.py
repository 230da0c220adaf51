"""Pieces of the payload: where they are, and what has none."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from tests.udp.filters.support import build, datagram


class CaptureTests(SynchronousTestCase):
    """Pieces of the payload."""

    def check(self, options: str, payload: bytes, piece: bytes | None, left: bytes) -> None:
        """Run one datagram; a piece of None means that it is dropped."""
        filter_ = build(f"kind = capture\nmetadata_key = k\n{options}")
        given_ = datagram(payload)
        drop = filter_.read(given_)
        self.assertEqual(drop, Drop.CAPTURE_FAILED if piece is None else None)
        self.assertEqual((given_.metadata.get("k"), given_.payload), (piece, left))

    def test_each_strategy_captures_and_cuts(self) -> None:
        """With and without remove; what is too short is dropped untouched."""
        self.check("strategy = prefix\nsize = 3", b"abcdef", b"abc", b"abcdef")
        self.check("strategy = prefix\nsize = 3\nremove = yes", b"abcdef", b"abc", b"def")
        self.check("strategy = suffix\nsize = 3\nremove = yes", b"abcdef", b"def", b"abc")
        self.check("strategy = suffix\nsize = 3\nremove = yes", b"def", b"def", b"")
        self.check("strategy = suffix\nsize = 3", b"de", None, b"de")
        self.check("strategy = offset\noffset = 1\nsize = 2\nremove = yes", b"abcd", b"bc", b"ad")
        self.check("strategy = offset\noffset = 3\nsize = 2", b"abcd", None, b"abcd")

    def test_a_regex_that_matches_several_times_captures_bytes_once(self) -> None:
        """Quilkin stored a list there, which its token router could not stand."""
        self.check("strategy = regex\npattern = b+", b"abbcb", b"bb", b"abbcb")
        self.check("strategy = regex\npattern = id=(..)\nremove = yes", b"x id=42 y", b"42", b"x id= y")
        self.check("strategy = regex\npattern = q", b"abc", None, b"abc")
        self.check("strategy = regex\npattern = a|(b)", b"a", None, b"a")

    def test_options_that_cannot_be_are_refused(self) -> None:
        """By name."""
        for options, word in (
            ("strategy = prefix", "size"),
            ("strategy = regex", "pattern"),
            ("strategy = regex\npattern = (", "regular expression"),
            ("strategy = middle", "strategy"),
            ("size = 70000", "size"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, build, f"kind = capture\n{options}")))
