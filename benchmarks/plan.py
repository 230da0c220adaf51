"""What one run measures: which rows, on which proxies, how often and how long."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from typing import Protocol

from benchmarks.builds import INSTALLED, Build
from benchmarks.processes import Bench, Running
from benchmarks.report import Report

#: starts a proxy in front of the backend on a port; None where it is not installed
Start = Callable[[Bench, int], "Running | None"]


class Ours(Protocol):
    """Starts one of our builds there."""

    def __call__(self, bench: Bench, backend: int, build: Build) -> Running:
        """Start it."""


@dataclass(frozen=True)
class Plan:
    """
    What is wanted.

    :param rounds: how often each proxy is measured in each row.
    :param seconds: how long each time.
    :param rows: names of rows; empty for all.
    :param proxies: names of proxies; empty for all.
    :param builds: our builds, which are proxies too.
    """

    rounds: int
    seconds: int
    rows: frozenset[str] = frozenset()
    proxies: frozenset[str] = frozenset()
    builds: tuple[Build, ...] = (INSTALLED,)

    def has_row(self, *names: str) -> bool:
        """True when one of these rows is wanted."""
        return not self.rows or not self.rows.isdisjoint(names)

    def has_proxy(self, name: str) -> bool:
        """True when this proxy is wanted."""
        return not self.proxies or name in self.proxies

    def start(
        self, report: Report, bench: Bench, backend: int, ours: Ours, peers: Mapping[str, Start]
    ) -> list[Running]:
        """Start our builds, and those of the peers that are wanted and installed; report one that does not start."""
        known: dict[str, Start] = {build.name: partial(ours, build=build) for build in self.builds}
        known |= {name: start for name, start in peers.items() if self.has_proxy(name)}
        running = []
        for name, start in known.items():
            try:
                running.append(start(bench, backend))
            except RuntimeError as error:
                report.fail(f"{name} does not start: {error}")
        return [each for each in running if each is not None]

    def interleave(
        self, report: Report, what: str, proxies: Iterable[Running], measure: Callable[[Running], None]
    ) -> None:
        """
        Measure all in each round, so that noise hits all alike.

        A proxy that fails is not measured again, and the report says so.
        """
        failed: set[int] = set()
        for _ in range(self.rounds):
            for proxy in proxies:
                if proxy.port not in failed:
                    try:
                        measure(proxy)
                    except (RuntimeError, OSError, HTTPException, subprocess.CalledProcessError) as error:
                        failed.add(proxy.port)
                        report.fail(f"{what}: {proxy.name}: {getattr(error, 'stderr', '') or repr(error)}")

    def put(self, report: Report, load: Load, proxies: Iterable[Running]) -> None:
        """Put a load on all proxies, in turn."""
        self.interleave(report, load.rate, proxies, lambda proxy: load.measure(report, proxy))


@dataclass(frozen=True)
class Load:
    """
    One load that is put on every proxy.

    :param rate: the row of what passes in a second.
    :param cpu: the row of the CPU that it takes.
    :param run: returns (per second, CPU microseconds of the proxy for each).
    :param each: what one of them counts for in the rows.
    """

    rate: str
    cpu: str
    run: Callable[[Running], tuple[float, float]]
    each: float = 1

    def measure(self, report: Report, proxy: Running) -> None:
        """Run it against a proxy and add what came out to both rows."""
        rate, cpu = self.run(proxy)
        report.add(self.rate, proxy.name, rate * self.each)
        report.add(self.cpu, proxy.name, cpu / self.each, lower_is_better=True)


def chosen(given: str, known: Iterable[str]) -> frozenset[str]:
    """
    Return the names in a list separated by commas; a space in a name may be written as a hyphen.

    :raises ValueError: for a name that is not known; says which are.
    """
    names = {name.replace(" ", "-"): name for name in known}
    asked = [name.strip().replace(" ", "-") for name in given.split(",") if name.strip()]
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: not one of {', '.join(sorted(names))}")
    return frozenset(names[name] for name in asked)
