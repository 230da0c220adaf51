"""Medians of interleaved runs, and their ratios to ours."""

from __future__ import annotations

import json
import platform
import statistics
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"

#: proxy -> what it measured in each run
Runs = dict[str, list[float]]


class Report:
    """Collects rows, prints a table, writes JSON."""

    def __init__(self) -> None:
        self.rows: dict[str, Runs] = {}
        self.lower_is_better: set[str] = set()
        self.notes: list[str] = []

    def add(self, row: str, proxy: str, value: float, *, lower_is_better: bool = False) -> None:
        """One measurement of one proxy."""
        self.rows.setdefault(row, {}).setdefault(proxy, []).append(value)
        if lower_is_better:
            self.lower_is_better.add(row)

    def note(self, text: str) -> None:
        """A sentence that belongs to the numbers."""
        self.notes.append(text)

    def medians(self, row: str) -> dict[str, float]:
        """The median of each proxy."""
        return {proxy: statistics.median(values) for proxy, values in self.rows[row].items()}

    def ratios(self, row: str) -> dict[str, float]:
        """Ours divided by each other: medians of the ratios of the same round, which noise hits together."""
        runs = self.rows[row]
        ours = runs["netappliance"]
        return {
            proxy: statistics.median(mine / theirs for mine, theirs in zip(ours, values, strict=False) if theirs)
            for proxy, values in runs.items()
            if proxy != "netappliance"
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
                out.append(f"    {proxy:<14} {value:>12,.2f}{ratio}")
        out.extend(f"note: {note}" for note in self.notes)
        return "\n".join(out)

    def save(self) -> Path:
        """Write the numbers; returns the file."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
        facts = {"machine": platform.machine(), "kernel": platform.release(), "python": platform.python_version()}
        rows = {row: {"runs": runs, "ratios": self.ratios(row)} for row, runs in self.rows.items()}
        path.write_text(json.dumps({"facts": facts, "rows": rows, "notes": self.notes}, indent=1))
        return path
