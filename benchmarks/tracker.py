"""The tracker: 200 000 entries beside conntrack -L and pyroute2, and 2 000 new connections a second."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from urllib.request import urlopen

from benchmarks import rows
from benchmarks.builds import INSTALLED, RUN_TWISTD, Build
from benchmarks.plan import Plan
from benchmarks.processes import PEER_CORE, PROXY_CORE, Bench, Running, absent, free_port
from benchmarks.report import Report

ENTRIES = 200_000
RATE = 2000
ROWS = ("tracker-load", "tracker-events")


def run(report: Report, plan: Plan) -> None:
    """Measure each part in a network namespace of its own, and add what it printed."""
    known = (("load", plan.rounds), ("events", 30 if plan.seconds > 2 else 5))
    parts = [(part, number) for part, number in known if plan.has_row(f"tracker-{part}")]
    if not parts or not plan.builds:
        return
    missing = [program for program in ("conntrack", "unshare", "ip", "taskset") if shutil.which(program) is None]
    if missing or os.geteuid():
        absent(f"root and {', '.join(missing) or 'a network namespace'} for the tracker")
        return
    for part, number in parts:
        builds = json.dumps([dataclasses.astuple(build) for build in plan.builds])
        command = ["unshare", "--net", sys.executable, "-m", "benchmarks.tracker", part, str(number), builds]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        for line in done.stdout.splitlines():
            what, name, value = json.loads(line)
            if name:
                report.add(what, name, value, lower_is_better=True)
            else:
                report.note(what)
        if done.returncode:
            raise RuntimeError(f"the tracker's {part}")


def _say(what: str, name: str = "", value: float = 0.0) -> None:
    """Give the process outside a figure, or a note (no name)."""
    print(json.dumps([what, name, value]), flush=True)


def _figures(bench: Bench, build: Build, *arguments: str) -> dict[str, float]:
    """Run the load's program with a build; what it printed."""
    command = ("taskset", "-c", PROXY_CORE, *build.python, "-m", "benchmarks.tracker_load", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, cwd=bench.folder, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    if found.get("entries", ENTRIES) != ENTRIES:
        raise RuntimeError(f"{arguments}: {found}")
    return found


def load(bench: Bench, rounds: int, builds: list[Build]) -> None:
    """Load 200 000 entries, in turn."""
    subprocess.run([sys.executable, "-m", "benchmarks.tracker_load", "fill", str(ENTRIES)], check=True)
    listing = ["taskset", "-c", PROXY_CORE, "conntrack", "-L", "-o", "extended"]
    for _ in range(rounds):
        for build in builds:
            ours = _figures(bench, build, "tracker")
            _say(rows.TRACKER_LOAD, build.name, ours["load"])
            _say(rows.TRACKER_MEMORY, build.name, ours["rss"])
            _say(rows.TRACKER_SCRAPE, build.name, ours["scrape"])
            _say(rows.TRACKER_TURN, build.name, ours["turn"])
        with (bench.folder / "list").open("wb") as file:
            began = time.perf_counter()
            subprocess.run(listing, stdout=file, stderr=subprocess.DEVNULL, check=True)
            _say(rows.TRACKER_LOAD, "conntrack -L", time.perf_counter() - began)
    if importlib.util.find_spec("pyroute2") is None:
        absent("pyroute2 (pip install netappliance[bench])")
        return
    theirs = _figures(bench, INSTALLED, "pyroute2")
    for _ in range(rounds):  # once is enough: it takes ten times as long
        _say(rows.TRACKER_LOAD, "pyroute2", theirs["load"])


def events(bench: Bench, seconds: int, builds: list[Build]) -> None:
    """Short connections, and what following them costs; all follow the same ones."""
    port = free_port()
    tools = (sys.executable, "-m", "benchmarks.tracker_load")
    bench.start(PEER_CORE, *tools, "accept", str(port), port=port)
    running = [_follower(bench, build, port) for build in builds]
    watch = bench.start(PROXY_CORE, "conntrack", "-E")
    running.append(Running("conntrack -E", 0, watch.pid))
    time.sleep(1)
    before = [(each.cpu_seconds(), _opened(each.port)) for each in running]
    command = ("taskset", "-c", PEER_CORE, *tools, "connect", str(port), str(RATE), str(seconds))
    made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["count"]
    time.sleep(1.5)
    for each, (used, opened) in zip(running, before, strict=True):
        _say(rows.TRACKER_EVENTS, each.name, (each.cpu_seconds() - used) / made * 1e6)
        if each.port:
            counted, lost = _opened(each.port) - opened, _metric(each.port, "events_lost_total")
            _say(f"of {made} new connections in {seconds} s {each.name} counted {counted:.0f}; {lost:.0f} events lost")


def _follower(bench: Bench, build: Build, port: int) -> Running:
    """Start a tracker that counts connections to four ports; its port is that of its admin pages."""
    admin = free_port()
    config = bench.write(
        f"tracker-{admin}.ini",
        f"""[appliance]\naccess_log = none\n[admin]\nlisten = tcp:{admin}:interface=127.0.0.1
[tracker]\nsource = conntrack\nenable = yes\nignore =\ngroups = bench = 127.0.0.1:{port}
    rest = 127.0.0.1:{port + 1}\n    rest2 = 127.0.0.1:{port + 2}\n    rest3 = 127.0.0.1:{port + 3}
tcp_info = no\nlongterm = no\n""",
    )
    twistd = ("-c", RUN_TWISTD, "-n", "--pidfile=", "proxy", "--config", config)
    process = bench.start(PROXY_CORE, *build.python, *twistd, port=admin)
    return Running(build.name, admin, process.pid)


def _opened(admin: int) -> float:
    if not admin:
        return 0
    return _metric(admin, "opened_total{") - _metric(admin, 'opened_total{direction="out",group="other"')


def _metric(admin: int, start: str) -> float:
    with urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"netappliance_tracker_{start}"))


PARTS = {"load": load, "events": events}


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Bench() as folder:
        given = [Build(name, tuple(python)) for name, python in json.loads(sys.argv[3])]
        PARTS[sys.argv[1]](folder, int(sys.argv[2]), given)
