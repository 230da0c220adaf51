"""The text of a file: sections, keys, comments, and what is wrong where."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import ini
from netappliance.errors import ConfigProblem


def read(text: str) -> dict[str, dict[str, list[str]]]:
    """Parse a good text; title -> key -> lines."""
    sections, problems = ini.parse(text)
    assert not problems, problems
    return {raw.title: {key: option.lines for key, option in raw.options.items()} for raw in sections}


def complaints(text: str) -> list[str]:
    """Return what is wrong, as an operator sees it."""
    return [problem.render("f") for problem in ini.parse(text)[1]]


class ReadTests(SynchronousTestCase):
    """Good files."""

    def test_sections_and_keys(self) -> None:
        """White space around brackets, names and values does not count; kinds are lower case; names keep theirs."""
        text = "[ TCP   my.Name ] \n key=1\r\n Key.two-x_3  =  a = b \n[udp]\n\n[http a:b_c-9]\nempty =\n"
        self.assertEqual(
            read(text.replace("\n ", "\n")),
            {"tcp my.Name": {"key": ["1"], "Key.two-x_3": ["a = b"]}, "udp": {}, "http a:b_c-9": {"empty": []}},
        )

    def test_values_go_on_in_indented_lines(self) -> None:
        """By spaces or tabs; empty lines and comments between do not end them, another key does."""
        text = "[a]\nx = 1\n  2 ; c\n\n; c\n\t3\ny =\n    4\n# c\n z = 5\nq = 6\n[b]\nx = 7\n"
        self.assertEqual(read(text), {"a": {"x": ["1", "2", "3"], "y": ["4", "z = 5"], "q": ["6"]}, "b": {"x": ["7"]}})
        sections, _ = ini.parse(text)
        self.assertEqual(sections[0].options["x"].text, "1\n2\n3")

    def test_comments(self) -> None:
        """At a line's start or after white space; elsewhere the two are characters."""
        text = "; c\n# c\n[a] ; c\nx = 1 # c\ny = a;b#c\nz =;d\nw = ;e\nv = 1\t;f\n  ;g\n"
        lines = {"x": ["1"], "y": ["a;b#c"], "z": [";d"], "w": [], "v": ["1"]}
        self.assertEqual(read(text), {"a": lines})

    def test_only_line_feeds_end_lines(self) -> None:
        """With a carriage return before it or without."""
        self.assertEqual(read("[a]\r\nx = 1\r\ny = a\tb\n"), {"a": {"x": ["1"], "y": ["a\tb"]}})

    def test_lines_are_numbered_from_one(self) -> None:
        """Sections and keys know theirs."""
        sections, _ = ini.parse("\n[a]\n\nx =\n  1\ny = 2\n[b]\n")
        self.assertEqual([(raw.kind, raw.name, raw.line) for raw in sections], [("a", "", 2), ("b", "", 7)])
        self.assertEqual([option.line for option in sections[0].options.values()], [4, 6])


