"""The tracker: 200 000 entries beside conntrack -L and pyroute2, and 2 000 new connections a second."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from urllib.request import urlopen

from benchmarks import rows
from benchmarks.plan import Plan
from benchmarks.processes import PEER_CORE, PROXY_CORE, Bench, Running, absent, free_port
from benchmarks.report import Report

ENTRIES = 200_000
RATE = 2000
ROWS = ("tracker-load", "tracker-events")


def run(report: Report, plan: Plan) -> None:
    """Measure each part in a network namespace of its own, and add what it printed."""
    parts = [
        part
        for part in (("load", plan.rounds), ("events", 30 if plan.seconds > 2 else 5))
        if plan.has_row(f"tracker-{part[0]}")
    ]
    if not parts:
        return
    missing = [program for program in ("conntrack", "unshare", "ip", "taskset") if shutil.which(program) is None]
    if missing or os.geteuid():
        absent(f"root and {', '.join(missing) or 'a network namespace'} for the tracker")
        return
    for part, number in parts:
        command = ["unshare", "--net", sys.executable, "-m", "benchmarks.tracker", part, str(number)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        for line in done.stdout.splitlines():
            what, name, value, lower = json.loads(line)
            if name:
                report.add(what, name, value, lower_is_better=lower)
            else:
                report.note(what)
        if done.returncode:
            raise RuntimeError(f"the tracker's {part}")


def _say(what: str, name: str = "", value: float = 0.0, *, lower: bool = True) -> None:
    print(json.dumps([what, name, value, lower]), flush=True)


def _figures(*arguments: str) -> dict[str, float]:
    command = ("taskset", "-c", PROXY_CORE, sys.executable, "-m", "benchmarks.tracker_load", *arguments)
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if found.get("entries", ENTRIES) != ENTRIES:
        raise RuntimeError(f"{arguments}: {found}")
    return found


def load(bench: Bench, rounds: int) -> None:
    """Load 200 000 entries, in turn."""
    subprocess.run([sys.executable, "-m", "benchmarks.tracker_load", "fill", str(ENTRIES)], check=True)
    listing = ["taskset", "-c", PROXY_CORE, "conntrack", "-L", "-o", "extended"]
    for _ in range(rounds):
        ours = _figures("tracker")
        _say(rows.TRACKER_LOAD, "netappliance", ours["load"])
        with (bench.folder / "list").open("wb") as file:
            began = time.perf_counter()
            subprocess.run(listing, stdout=file, stderr=subprocess.DEVNULL, check=True)
            _say(rows.TRACKER_LOAD, "conntrack -L", time.perf_counter() - began)
        _say(rows.TRACKER_MEMORY, "netappliance", ours["rss"])
        _say(rows.TRACKER_SCRAPE, "netappliance", ours["scrape"])
        _say(rows.TRACKER_TURN, "netappliance", ours["turn"])
    if importlib.util.find_spec("pyroute2") is None:
        absent("pyroute2 (pip install netappliance[bench])")
        return
    theirs = _figures("pyroute2")
    for _ in range(rounds):  # once is enough: it takes ten times as long
        _say(rows.TRACKER_LOAD, "pyroute2", theirs["load"])


def events(bench: Bench, seconds: int) -> None:
    """Short connections, and what following them costs."""
    port, admin = free_port(), free_port()
    config = bench.write(
        "tracker.ini",
        f"""[appliance]\naccess_log = none\n[admin]\nlisten = tcp:{admin}:interface=127.0.0.1
[tracker]\nsource = conntrack\nenable = yes\nignore =\ngroups = bench = 127.0.0.1:{port}
    rest = 127.0.0.1:{port + 1}\n    rest2 = 127.0.0.1:{port + 2}\n    rest3 = 127.0.0.1:{port + 3}
tcp_info = no\nlongterm = no\n""",
    )
    twistd = ("-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "proxy", "--config", config)
    process = bench.start(PROXY_CORE, sys.executable, *twistd, port=admin)
    tools = (sys.executable, "-m", "benchmarks.tracker_load")
    bench.start(PEER_CORE, *tools, "accept", str(port), port=port)
    watch = bench.start(PROXY_CORE, "conntrack", "-E")
    time.sleep(1)
    running = (Running("netappliance", admin, process.pid), Running("conntrack -E", 0, watch.pid))
    before = [each.cpu_seconds() for each in running]
    opened = _opened(admin)
    command = ("taskset", "-c", PEER_CORE, *tools, "connect", str(port), str(RATE), str(seconds))
    made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["count"]
    time.sleep(1.5)
    for each, used in zip(running, before, strict=True):
        _say(rows.TRACKER_EVENTS, each.name, (each.cpu_seconds() - used) / made * 1e6)
    counted, lost = _opened(admin) - opened, _metric(admin, "events_lost_total")
    _say(f"tracker: {made} connections in {seconds} s; {counted:.0f} counted, {lost:.0f} events lost")


def _opened(admin: int) -> float:
    return _metric(admin, "opened_total{") - _metric(admin, 'opened_total{direction="out",group="other"')


def _metric(admin: int, start: str) -> float:
    with urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"netappliance_tracker_{start}"))


PARTS = {"load": load, "events": events}


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Bench() as folder:
        PARTS[sys.argv[1]](folder, int(sys.argv[2]))
