"""Medians of interleaved runs, and their ratios to ours."""

from __future__ import annotations

import json
import platform
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import twisted
from benchmarks.peers import envoy_binary

RESULTS = Path(__file__).parent / "results"

#: program -> how it tells its version
VERSIONS = {"nginx": "-v", "haproxy": "-v", "wrk": "-v", "iperf3": "--version", "envoy": "--version", "cc": "--version"}

#: proxy -> what it measured in each run
Runs = dict[str, list[float]]


def facts() -> dict[str, str]:
    """What the numbers depend on: processor, kernel, and the versions of all programs that took part."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    found = {
        "processor": cpu.group(1) if cpu else platform.machine(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "twisted": twisted.__version__,
    }
    for program, flag in VERSIONS.items():
        path = envoy_binary() if program == "envoy" else shutil.which(program)
        if path is not None:
            done = subprocess.run([path, flag], capture_output=True, text=True, check=False)  # wrk -v says 1
            lines = (done.stdout + done.stderr).replace(path, "").strip().splitlines()
            found[program] = lines[0].strip() if lines else "unknown"
    return found


class Report:
    """Collects rows, prints a table, writes JSON."""

    def __init__(self) -> None:
        self.rows: dict[str, Runs] = {}
        self.lower_is_better: set[str] = set()
        self.notes: list[str] = []
        self.failures: list[str] = []
        self._targets: list[tuple[str, str, float, float]] = []

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

    def target(self, row: str, proxy: str, *, at_least: float = 0, at_most: float = float("inf")) -> None:
        """What the ratio ours / theirs is to be."""
        self._targets.append((row, proxy, at_least, at_most))

    def medians(self, row: str) -> dict[str, float]:
        """The median of each proxy."""
        return {proxy: statistics.median(values) for proxy, values in self.rows.get(row, {}).items()}

    def ratios(self, row: str) -> dict[str, float]:
        """Ours divided by each other: medians of the ratios of the same round, which noise hits together."""
        runs = self.rows.get(row, {})
        ours = runs.get("netappliance", [])
        return {
            proxy: statistics.median(mine / theirs for mine, theirs in zip(ours, values, strict=False) if theirs)
            for proxy, values in runs.items()
            if proxy != "netappliance" and ours
        }

    def text(self) -> str:
        """The table: medians, and ours / theirs."""
        out = []
        for row in self.rows:
            better = "lower is better" if row in self.lower_is_better else "higher is better"
            out.append(f"{row} ({better})")
            ratios = self.ratios(row)
            for proxy, value in self.medians(row).items():
                ratio = f"   ours / {proxy} = {ratios[proxy]:.2f}" if proxy in ratios else ""
                out.append(f"    {proxy:<20} {value:>12,.2f}{ratio}")
        out.extend(self._judged())
        out.extend(f"note: {note}" for note in self.notes)
        out.extend(f"FAILED: {failure}" for failure in self.failures)
        out.extend(f"{name}: {value}" for name, value in facts().items())
        return "\n".join(out)

    def _judged(self) -> list[str]:
        out = []
        for row, proxy, at_least, at_most in self._targets:
            wanted = f"at least {at_least:g}" if at_least else f"at most {at_most:g}"
            ratio = self.ratios(row).get(proxy)
            said = "not measured" if ratio is None else f"{ratio:.2f}"
            verdict = "met" if ratio is not None and at_least <= ratio <= at_most else "MISSED"
            out.append(f"target {verdict}: {row}: ours / {proxy} {wanted}: {said}")
        return out

    def save(self) -> Path:
        """Write the numbers; returns the file."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
        rows = {row: {"runs": runs, "ratios": self.ratios(row)} for row, runs in self.rows.items()}
        saved = {
            "facts": facts(),
            "rows": rows,
            "targets": self._judged(),
            "notes": self.notes,
            "failed": self.failures,
        }
        path.write_text(json.dumps(saved, indent=1))
        return path
