"""Sections as dataclasses: keys, defaults, what is missing, unknown or bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import ini, values
from netappliance.config.schema import effective_options, group, option, options_of, parse_section, suggestion
from netappliance.errors import ConfigProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """An example."""

    name: str
    size: int = option(values.size, "1KiB", unit="size", doc="How large.")
    wait_s: float = option(values.duration, required=True, key="wait", unit="duration", doc="How long.")
    words: tuple[str, ...] = option(values.words, required=True, doc="Which words.")
    token: bytes = option(values.base64_bytes, key="secret", doc="Which secret.", secret=True, example="YWJj")


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Keys that several kinds have."""

    color: str = option(values.text, "red", doc="Which color.")
    depth: int = option(values.integer(1, 9), "3", doc="How deep.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """A section with keys of its own around them."""

    name: str
    before: str = option(values.text, "b", doc="Before.")
    common: Common = group(Common)  # noqa: RUF009 - a field
    after: str = option(values.text, "a", doc="After.")


def parsed(text: str, schema: type = Section) -> tuple[Any, list[str]]:
    """Parse the one section of a text; the problems as an operator sees them."""
    (raw,), _ = ini.parse(text)
    problems = [ConfigProblem("", "", "one of another section")]
    section = parse_section(schema, raw, problems)
    return section, [problem.render("f") for problem in problems[1:]]


class SchemaTests(SynchronousTestCase):
    """The example."""

    def test_values_are_converted_and_defaults_filled_in(self) -> None:
        """The name is the section's."""
        section, problems = parsed("[a one]\nwait = 2s\nwords = x, y\n")
        self.assertEqual(problems, [])
        self.assertEqual(section, Section(name="one", size=1024, wait_s=2.0, words=("x", "y"), token=b""))
        given, _ = parsed("[a two]\nwait = 0\nwords =\nsize = 7\nsecret = YWJj\n")
        self.assertEqual(given, Section(name="two", size=7, wait_s=0.0, words=(), token=b"abc"))

    def test_every_problem_is_told(self) -> None:
        """With its line; what was expected; no secret is repeated."""
        section, problems = parsed("[a one]\nsise = 1\nsize = large\nsecret = hunter2!\nzzz = 1\n")
        known = "a key of this section: size, wait, words, secret"
        self.assertIsNone(section)
        self.assertEqual(
            problems,
            [
                f"f: [a one] sise: unknown key; did you mean 'size'? (expected {known}; line 2)",
                f"f: [a one] zzz: unknown key (expected {known}; line 5)",
                "f: [a one] size: a bad value (got 'large'; expected bytes: 512, 64KiB, 1MiB, 2GiB; line 3)",
                "f: [a one] wait: the key is missing (expected duration; line 1)",
                "f: [a one] words: the key is missing (expected Which words.; line 1)",
                "f: [a one] secret: a bad value (expected base64; line 4)",
            ],
        )

    def test_what_the_schema_knows(self) -> None:
        """In the order of the fields; the key is the field's name unless another was given."""
        found = [(each.field, each.key, each.default, each.required, each.unit) for each in options_of(Section)]
        self.assertEqual(
            found,
            [
                ("size", "size", "1KiB", False, "size"),
                ("wait_s", "wait", "", True, "duration"),
                ("words", "words", "", True, ""),
                ("token", "secret", "", False, ""),
            ],
        )
        self.assertEqual(
            [(each.secret, each.example) for each in options_of(Section)][2:], [(False, ""), (True, "YWJj")]
        )

    def test_options_in_force(self) -> None:
        """The file's text where there is one, also an empty one."""
        (raw,), _ = ini.parse("[a one]\nwait = 2s\nsize =\n")
        found = [("size", ""), ("wait", "2s"), ("words", ""), ("secret", "")]
        self.assertEqual(list(effective_options(Section, raw)), found)
        self.assertEqual(next(effective_options(Section, None)), ("size", "1KiB"))

    def test_suggestions(self) -> None:
        """The nearest of what is known, or none."""
        known = ["listen", "cluster", "clusters"]
        self.assertEqual(suggestion("clusted", known), "; did you mean 'cluster'?")
        self.assertEqual((suggestion("clxxxxx", known), suggestion("x", [])), ("", ""))

    def test_keys_that_kinds_have_in_common(self) -> None:
        """Are keys like others in the file, and one value in the section."""
        section, problems = parsed("[a one]\ndepth = 5\nafter = z\n", Grouped)
        self.assertEqual(problems, [])
        self.assertEqual(section, Grouped(name="one", common=Common(depth=5), after="z"))
        self.assertEqual((section.common.color, parsed("[a one]\n", Grouped)[0].common), ("red", Common()))
        found = [(each.key, each.group) for each in options_of(Grouped)]
        self.assertEqual(found, [("before", ""), ("color", "common"), ("depth", "common"), ("after", "")])
        _, problems = parsed("[a one]\ndepth = 10\n", Grouped)
        self.assertEqual(
            problems, ["f: [a one] depth: a bad value (got '10'; expected a whole number from 1 to 9; line 2)"]
        )
