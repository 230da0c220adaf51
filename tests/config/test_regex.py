"""Regular expressions that strangers' texts meet: Python's meaning, linear time, limits."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.regex import MAX_SET_PROGRAM, MAX_SET_TEXT, MAX_STEPS, Regex, RegexSet

#: what may be repeated takes at least one byte: engines differ in what a group holds after an empty turn
ATOMS = st.sampled_from(["a", "b", "/", ".", "[ab]", "[^a]", r"\d", r"\w", r"\.", "(a)", "(b|a)", "(?:ab|a)", "(.b)"])
PIECES = st.tuples(ATOMS, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "*?", "+?"])).map("".join)
SEQUENCES = st.lists(PIECES, min_size=1, max_size=5).map("".join)
EXPRESSIONS = st.lists(SEQUENCES, min_size=1, max_size=3).map("|".join)
TEXTS = st.text("ab/.1\n\xe9", max_size=8).map(lambda text: text.encode("latin-1"))


class MeaningTests(SynchronousTestCase):
    """What an operator who knows Python's expressions expects."""

    @settings(max_examples=300, deadline=None)
    @given(EXPRESSIONS, st.lists(TEXTS, max_size=8), st.booleans(), st.booleans())
    def test_it_means_what_it_means_in_python(
        self, text: str, texts: list[bytes], ignore_case: bool, dot_all: bool
    ) -> None:
        """Whether, where and with which groups it matches."""
        flags = (re.IGNORECASE if ignore_case else 0) | (re.DOTALL if dot_all else 0)
        model = re.compile(text.encode(), flags)
        regex = Regex(text.encode(), 100, ignore_case=ignore_case, dot_all=dot_all)
        self.assertEqual(regex.groups, model.groups)
        for each in texts:
            whole, anywhere = model.fullmatch(each), model.search(each)
            self.assertEqual(regex.captures(each), None if whole is None else whole.groups(b""), (text, each))
            self.assertEqual(regex.matches(each), whole is not None)
            self.assertEqual(regex.occurs_in(each), anywhere is not None)
            span = anywhere.span(1 if model.groups else 0) if anywhere is not None else None
            self.assertEqual(regex.span(each), None if span == (-1, -1) else span)

    def test_the_end_is_the_end(self) -> None:
        """Where Python's $ would overlook a line feed."""
        self.assertIsNone(Regex(b"a$", 10).span(b"a\n"))
        self.assertEqual(Regex(b"a$", 10).span(b"ba"), (1, 2))

    def test_equal_texts_and_options_are_equal(self) -> None:
        """So that a section that is read again is the same."""
        self.assertEqual(Regex(b"a", 10), Regex(b"a", 20))
        self.assertEqual(len({Regex(b"a", 10), Regex(b"a", 20), Regex(b"a", 10, dot_all=True)}), 2)
        self.assertNotEqual(Regex(b"a", 10), Regex(b"a", 10, ignore_case=True))
        self.assertNotEqual(Regex(b"a", 10), b"a")


