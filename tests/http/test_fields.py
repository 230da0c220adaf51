"""Field lines: looked at, added, taken out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http import fields

names = st.sampled_from((b"a", b"A", b"ab", b"X-a", b"x-A"))
values = st.from_regex(rb"\A(?:[!-~](?:[\t -~]{0,6}[!-~])?)?\Z")


class FieldTests(SynchronousTestCase):
    """The functions against their plain meaning."""

    @given(st.lists(st.tuples(names, st.sampled_from((b"", b" ", b"\t ")), values), max_size=8), names)
    @settings(deadline=None, max_examples=200)
    def test_names_are_compared_whole_and_in_any_case(
        self, given_: list[tuple[bytes, bytes, bytes]], name: bytes
    ) -> None:
        """And a value that looks like a line is none."""
        lines = [each + b":" + space + value for each, space, value in given_]
        expected = [value for each, _, value in given_ if each.lower() == name.lower()]
        self.assertEqual(fields.get_all(lines, name), expected)
        self.assertEqual(fields.get(lines, name), expected[0] if expected else None)
        self.assertEqual(fields.has_any(lines, (b"\n" + name.lower() + b":",)), bool(expected))
        others = [line for line, (each, _, _) in zip(lines, given_, strict=True) if each.lower() != name.lower()]
        left = list(lines)
        self.assertEqual(fields.delete(left, name), bool(expected))
        self.assertEqual(left, others)
        fields.replace(lines, name, b"new")
        self.assertEqual(lines, [*others, name + b": new"])

    def test_what_would_be_no_line_is_refused(self) -> None:
        """Nothing is added, and replace keeps what was there."""
        for name, value in (
            (b"", b"x"),
            (b"a b", b"x"),
            (b"a:", b"x"),
            (b"a", b"x\r\nb: c"),
            (b"a", b"\0"),
            (b"a", b" x"),
        ):
            lines = [b"a: 1"]
            for write in (fields.add, fields.replace):
                self.assertRaises(ValueError, write, lines, name, value)
                self.assertEqual(lines, [b"a: 1"])
        self.assertTrue(fields.is_value(b"a\tb \xff"))
        self.assertFalse(fields.is_value(b"a\n"))
