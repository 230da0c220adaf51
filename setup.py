"""
Compiles the data plane where it is asked for or possible; metadata is in setup.cfg, the list of modules in
tools/compiled_modules.py, the choice in tools/build_backend.py.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT)]

from tools.build_backend import VARIABLE, wanted, why_not  # noqa: E402
from tools.compiled_modules import compiled_modules, digests  # noqa: E402

#: what a build was made from and why it is not compiled, read by netappliance/process/build.py
RECORD = "netappliance/build.json"
#: no interposition: calls between our own functions are direct, and can be inlined
FLAGS = ["-fno-semantic-interposition", "-fno-plt"]

#: commands that make something of the modules; the others only ask for metadata
BUILDING = {"bdist_wheel", "build", "build_ext", "develop", "editable_wheel", "install"}

record: dict[str, Any] = {"compiled": False, "why": "", "sources": {}}


def say(why: str) -> None:
    """Tell why this build is pure Python; ``twistd proxy --version`` tells it later."""
    record["why"] = why
    print(f"netappliance: pure Python, not compiled: {why}", flush=True)  # noqa: T201 - the build's output


def extensions() -> list[Any]:
    """
    Return the extension modules to build; none where the build is to be pure.

    :raises SystemExit: compiling was asked for and cannot be done.
    """
    asked = wanted()
    if not BUILDING.intersection(sys.argv):
        return []
    if asked is False:
        say(f"{VARIABLE}=0")
        return []
    why = why_not()
    if not why:
        try:
            made = compiled()
        except ImportError as error:
            why = f"no mypyc: {error} (pip install 'mypy[mypyc]')"
        except SystemExit as error:
            why = f"mypyc: {error}"
        else:
            record.update(compiled=True, sources=digests(ROOT, compiled_modules(ROOT)))
            return made
    if asked:
        sys.exit(f"{VARIABLE}=1: {why}")
    say(why)
    return []


def compiled() -> list[Any]:
    """Translate the listed modules to C: one library that holds them all, and a thin module for each."""
    from mypyc.build import mypycify

    # a bad type in a neighbour is for `make type` to tell; here only what is compiled counts
    made: list[Any] = mypycify(
        ["--follow-imports=silent", *compiled_modules(ROOT)], group_name="netappliance", opt_level="2"
    )
    for extension in made:
        extension.extra_compile_args += FLAGS
    return made


class BuildModules(build_py):
    """Copies the modules, and writes what the build was made from beside them."""

    def run(self) -> None:
        """Build."""
        # modules that are gone since an earlier build in this folder must not get into a wheel
        shutil.rmtree(Path(self.build_lib) / "netappliance", ignore_errors=True)
        super().run()
        if not self.editable_mode:
            write_record(Path(self.build_lib) / RECORD)


class BuildExtensions(build_ext):
    """Compiles; a compiler that fails makes a pure build, unless compiling was asked for."""

    def run(self) -> None:
        """Build."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever a compiler may fail with
            if wanted():
                sys.exit(f"{VARIABLE}=1: {error}")
            self.extensions: list[Any] = []
            record.update(compiled=False, sources={})
            say(str(error))
            write_record(Path(self.build_lib) / RECORD)
        if self.inplace:
            write_record(ROOT / RECORD)


def write_record(path: Path) -> None:
    """Write the record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExtensions, "build_py": BuildModules})
