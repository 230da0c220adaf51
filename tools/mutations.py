"""Small changes of a module: comparisons, constants, conditions, ``not``, ``and``/``or``, arithmetic operators."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """
    One change: ``parent.field`` (or its item ``index``) becomes ``node``.

    :ivar before: the line as it is. :ivar after: as the mutant has it; of an expression over several lines all.
    """

    module: str
    number: int
    before: str
    after: str
    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST

    @property
    def identity(self) -> tuple[str, str, str]:
        """What stays when lines move."""
        return self.module, self.before, self.after

    def rank(self, seed: int) -> bytes:
        """Where this mutant stands in the seed's order."""
        return hashlib.sha256(repr((seed, *self.identity)).encode()).digest()

    def apply(self) -> None:
        """Change the tree that the mutant was found in."""
        if self.index is None:
            setattr(self.parent, self.field, self.node)
        else:
            getattr(self.parent, self.field)[self.index] = self.node


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may become."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield ast.Compare(node.left, [*node.ops[:at], other(), *node.ops[at + 1 :]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.BinOp) and not isinstance(node.left, ast.JoinedStr):
        if not (isinstance(node.left, ast.Constant) and isinstance(node.left.value, str | bytes)):
            yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.AugAssign):
        yield ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
    elif isinstance(node, ast.Constant):
        yield from map(ast.Constant, other_values(node.value))


def other_values(value: object) -> list[Any]:
    """Return the neighbours of a constant; none for a text with a space in it, which is for people."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1]
    if isinstance(value, bytes):
        return [value[:-1] if len(value) > 1 else b"X"]
    if isinstance(value, str) and (" " not in value or not value.strip()):
        return [value[:-1] if len(value) > 1 else "X"]
    return []


def conditions(node: ast.AST) -> Iterator[tuple[str, int | None, ast.expr]]:
    """Yield the conditions of a node that have no negation of their own among the alternatives."""
    found: list[tuple[str, int | None, ast.expr]] = []
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        found = [("test", None, node.test)]
    elif isinstance(node, ast.comprehension):
        found = [("ifs", at, test) for at, test in enumerate(node.ifs)]
    elif isinstance(node, ast.BoolOp):
        found = [("values", at, test) for at, test in enumerate(node.values)]
    for field, at, test in found:
        if not isinstance(test, ast.Compare | ast.Constant) and not (
            isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        ):
            yield field, at, test


def passed_over(node: ast.AST, field: str) -> bool:
    """Say what decides nothing: annotations, decorators, documentation, assertions, slots, what type checkers see."""
    if field in ("annotation", "returns", "decorator_list") or isinstance(node, ast.Assert):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__slots__":
        return True
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.keyword) and node.arg in ("strict", "doc", "unit", "example"):
        return True
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("cast", "TypeVar")


class Source:
    """A module's tree and its mutants."""

    def __init__(self, path: Path, root: Path = ROOT) -> None:
        self.path = path
        self.module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text()
        self._lines = [line.encode() for line in text.splitlines()]
        self.tree = ast.parse(text, str(path))
        self.mutants = list(self._of(self.tree, None))

    def compiled(self) -> CodeType:
        """Compile the tree as it is now."""
        return compile(ast.fix_missing_locations(self.tree), str(self.path), "exec", dont_inherit=True)

    def _of(self, parent: ast.AST, text: ast.JoinedStr | None) -> Iterator[Mutant]:
        for field, value in ast.iter_fields(parent):
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.AST) and not passed_over(node, field):
                    for other in alternatives(node):
                        yield self._mutant(node, other, parent, field, index, text)
                    for inner, at, test in conditions(node):
                        negated = ast.UnaryOp(ast.Not(), test)
                        yield self._mutant(test, negated, node, inner, at, text)
                    yield from self._of(node, text or (node if isinstance(node, ast.JoinedStr) else None))

    def _mutant(
        self, node: Any, other: ast.AST, parent: ast.AST, field: str, index: int | None, text: ast.JoinedStr | None
    ) -> Mutant:
        shown: Any = text or node  # what stands inside an f-string has no exact place before Python 3.12
        made = Mutant(self.module, shown.lineno, "", "", parent, field, index, other)
        back = Mutant(self.module, shown.lineno, "", "", parent, field, index, node)
        made.apply()
        after = ast.unparse(text or other)
        back.apply()
        if isinstance(other, ast.BoolOp | ast.IfExp):
            after = f"({after})"
        line = self._lines[shown.lineno - 1]
        rest = self._lines[shown.end_lineno - 1][shown.end_col_offset :]
        changed = line[: shown.col_offset] + after.encode() + rest
        before, after = line.decode().strip(), changed.decode().strip()
        return Mutant(self.module, shown.lineno, before, after, parent, field, index, other)
