"""
Mutation testing of decision code: do the unit tests of a room's own folder notice when the code is wrong?

A mutant is the package with one small change: a comparison, constant, condition, ``not``, ``and``/``or`` or arithmetic
operator. Each runs in a process of its own, forked after the test libraries were imported; only there, and only in
memory, the changed module takes the place of the real one, so that the work tree stays as it is. The tests stop at the
first failure, those of the module's own file come first. A mutant that fails, hangs or eats memory is killed, one that
passes survives. Which mutants a seed draws depends on the lines themselves, not on their number or order, so that a
sample stays while the code around it changes.

(cosmic-ray writes into the work tree, starts an interpreter for each mutant and draws no samples; mutmut wants pytest.)
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
import unittest
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tools.mutations import ROOT, Mutant, Source

EQUIVALENT = ROOT / "tools" / "equivalent_mutants.txt"
#: name -> files and folders below netappliance/; every other path below netappliance/ is a room too
ROOMS = {
    "http/framing": ["http/framing"],
    "http/exchange": ["http/exchange", "http/streams"],
    "clusters": ["clusters"],
    "sessions": ["sessions"],
    "udp": ["udp/chain.py", "udp/datagram.py", "udp/filters"],
    "tracker": [
        "tracker/conntrack/table.py",
        "tracker/conntrack/columns.py",
        "tracker/conntrack/layout.py",
        "tracker/conntrack/decoder.py",
        "tracker/sock_diag/socket_table.py",
        "tracker/counting",
    ],
    "config": ["config"],
}
#: address space of a mutant's process
MEMORY = 4 << 30


class Limit(NamedTuple):
    """Seconds of a mutant's process: all, and of the processor."""

    wall: float
    cpu: int


def in_memory(source: Source) -> importlib.abc.MetaPathFinder:
    """Return a finder that gives the source's tree for its module, and never what was compiled for any of ours."""

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(
            self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
        ) -> importlib.machinery.ModuleSpec | None:
            if name == source.module:
                package = [str(source.path.parent)] if source.path.name == "__init__.py" else None
                return importlib.util.spec_from_file_location(
                    name, source.path, loader=self, submodule_search_locations=package
                )
            if name.startswith("netappliance.") and path:
                details = (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES)
                for folder in path:
                    found = importlib.machinery.FileFinder(folder, details).find_spec(name)
                    if found is not None:
                        return found
            return None

        def exec_module(self, module: ModuleType) -> None:
            exec(source.compiled(), module.__dict__)  # noqa: S102 - that is the whole point

    return Finder()


def run_tests(folders: list[str], own: str, folder: str, first_failure_ends: bool) -> int:
    """
    Run the tests of these packages as tests/run.py does; 0 when all passed.

    Those of the module ``own`` come first, then the others, the quick ones before the slow ones.
    """
    from twisted.trial.runner import TestLoader, TestSuite, TrialRunner

    from tests.run import StrictReporter

    seconds: dict[str, float] = {}

    class Reporter(StrictReporter):
        def startTest(self, method: Any) -> None:
            seconds[method.id()] = -time.monotonic()
            super().startTest(method)

        def stopTest(self, method: Any) -> None:
            super().stopTest(method)
            seconds[method.id()] += time.monotonic()
            if first_failure_ends and (not self.wasSuccessful() or getattr(self, "leaks", [])):
                os._exit(1)

    def flat(suite: Any) -> Iterator[Any]:
        for test in suite:
            yield from flat(test) if isinstance(test, unittest.TestSuite) else (test,)

    def order(test: Any) -> tuple[bool, float]:
        return not test.id().startswith(f"{own}."), known.get(test.id(), 0.0)

    table = Path(folder).with_name("seconds.json")
    known = json.loads(table.read_text()) if table.exists() else {}
    tests = flat(TestLoader().loadByNames(folders, recurse=True))
    result: Any = TrialRunner(Reporter, workingDirectory=folder).run(TestSuite(sorted(tests, key=order)))
    if not table.exists():
        table.write_text(json.dumps(seconds))
    return 0 if result.wasSuccessful() and result.successes and not getattr(result, "leaks", []) else 1


def start(source: Source, mutant: Mutant | None, tests: list[str], folder: str, limit: Limit) -> int:
    """Fork a process that runs the tests on the mutant (on the code as it is when there is none); returns its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setpgid(0, 0)
        signal.setitimer(signal.ITIMER_REAL, limit.wall)
        resource.setrlimit(resource.RLIMIT_CPU, (limit.cpu, limit.cpu))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with Path(folder, f"{os.getpid()}.log").open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        if mutant is not None:
            mutant.apply()
        sys.meta_path.insert(0, in_memory(source))
        status = run_tests(tests, own_tests(source.path), str(Path(folder, str(os.getpid()))), mutant is not None)
        sys.stdout.flush()
    finally:
        os._exit(status)


def finish(child: int, folder: str, keep_log: bool) -> None:
    """Remove what a child left: processes of its group, its log."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if not keep_log:
        Path(folder, f"{child}.log").unlink(missing_ok=True)


def own_tests(path: Path) -> str:
    """Name the module with the tests of a module, whether it is there or not."""
    return ".".join(("tests", *path.parent.relative_to(ROOT / "netappliance").parts, f"test_{path.stem}"))