class LinearTests(SynchronousTestCase):
    """What would take Python longer than anybody waits ends here."""

    def test_repetitions_of_repetitions(self) -> None:
        """In a path, and in a megabyte."""
        for text in (b"(a+)+$", b"(a|a)*", b"(a|aa)+$", b"(.*)*x"):
            regex = Regex(text, 2048)
            self.assertFalse(regex.matches(b"a" * 2047 + b"b"), text)
            self.assertIsNone(regex.captures(b"a" * 1_000_000 + b"b"), text)
            self.assertEqual(RegexSet([regex]).matching(b"a" * 2047 + b"b"), [])

    def test_what_cannot_be_linear_is_refused_with_the_reason(self) -> None:
        """And what means something else in RE2, or is too large."""
        for text, reason in (
            (b"", "not an empty one"),
            (b"(?=a)", "look-ahead"),
            (b"a(?!b)", "look-ahead and look-behind"),
            (b"(?<=a)b", "look-behind"),
            (b"(?<!a)b", "look-behind"),
            (b"(a)\\1", "back-references"),
            (b"(?P<x>a)(?P=x)", "back-references"),
            (b"(a)?(?(1)a|b)", "conditions on groups"),
            (b"(?>a)", "nothing ever goes back"),
            (b"a++", "nothing ever goes back"),
            (b"a\\Z", r"\z is the end"),
            (b"a{,3}", "{0,n} in place of {,n}"),
            (b"\\\\{,3}", "{0,n} in place of {,n}"),
            (b"(", "missing )"),
            (b"a{99999999999999999999}", "at most 1000"),
            (b"a{1,99999}", "at most 1000"),
            (b"a{1001}", "invalid repetition size"),
            (b"((a{30}){15}){2}", f"at most {MAX_STEPS // 2048} instructions of RE2, not 9"),
            (b"[a-z]" * 100_000, "too large"),
        ):
            error = str(self.assertRaises(ValueError, Regex, text, 2048))
            self.assertTrue(error.startswith("a regular expression"), error)
            self.assertIn(reason, error, text)
        self.assertEqual(Regex(b"a\\{,3}", 10).captures(b"a{,3}"), ())

    def test_the_limit_is_instructions_times_bytes(self) -> None:
        """One byte more is too much."""
        regex = Regex(b"a{50}", 10)
        self.assertEqual(regex.reach, MAX_STEPS // regex.size)
        Regex(b"a{50}", regex.reach)
        self.assertRaises(ValueError, Regex, b"a{50}", regex.reach + 1)


class SetTests(SynchronousTestCase):
    """Many in one pass against one by one."""

    @settings(max_examples=100, deadline=None)
    @given(st.lists(EXPRESSIONS, max_size=12), st.lists(TEXTS, max_size=6), st.booleans(), st.booleans())
    def test_finds_what_each_finds_by_itself(
        self, expressions: list[str], texts: list[bytes], ignore_case: bool, dot_all: bool
    ) -> None:
        """In order, for short texts and for long ones."""
        flags = (re.IGNORECASE if ignore_case else 0) | (re.DOTALL if dot_all else 0)
        models = [re.compile(text.encode(), flags) for text in expressions]
        regexes = [Regex(text.encode(), 100, ignore_case=ignore_case, dot_all=dot_all) for text in expressions]
        made = RegexSet(regexes)
        for each in (*texts, *(text * (MAX_SET_TEXT + 1) for text in texts)):
            self.assertEqual(made.matching(each), [n for n, model in enumerate(models) if model.fullmatch(each)])

    def test_more_than_one_pass_holds(self) -> None:
        """The numbers go on in the next one; the order stays."""
        regexes = [Regex(b"a{%d}.*" % (1 + number % 60), 2048) for number in range(480)]
        self.assertGreater(sum(each.size for each in regexes), 3 * MAX_SET_PROGRAM)
        expected = [number for number in range(480) if number % 60 < 2]
        self.assertEqual(RegexSet(regexes).matching(b"aa"), expected)

    def test_a_beginning_is_what_every_match_begins_with(self) -> None:
        """Nothing where RE2 knows of none."""
        for text, expected in (
            (b"/api/v1/.*x", b"/api/v1"),
            (b"/a|/b", b"/"),
            (b"/ab?", b"/a"),
            (b".*/a", b""),
            (b"(/a)*", b""),
            (b"/" + b"a" * 50, b"/" + b"a" * 30),
        ):
            self.assertEqual(Regex(text, 100).beginning(), expected, text)
        self.assertEqual(Regex(b"/a", 10, ignore_case=True).beginning(), b"/")

    @settings(max_examples=300, deadline=None)
    @given(EXPRESSIONS, st.lists(TEXTS, max_size=8), st.booleans())
    def test_no_match_begins_otherwise(self, text: str, texts: list[bytes], ignore_case: bool) -> None:
        """Against Python's."""
        regex = Regex(text.encode(), 100, ignore_case=ignore_case)
        for each in texts:
            if re.fullmatch(text.encode(), each, re.IGNORECASE if ignore_case else 0):
                self.assertTrue(each.startswith(regex.beginning()), (text, each, regex.beginning()))

    def test_different_options_are_refused(self) -> None:
        """One pass knows one set of them."""
        self.assertRaises(ValueError, RegexSet, [Regex(b"a", 10), Regex(b"a", 10, ignore_case=True)])
