"""
Which build this is: compiled from its sources (docs/operations.md, Builds), or pure Python.

``python -m netappliance.process.build`` exits with 1 where compiled modules are older than the sources beside them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import netappliance

#: the folder that holds the package
ROOT = Path(netappliance.__file__).resolve().parent.parent
#: written by setup.py: {"compiled", "why", "sources": {path: SHA-256}}
RECORD = "netappliance/build.json"


@dataclass(frozen=True, slots=True)
class Build:
    """
    :ivar compiled: the listed modules are extension modules.
    :ivar why: why they are not, as the build told; empty where nothing was recorded.
    :ivar changed: sources that are not those that were compiled: what runs is not what they say.
    """

    compiled: bool
    why: str = ""
    changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.compiled:
            return f"pure Python: {self.why}" if self.why else "pure Python"
        return f"compiled, but not from these sources: {', '.join(self.changed)}" if self.changed else "compiled"


def this_build(root: Path = ROOT, loaded: Mapping[str, ModuleType] = sys.modules) -> Build:
    """
    Say what this build is: what was recorded, and what is true of the modules that are loaded.

    :param root: the folder that holds the package. :param loaded: modules by name.
    """
    try:
        record: dict[str, Any] = json.loads((root / RECORD).read_text())
    except FileNotFoundError:
        return Build(compiled=False)
    sources: dict[str, str] = record["sources"]
    if not record["compiled"]:
        return Build(compiled=False, why=record["why"])
    interpreted = [path for path in sources if not _compiled(root / path, loaded.get(_module(path)))]
    if interpreted:
        return Build(compiled=False, why=f"no compiled module for this Python: {', '.join(interpreted)}")
    return Build(compiled=True, changed=tuple(path for path in sources if _digest(root / path) != sources[path]))


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _compiled(source: Path, module: ModuleType | None) -> bool:
    if module is not None:
        return module.__spec__ is not None and isinstance(module.__spec__.loader, ExtensionFileLoader)
    return any(source.with_suffix(suffix).is_file() for suffix in EXTENSION_SUFFIXES)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def main() -> int:
    """Print the build; 1 when its compiled modules are stale."""
    build = this_build()
    print(f"netappliance {netappliance.__version__} ({build})")  # noqa: T201 - the command's answer
    return 1 if build.changed else 0


if __name__ == "__main__":
    sys.exit(main())
