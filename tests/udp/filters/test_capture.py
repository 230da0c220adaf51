"""Pieces of the payload: where they are, and what has none."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.regex import Regex
from netappliance.udp.datagram import Drop
from netappliance.udp.filters.sections.capture import PLAIN_DATAGRAM
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

    def test_a_datagram_that_is_too_long_for_a_regex_is_dropped(self) -> None:
        """What one costs has a limit; those of an Ethernet frame fit every regex that is taken."""
        reach = Regex(b"(a+)+$", PLAIN_DATAGRAM).reach
        self.check("strategy = regex\npattern = (a+)+$", b"a" * reach, b"a" * reach, b"a" * reach)
        self.check("strategy = regex\npattern = (a+)+$", b"a" * (reach + 1), None, b"a" * (reach + 1))
        self.check("strategy = regex\npattern = (a+)+$", b"a" * (reach - 1) + b"b", None, b"a" * (reach - 1) + b"b")
        self.assertGreaterEqual(reach, PLAIN_DATAGRAM)

    def test_options_that_cannot_be_are_refused(self) -> None:
        """By name."""
        for options, word in (
            ("strategy = prefix", "size"),
            ("strategy = regex", "pattern"),
            ("strategy = regex\npattern = (", "regular expression"),
            ("strategy = regex\npattern = a(?=b)", "look-ahead"),
            ("strategy = regex\npattern = [ab]{500}", "at most 174 instructions"),
            ("strategy = middle", "strategy"),
            ("size = 70000", "size"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, build, f"kind = capture\n{options}")))

    def test_a_piece_as_long_as_the_payload_and_one_longer(self) -> None:
        """The edge of every strategy; nothing is read where nothing is."""
        for options, shortest in (
            ("strategy = prefix\nsize = 3", b"abc"),
            ("strategy = suffix\nsize = 3", b"abc"),
            ("strategy = offset\noffset = 2\nsize = 1", b"abc"),
            ("strategy = offset\nsize = 3", b"abc"),
        ):
            piece = b"c" if "offset = 2" in options else b"abc"
            self.check(options, shortest, piece, shortest)
            self.check(options, shortest[:-1], None, shortest[:-1])
        self.check("size = 1", b"", None, b"")

    def test_patterns_are_bytes(self) -> None:
        """The text is UTF-8; the first group counts, also an empty one; group 0 without any."""
        self.check("strategy = regex\npattern = ä", b"x\xc3\xa4", b"\xc3\xa4", b"x\xc3\xa4")
        self.check("strategy = regex\npattern = ^(a*)(b)\nremove = yes", b"bc", b"", b"bc")
        self.check("strategy = regex\npattern = (a)(b)\nremove = yes", b"abc", b"a", b"bc")
        self.check("strategy = regex\npattern = ab\nremove = yes", b"abab", b"ab", b"ab")

    def test_what_an_option_lacks_is_said(self) -> None:
        """Which option, and for which strategy."""
        for options, words in (
            ("strategy = regex", "pattern: strategy = regex needs one"),
            ("strategy = regex\nsize = 3", "pattern: strategy = regex needs one"),
            ("strategy = offset\npattern = a", "size: strategy = offset needs one above 0"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, build, f"kind = capture\n{options}")), words)
        for key in ("x" * 128, "!~"):
            build(f"kind = capture\nsize = 1\nmetadata_key = {key}")
        for key in ("x" * 129, "ä", "a b", ""):
            refused = str(self.assertRaises(ValueError, build, f"kind = capture\nsize = 1\nmetadata_key = {key}"))
            self.assertIn("1 to 128 visible ASCII characters", refused)
