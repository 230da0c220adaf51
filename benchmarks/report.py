"""Medians of interleaved runs, and their ratios to ours."""

from __future__ import annotations

import json
import platform
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

import twisted
from benchmarks.processes import envoy_binary, sozu_binary
from benchmarks.rows import COMPILED, OURS
from benchmarks.targets import judged

RESULTS = Path(__file__).parent / "results"

#: program -> how it tells its version
VERSIONS = {
    "nginx": "-v",
    "haproxy": "-v",
    "wrk": "-v",
    "iperf3": "--version",
    "envoy": "--version",
    "sozu": "--version",
    "cc": "--version",
}

FINDERS = {"envoy": envoy_binary, "sozu": sozu_binary}

#: proxy -> what it measured in each run
Runs = dict[str, list[float]]


def facts() -> dict[str, str]:
    """What the numbers depend on: processor, kernel, interpreter, versions of all programs that can take part."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    found = {
        "processor": cpu.group(1) if cpu else platform.machine(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "system": _system(),
        "python": f"{platform.python_version()} {platform.python_compiler()} {' '.join(_optimisations())}".rstrip(),
        "interpreter": str(Path(sys.executable).resolve()),
        "twisted": twisted.__version__,
    }
    for program, flag in VERSIONS.items():
        path = FINDERS[program]() if program in FINDERS else shutil.which(program)
        if path is not None:
            done = subprocess.run([path, flag], capture_output=True, text=True, check=False)  # wrk -v says 1
            lines = (done.stdout + done.stderr).replace(path, "").strip().splitlines()
            found[program] = lines[0].strip() if lines else "unknown"
    return found


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


def _optimisations() -> list[str]:
    """How the interpreter was built, as far as its speed depends on it and its makers recorded it."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    flags = sysconfig.get_config_var("CFLAGS") or ""
    known = re.findall(r"--enable-optimizations|--with-lto[\w=]*|--with-pydebug", options)
    levels = re.findall(r"(?<!\S)-O\w+", flags)
    return [*levels[-1:], *known]


class Report:
    """
    Collects rows, prints a table, writes JSON.

    :param builds: our builds by name, and what each says of itself.
    """

    def __init__(self, builds: Mapping[str, str]) -> None:
        self.builds = builds
        self.rows: dict[str, Runs] = {}
        self.lower_is_better: set[str] = set()
        self.notes: list[str] = []
        self.failures: list[str] = []

    def add(self, row: str, proxy: str, value: float, *, lower_is_better: bool = False) -> None:
        """One measurement of one proxy."""
        self.rows.setdefault(row, {}).setdefault(proxy, []).append(value)
        if lower_is_better:
            self.lower_is_better.add(row)

    def note(self, text: str) -> None:
        """A sentence that belongs to the numbers."""
        self.notes.append(text)

    def fail(self, text: str) -> None:
        """A measurement that went wrong: printed, and the command's exit status is 1."""
        self.failures.append(" ".join(text.split()))

    def medians(self, row: str) -> dict[str, float]:
        """The median of each proxy."""
        return {proxy: statistics.median(values) for proxy, values in self.rows.get(row, {}).items()}

    def ratios(self, row: str) -> dict[str, dict[str, float]]:
        """Each of our builds (a key) divided by each peer (a key of its value), and compiled by pure."""
        runs = self.rows.get(row, {})
        return {
            ours: {
                proxy: found
                for proxy, values in runs.items()
                if proxy not in (ours, COMPILED) and (found := ratio(runs[ours], values)) is not None
            }
            for ours in OURS
            if ours in runs
        }

    def text(self) -> str:
        """The table: medians, and ours / theirs for each build."""
        out = []
        for row in self.rows:
            better = "lower is better" if row in self.lower_is_better else "higher is better"
            out.append(f"{row} ({better})")
            ratios = self.ratios(row)
            for proxy, value in self.medians(row).items():
                found = [f"{ours} / it = {known[proxy]:.2f}" for ours, known in ratios.items() if proxy in known]
                out.append(f"    {proxy:<22} {value:>12,.2f}   {', '.join(found)}".rstrip())
        out.extend(judged({row: self.ratios(row) for row in self.rows}))
        out.extend(f"note: {note}" for note in self.notes)
        out.extend(f"FAILED: {failure}" for failure in self.failures)
        out.extend(f"{name}: {value}" for name, value in {**self.builds, **facts()}.items())
        return "\n".join(out)

    def save(self, *, rounds: int, seconds: int) -> Path:
        """Write the numbers; returns the file."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
        rows = {
            row: {"medians": self.medians(row), "ratios": self.ratios(row), "runs": runs}
            for row, runs in self.rows.items()
        }
        saved = {
            "facts": {**facts(), **self.builds},
            "rounds": rounds,
            "seconds": seconds,
            "rows": rows,
            "targets": judged({row: self.ratios(row) for row in self.rows}),
            "notes": self.notes,
            "failed": self.failures,
        }
        path.write_text(json.dumps(saved, indent=1))
        return path


def ratio(ours: list[float], theirs: list[float]) -> float | None:
    """
    Ours divided by theirs: the median of the ratios of the same round, which noise hits together.

    :return: None when there is no round in which theirs is more than nothing.
    """
    found = [mine / other for mine, other in zip(ours, theirs, strict=False) if other]
    return statistics.median(found) if found else None