class ProblemTests(SynchronousTestCase):
    """Bad ones: every error at once, each with its line."""

    def test_each_has_its_words(self) -> None:
        """And says what was expected."""
        for text, problems in (
            ("", ["f: the file has no section (expected [kind] or [kind name])"]),
            ("; only this\n", ["f: the file has no section (expected [kind] or [kind name])"]),
            (
                "x = 1\ny = 2\n",
                [
                    "f: a key before the first section (got 'x = 1'; expected [kind name] above it; line 1)",
                    "f: a key before the first section (got 'y = 2'; expected [kind name] above it; line 2)",
                ],
            ),
            ("[a\nx = 1\n", ["f: not a section (got '[a'; expected [kind] or [kind name]; line 1)"]),
            ("[a] b\n", ["f: not a section (got '[a] b'; expected [kind] or [kind name]; line 1)"]),
            ("[]\n", ["f: not a section (got '[]'; expected [kind] or [kind name]; line 1)"]),
            ("[1a]\n", ["f: not a section (got '[1a]'; expected [kind] or [kind name]; line 1)"]),
            ("[a [b]\n", ["f: not a section (got '[a [b]'; expected [kind] or [kind name]; line 1)"]),
            (
                "[a b!]\nx = 1\n",
                ["f: [a b!] a bad name (got 'b!'; expected letters, digits, '_', '-', '.' and ':'; line 1)"],
            ),
            ("[a -b]\n", ["f: [a -b] a bad name (got '-b'; expected letters, digits, '_', '-', '.' and ':'; line 1)"]),
            ("[a b]\n[b]\n[A b]\n", ["f: [a b] the section is there already, in line 1 (line 3)"]),
            ("[a]\nx = 1\nx = 2\n", ["f: [a] x: the key is there already, in line 2 (line 3)"]),
            (
                "[a]\nword\n",
                ["f: [a] neither a section nor a key (got 'word'; expected [kind name] or key = value; line 2)"],
            ),
            (
                "[a]\n= 1\n",
                ["f: [a] neither a section nor a key (got '= 1'; expected [kind name] or key = value; line 2)"],
            ),
            ("[a]\nx = \x1b[1m\n", ["f: [a] control character 0x1b (line 2)"]),
            ("[a]\nx = a\x0cb\n", ["f: [a] control character 0x0c (line 2)"]),
            ("\x01\n[a]\n", ["f: control character 0x01 (line 1)"]),
        ):
            self.assertEqual(complaints(text), problems, text)

    def test_keys_below_a_broken_header_are_not_complained_about(self) -> None:
        """They are the header's fault; the next section is read."""
        sections, problems = ini.parse("[x\na = 1\n b = 2\n[y]\nc = 3\n")
        self.assertEqual(([raw.title for raw in sections], len(problems)), (["y"], 1))

    def test_the_first_of_two_counts(self) -> None:
        """Of sections and of keys; the values of the second go nowhere."""
        sections, problems = ini.parse("[a]\nx = 1\nx = 2\n  3\n[a]\nx = 4\ny = 5\n")
        self.assertEqual([(raw.title, list(raw.options)) for raw in sections], [("a", ["x"])])
        self.assertEqual((sections[0].options["x"].text, len(problems)), ("1", 2))

    def test_an_indented_line_continues_nothing_after_a_bad_one(self) -> None:
        """A header or a line that is no key ends the value above it."""
        self.assertEqual(len(complaints("[a]\nx = 1\n[b]\n  2\n")), 1)
        self.assertEqual(len(complaints("[a]\nx = 1\nbad\n  2\n")), 2)

    def test_the_longest_line(self) -> None:
        """64 KiB of characters."""
        value = "x" * (65536 - 4)
        self.assertEqual(read(f"[a]\nk = {value}"), {"a": {"k": [value]}})
        self.assertEqual(
            complaints(f"[a]\nk = {value}x"), ["f: [a] the line has 65537 characters (expected at most 65536; line 2)"]
        )


class DecodeTests(SynchronousTestCase):
    """Bytes to text."""

    def test_text(self) -> None:
        """UTF-8, with or without a byte order mark."""
        for data in ("[a]\nä\n".encode(), "\ufeff[a]\nä\n".encode()):
            self.assertEqual(ini.decode(data), ("[a]\nä\n", []))

    def test_what_is_no_text_has_its_line(self) -> None:
        """A NUL, a byte that is no UTF-8."""
        for data, why, line in (
            (b"\0", "a NUL byte: this is no text file", 1),
            (b"a\n\nb\0c\n\0", "a NUL byte: this is no text file", 3),
            (b"\x0f\xfe", "byte 0xfe is not UTF-8", 1),
            (b"a\nb\xc3(\n", "byte 0xc3 is not UTF-8", 2),
        ):
            self.assertEqual(ini.decode(data), ("", [ConfigProblem("", "", why, line=line)]))

    def test_the_largest_file(self) -> None:
        """16 MiB."""
        full = b"#" * (16 << 20)
        self.assertEqual(ini.decode(full)[1], [])
        self.assertEqual(
            ini.decode(full + b"#"),
            ("", [ConfigProblem("", "", "the file has 16777217 bytes", expected="at most 16777216")]),
        )
