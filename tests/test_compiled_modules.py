"""The list of compiled modules is whole, and a compiled build has all of it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from enum import Enum
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any, is_typeddict

from twisted.trial.unittest import SynchronousTestCase

from netappliance.process.build import this_build
from tests.test_architecture import imports
from tools.compiled_modules import INTERPRETED, compiled_modules, interpreted

ROOT = Path(__file__).resolve().parents[1]
COMPILED = compiled_modules(ROOT)


def dotted(path: str) -> str:
    """Return a module's name."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield (path, class) of all compiled classes but enumerations, whose constants are their members."""
    for path in COMPILED:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ClassDef) and not any("Enum" in ast.unparse(base) for base in node.bases):
                yield path, node


def bases(node: ast.ClassDef, known: dict[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    """Yield the compiled classes that a class derives from, near and far."""
    for base in node.bases:
        name = ast.unparse(base).partition("[")[0].rpartition(".")[2]
        if name in known:
            yield known[name]
            yield from bases(known[name], known)


def set_by_init(node: ast.ClassDef) -> dict[str, ast.expr | None]:
    """Return attribute -> value of what a class's own ``__init__`` sets."""
    found: dict[str, ast.expr | None] = {}
    for function in node.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for line in ast.walk(function):
                if isinstance(line, (ast.Assign, ast.AnnAssign)):
                    targets = line.targets if isinstance(line, ast.Assign) else [line.target]
                    found.update(
                        {
                            t.attr: line.value
                            for t in targets
                            if ast.unparse(t).startswith("self.") and isinstance(t, ast.Attribute)
                        }
                    )
    return found


class ListTests(SynchronousTestCase):
    """Of the sources."""

    def test_what_the_data_plane_imports_is_compiled_too(self) -> None:
        """Or an exception with a reason: a module that is forgotten would be a slow spot that nobody sees."""
        paths = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("netappliance/**/*.py")]
        known = {dotted(path): path for path in paths}
        missing = set()
        for path in COMPILED:
            for name in imports(ast.parse((ROOT / path).read_text())):
                found = known.get(name) or known.get(name.rpartition(".")[0])
                if found and found not in COMPILED and not interpreted(found.removeprefix("netappliance/")):
                    missing.add(f"{path} imports {found}")
        self.assertEqual(missing, set())

    def test_every_exception_has_a_reason(self) -> None:
        """In words."""
        self.assertEqual([name for name, reason in INTERPRETED.items() if len(reason.split()) < 3], [])

    def test_constants_of_compiled_classes_are_declared_so(self) -> None:
        """A bare assignment in a class body is an attribute of its instances, and absent where their __init__ is."""
        bare = [
            f"{path}: {node.name}.{ast.unparse(line)}"
            for path, node in classes()
            for line in node.body
            if isinstance(line, ast.Assign) and not ast.unparse(line.targets[0]).startswith("__")
        ]
        self.assertEqual(bare, [])

    def test_functions_that_return_something_have_a_body(self) -> None:
        """One with a docstring alone passes for a declaration: calling what mypyc makes of it is undefined."""
        empty = [
            f"{path}: {node.name}.{line.name}"
            for path, node in classes()
            if not any("Protocol" in ast.unparse(base) for base in node.bases)
            for line in node.body
            if isinstance(line, ast.FunctionDef) and len(line.body) == 1 and ast.get_docstring(line) is not None
            if line.returns is not None and ast.unparse(line.returns) != "None"
        ]
        self.assertEqual(empty, [])

    def test_loggers_of_compiled_modules_are_named(self) -> None:
        """Twisted finds the name in the caller's frame, which compiled code does not have."""
        self.assertEqual([path for path in COMPILED if "Logger()" in (ROOT / path).read_text()], [])

    def test_attributes_of_open_classes_are_set_once(self) -> None:
        """What a base that may have interpreted subclasses has set is never freed when ``__init__`` sets it again."""
        found = {node.name: node for _, node in classes()}
        again = []
        for path, node in classes():
            for base in bases(node, found):
                if any("allow_interpreted_subclasses=True" in ast.unparse(line) for line in base.decorator_list):
                    first, second = set_by_init(base), set_by_init(node)
                    # letting go of a constant too often harms nobody
                    kept = {name for name, value in first.items() if not isinstance(value, ast.Constant)}
                    again += [f"{path}: {node.name}.{name}" for name in kept & second.keys()]
        self.assertEqual(again, [])


class CompiledBuildTests(SynchronousTestCase):
    """Of what was built."""

    def test_nothing_fell_back_to_being_interpreted(self) -> None:
        """Every listed module is an extension, and its classes are native."""
        if not this_build().compiled:
            self.skipTest("a pure build")
        interpreted = []
        for path in COMPILED:
            module = importlib.import_module(dotted(path))
            assert module.__spec__ is not None
            if not isinstance(module.__spec__.loader, ExtensionFileLoader):
                interpreted.append(path)
                continue
            interpreted += [f"{path}: {found.__name__}" for found in vars(module).values() if fell_back(found, module)]
        self.assertEqual(interpreted, [])


def fell_back(found: Any, module: Any) -> bool:
    """Say whether mypyc left this class of the module to the interpreter, and it is not of a kind that always is."""
    if not isinstance(found, type) or found.__module__ != module.__name__:
        return False
    always = issubclass(found, (Enum, tuple)) or is_typeddict(found) or getattr(found, "_is_protocol", False)
    return not always and "__mypyc_attrs__" not in vars(found)
