"""
The build backend: setuptools', and what compiling needs where it will compile.

``NETAPPLIANCE_COMPILED`` decides: ``1`` compiles or fails with the reason, ``0`` never compiles, unset compiles where a
C compiler and Python's headers are. An editable install, whose sources are there to be changed, compiles with ``1``
only.
"""

from __future__ import annotations

import configparser
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import build_sdist, get_requires_for_build_sdist, prepare_metadata_for_build_wheel

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

VARIABLE = "NETAPPLIANCE_COMPILED"
ROOT = Path(__file__).resolve().parent.parent

Settings = dict[str, Any] | None


def wanted() -> bool | None:
    """
    Return what the environment asks for: True, False, or None for "where it is possible".

    :raises SystemExit: another value.
    """
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        sys.exit(f"{VARIABLE} = {value}: expected 1 (compile or fail), 0 (never compile), or nothing")
    return None if not value else value == "1"


def why_not() -> str:
    """Say why extension modules cannot be built here; empty when they can: a small one is compiled and linked."""
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler, get_python_inc

    headers = [get_python_inc(), get_python_inc(plat_specific=True)]
    if not any((Path(folder) / "Python.h").is_file() for folder in headers):
        return f"no headers of this Python: {headers[0]}/Python.h is missing (Debian: apt-get install python3-dev)"
    compiler: Any = new_compiler()
    customize_compiler(compiler)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text("#include <Python.h>\nint probe(void) { return PY_MAJOR_VERSION; }\n")
        try:
            made = compiler.compile([str(source)], output_dir=folder, include_dirs=headers)
            compiler.link_shared_object(made, str(Path(folder) / "probe.so"))
        except Exception as error:
            command = getattr(compiler, "compiler_so", ["cc"])[0]
            return f"no C compiler that works: {command}: {error} (Debian: apt-get install gcc)"
    return ""


def compile_requirements() -> list[str]:
    """Return what compiling needs besides setuptools: mypy, and the packages whose types it reads."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    options = metadata["options"]["install_requires"], metadata["options.extras_require"]["compile"]
    return [line for text in options for line in text.split("\n") if line.strip()]


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Setuptools' own, and what compiling needs where this build will compile."""
    asked = wanted()
    needed = compile_requirements() if asked or (asked is None and not why_not()) else []
    return [*build_meta.get_requires_for_build_wheel(config_settings), *needed]


def build_wheel(directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build; setup.py compiles by the variable."""
    made: str = build_meta.build_wheel(directory, config_settings, metadata_directory)
    return made


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """As of a wheel, but only with ``1``."""
    needed = compile_requirements() if wanted() else []
    return [*build_meta.get_requires_for_build_editable(config_settings), *needed]


def prepare_metadata_for_build_editable(directory: str, config_settings: Settings = None) -> str:
    """Setuptools', not compiling unless asked."""
    os.environ.setdefault(VARIABLE, "0")
    made: str = build_meta.prepare_metadata_for_build_editable(directory, config_settings)
    return made


def build_editable(directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build in place, not compiling unless asked."""
    os.environ.setdefault(VARIABLE, "0")
    made: str = build_meta.build_editable(directory, config_settings, metadata_directory)
    return made
