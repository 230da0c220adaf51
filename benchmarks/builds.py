"""Our builds: the same sources interpreted and compiled, each under a name of its own in every table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import PROXY_CORE, Bench, Running, free_port
from benchmarks.rows import COMPILED, PURE

ROOT = Path(__file__).resolve().parent.parent
RUN_TWISTD = "from twisted.scripts.twistd import run; run()"


@dataclass(frozen=True)
class Build:
    """
    How one build is run.

    :param name: what tables call it.
    :param python: the command that starts its interpreter.
    """

    name: str
    python: tuple[str, ...]

    def start(self, bench: Bench, config: str, port: int, *, limits: str = "", datagrams: bool = False) -> Running:
        """
        Run the appliance with the sections of ``config``, with an admin listener and no access log.

        :param port: where it listens for traffic.
        :param limits: lines of its first section.
        :param datagrams: nobody can tell by a connection whether it does.
        """
        admin = free_port()
        path = bench.write(
            f"ours-{port}.ini",
            f"[appliance]\naccess_log = none\n{limits}[admin]\nlisten = tcp:{admin}:interface=127.0.0.1\n{config}",
        )
        command = (*self.python, "-c", RUN_TWISTD, "-n", "--pidfile=", "proxy", "--config", path)
        process = bench.start(PROXY_CORE, *command, port=admin if datagrams else port)
        return Running(self.name, port, process.pid)

    def described(self) -> str:
        """Return what it says of itself: version, compiled or pure Python."""
        command = [*self.python, "-m", "netappliance.process.build"]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip()


#: what runs the benchmark, whichever it is
INSTALLED = Build(PURE, (sys.executable,))


def pure(folder: Path) -> Build:
    """Copy the sources into a folder, without what was compiled beside them, and run them from there."""
    for package in ("netappliance", "twisted", "benchmarks"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.so", "build.json", "__pycache__")
        )
    return Build(PURE, ("env", f"PYTHONPATH={folder}", sys.executable))


def compiled() -> Build:
    """
    Find the compiled build of these sources: beside them (``make compiled``), or in ``.compiled/``, which is brought up
    to date where it is needed.

    :raises RuntimeError: it cannot be built; says why.
    """
    beside = Build(COMPILED, (sys.executable,))
    if beside.described().endswith("(compiled)"):
        return beside
    done = subprocess.run(
        [sys.executable, "-m", "tools.compiled_tree"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    apart = Build(COMPILED, (str(ROOT / ".venv-compiled" / "bin" / "python"),))
    if done.returncode or not apart.described().endswith("(compiled)"):
        said = (done.stdout + done.stderr).strip().splitlines()
        raise RuntimeError(next((line.strip() for line in said if "NETAPPLIANCE_COMPILED=1: " in line), said[-1]))
    return apart
