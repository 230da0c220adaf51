"""The code of docs/plugins.md, and contracts run on what is right and on what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from unittest import TestCase, TestResult

_DOCUMENT = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()


def printed(name: str) -> Any:
    """Return what this name is in the one block of code of docs/plugins.md that defines it."""
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", _DOCUMENT, re.DOTALL)
        if re.search(rf"^class {name}\b", block, re.MULTILINE)
    )
    namespace: dict[str, Any] = {"__name__": "printed"}
    exec(compile(code, "docs/plugins.md", "exec"), namespace)
    return namespace[name]


def broken(contract: type, made: Any) -> list[str]:
    """Return what a contract finds wrong with a plug-in: the last line of each failed test."""

    class Tests(contract, TestCase):
        def make(self) -> Any:
            return made()

    result = TestResult()
    for name in sorted(dir(Tests)):
        if name.startswith("test_"):
            Tests(name).run(result)
    assert result.testsRun
    return [text.strip().splitlines()[-1] for _, text in result.failures + result.errors]
