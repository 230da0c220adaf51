"""
Keep a compiled build beside the pure one: ``.compiled/`` holds the tree with a compiled wheel unpacked over it, and
``.venv-compiled/`` an environment that imports from there and has the packages of ``.venv``.

Usage: ``.venv/bin/python -m tools.compiled_tree``. Where the wheel is of these sources already, it stays.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

from tools.compiled_modules import compiled_modules, digests

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / ".compiled"
ENVIRONMENT = ROOT / ".venv-compiled"
RECORD = "netappliance/build.json"


def main() -> None:
    """Bring tree and environment up to date."""
    sync()
    if not fresh():
        build()
    environment()


def sync() -> None:
    """Copy what git knows or would add; what is gone from there goes, but for what the wheel brought."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wanted = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for path in [path for path in TREE.rglob("*") if path.is_file()]:
        name = path.relative_to(TREE).as_posix()
        if name not in wanted and name.endswith(".py"):
            path.unlink()
    for name in wanted:
        source, copy = ROOT / name, TREE / name
        if not copy.is_file() or source.read_bytes() != copy.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)


def fresh() -> bool:
    """Say whether the compiled modules are of these sources."""
    try:
        record = json.loads((TREE / RECORD).read_text())
    except FileNotFoundError:
        return False
    return bool(record["sources"] == digests(ROOT, compiled_modules(ROOT)))


def build() -> None:
    """Make a compiled wheel as a user would, but with the packages that are here, and unpack its compiled parts."""
    for stale in TREE.rglob("*.so"):
        stale.unlink()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, str(TREE)],
            env={**os.environ, "NETAPPLIANCE_COMPILED": "1"},
            check=True,
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(".so") or name == RECORD:
                    archive.extract(name, TREE)


def environment() -> None:
    """Make the environment; the packages are those of the Python that runs this."""
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)}))
    if not (ENVIRONMENT / "bin" / "python").exists():
        venv.create(ENVIRONMENT, with_pip=False, symlinks=True)
    (packages / "compiled.pth").write_text(f"{TREE}\n{sysconfig.get_path('purelib')}\n")


if __name__ == "__main__":
    main()
