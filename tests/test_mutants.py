"""The mutation testing of tools/mutants.py: which changes it makes, and how it knows those that change nothing."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tools.mutants import EQUIVALENT, ROOMS, read_equivalent, sources_of
from tools.mutations import Source


class MutationTests(SynchronousTestCase):
    """Changes of a small module."""

    def mutants(self, text: str) -> list[str]:
        """Return the lines that the text's mutants have instead."""
        path = Path(self.mktemp()).absolute()
        path.write_text(text)
        source = Source(path, path.parent)
        before = ast.unparse(source.tree)
        found = [mutant.after for mutant in source.mutants]
        self.assertEqual(ast.unparse(source.tree), before)
        return found

    def test_decisions_are_changed(self) -> None:
        """Each by itself."""
        for line, others in (
            ("x = a < b", ["x = a <= b", "x = a >= b"]),
            ("x = a in b", ["x = a not in b"]),
            ("x = a and b", ["x = (a or b)", "x = not a and b", "x = a and not b"]),
            ("x = not a", ["x = a"]),
            ("x = a + b", ["x = a - b"]),
            ("x += 2", ["x -= 2", "x += 3", "x += 1"]),
            ("x = 1 if a else b", ["x = 1 if not a else b", "x = 2 if a else b", "x = 0 if a else b"]),
            ("x = b'no'", ["x = b'n'"]),
            ("x = [a for a in b if a]", ["x = [a for a in b if not a]"]),
            ("x = f'{a}:{b}'", ["x = f'{a}X{b}'"]),
            ("x = True", ["x = False"]),
        ):
            self.assertEqual(self.mutants(line), others, line)

    def test_what_decides_nothing_is_left_alone(self) -> None:
        """Annotations, docstrings, decorators, assertions, texts for people."""
        for line in ('"""One."""', "x: 'Y'", "@a(b=True)\ndef f() -> 'x': ...", "assert a < b", "x = 'two words'"):
            self.assertEqual(self.mutants(line), [], line)

    def test_the_list_of_equivalent_mutants_can_be_read(self) -> None:
        """And each has its reason."""
        self.assertTrue(all(map(str.strip, read_equivalent(EQUIVALENT).values())))

    def test_rooms_are_where_they_are_said_to_be(self) -> None:
        """Nobody runs a room that moved away."""
        for room in ROOMS:
            self.assertTrue(sum(len(source.mutants) for source in sources_of(room)), room)