def tests_of(sources: list[Source]) -> list[str]:
    """Name the packages with the tests of a room: the mirrors of its folders, or where there is none of those above."""
    found = set()
    for source in sources:
        name = own_tests(source.path)
        while not ROOT.joinpath(*name.split("."), "__init__.py").is_file():
            name = name.rpartition(".")[0]
        found.add(name)
    return sorted(name for name in found if not any(name.startswith(f"{other}.") for other in found))


def sources_of(room: str) -> list[Source]:
    """Read the modules of a room, its folders with all below."""
    paths = [ROOT / "netappliance" / name for name in ROOMS.get(room, [room])]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    if not files:
        raise SystemExit(f"no such room: {room}; known are {', '.join(ROOMS)} and paths below netappliance/")
    return [Source(file) for file in files]


def read_equivalent(path: Path) -> dict[tuple[str, str, str], str]:
    """
    Read the list of equivalent mutants: blocks of module, line, the mutant's line and reason, apart by empty lines.

    :return: identity -> reason.
    """
    found = {}
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    for block in filter(None, (block.strip() for block in text.split("\n\n"))):
        try:
            module, before, after, reason = (line.strip() for line in block.splitlines())
        except ValueError:
            raise SystemExit(f"{path}: not module, line, mutant and reason:\n{block}") from None
        found[module, before, after] = reason
    return found


def survivors(drawn: Iterable[tuple[Source, Mutant]], tests: list[str], jobs: int, folder: str) -> list[Mutant]:
    """Run mutants, ``jobs`` at a time; return those that no test killed."""
    left: list[Mutant] = []
    running: dict[int, Mutant] = {}

    def wait() -> None:
        child, status = os.wait()
        mutant = running.pop(child)
        finish(child, folder, keep_log=False)
        if status == 0:
            left.append(mutant)

    limit = None
    for source, mutant in drawn:
        limit = limit or baseline(source, tests, folder)
        while len(running) >= jobs:
            wait()
        running[start(source, mutant, tests, folder, limit)] = mutant
    while running:
        wait()
    return left


def baseline(source: Source, tests: list[str], folder: str) -> Limit:
    """Run the tests on the code as it is; returns the seconds that mutants may take with them."""
    started = time.monotonic()
    child = start(source, None, tests, folder, Limit(600.0, 600))
    _, status, used = os.wait4(child, 0)
    finish(child, folder, keep_log=True)
    if status:
        raise SystemExit(f"{tests} fail without any mutant:\n" + Path(folder, f"{child}.log").read_text())
    return Limit(30 + 5 * (time.monotonic() - started), math.ceil(5 + 2 * (used.ru_utime + used.ru_stime)))


def judge(room: str, sample: int, seed: int, jobs: int) -> float:
    """Run a room's sample and print the outcome; returns killed / total."""
    sources = sources_of(room)
    listed = read_equivalent(EQUIVALENT)
    everything = [(source, mutant) for source in sources for mutant in source.mutants]
    known = [pair for pair in everything if pair[1].identity in listed]
    ranked = sorted((pair for pair in everything if pair[1].identity not in listed), key=lambda p: p[1].rank(seed))
    drawn = ranked[:sample]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        left = survivors(drawn, tests_of(sources), jobs, folder)
    share = 1 - len(left) / len(drawn) if drawn else 1.0
    print(
        f"{room}: {len(drawn) - len(left)} of {len(drawn)} killed ({share:.0%}), drawn with seed {seed} from "
        f"{len(ranked)}, {len(known)} more are equivalent; {time.monotonic() - started:.0f} s"
    )
    for mutant in sorted(left, key=lambda mutant: (mutant.module, mutant.number)):
        place = file_of(mutant.module).relative_to(ROOT)
        print(f"  {place}:{mutant.number}\n    - {mutant.before}\n    + {mutant.after}")
    sys.stdout.flush()
    return share


def file_of(module: str) -> Path:
    """Return where a module is, or would be."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def gone() -> list[tuple[str, str, str]]:
    """Return what is listed as equivalent and is no mutant of its module any more."""
    listed = read_equivalent(EQUIVALENT)
    found = set()
    for module in {module for module, _, _ in listed}:
        path = file_of(module)
        if path.is_file():
            found |= {mutant.identity for mutant in Source(path).mutants}
    return [identity for identity in listed if identity not in found]


def main(arguments: list[str]) -> int:
    """Judge the rooms; 1 when one is below the threshold, or when the list of equivalent mutants is out of date."""
    parser = argparse.ArgumentParser(description="How many random mutants do the unit tests of a room kill?")
    parser.add_argument("--room", action="append", help=f"one of {', '.join(ROOMS)}, or a path below netappliance/")
    parser.add_argument("--sample", type=int, default=100, help="mutants of each room (default %(default)s)")
    parser.add_argument("--seed", type=int, default=9, help="which ones (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default %(default)s)")
    parser.add_argument("--threshold", type=float, default=90, help="per cent to be killed (default %(default)s)")
    options = parser.parse_args(arguments)
    sys.path[0] = str(ROOT)
    import h11  # noqa: F401 - imported once, before the forks
    import hypothesis

    import tests.run  # noqa: F401

    # no shrinking: the first counterexample kills; the same examples every time
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None, phases=phases)
    hypothesis.settings.load_profile("mutants")
    shares = [judge(room, options.sample, options.seed, options.jobs) for room in options.room or ROOMS]
    outdated = gone()
    for module, before, after in outdated:
        print(f"{EQUIVALENT.name} lists a mutant that does not exist: {module}\n    - {before}\n    + {after}")
    return 0 if min(shares) * 100 >= options.threshold and not outdated else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
