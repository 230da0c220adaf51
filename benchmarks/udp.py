"""UDP: round trips with 50 and 1 000 sessions, with filters, latency, CPU for each, memory of many sessions."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks import load, rows, udp_peers
from benchmarks.plan import Plan
from benchmarks.processes import PEER_CORE, Bench, Running, free_port
from benchmarks.report import Report
from benchmarks.rows import OURS

#: bytes of a datagram
SIZE = 200
ROWS = ("sessions-50", "filters", "sessions-1000", "sessions-memory")


def run(report: Report, plan: Plan) -> None:
    """Add the UDP rows."""
    if not plan.has_row(*ROWS) or not load.available("cc", "taskset"):
        return
    if plan.has_row("sessions-50", "filters", "sessions-1000"):
        with Bench() as bench:
            tool, backend = _echo(bench)
            round_trips(report, plan, bench, tool, backend)
    if plan.has_row("sessions-memory"):
        for build in plan.builds:
            with Bench() as bench:
                tool, backend = _echo(bench)
                memory(report, tool, udp_peers.ours(bench, backend, build))


def _echo(bench: Bench) -> tuple[str, int]:
    """Build the client, start the backend: (program, port)."""
    tool = str(bench.folder / "udp_load")
    subprocess.run(["cc", "-O2", "-o", tool, str(Path(__file__).with_name("udp_load.c"))], check=True)
    port = free_port()
    bench.start(PEER_CORE, tool, "echo", str(port))
    return tool, port


def round_trips(report: Report, plan: Plan, bench: Bench, tool: str, backend: int) -> None:
    """One datagram under way in each session; with filters the peers' figures of the same rounds stand beside ours."""
    proxies = plan.start(report, bench, backend, udp_peers.ours, udp_peers.PEERS)
    filtered = []
    if plan.has_row("filters"):
        filtered = [udp_peers.ours(bench, backend, build, filters=True) for build in plan.builds]
    plain = [proxy for proxy in proxies if plan.has_row("sessions-50") or proxy.name not in OURS]

    def fifty(proxy: Running) -> None:
        names = [rows.UDP_FILTERS] if proxy in filtered else [rows.UDP_50] if plan.has_row("sessions-50") else []
        if proxy.name not in OURS and plan.has_row("filters"):
            names.append(rows.UDP_FILTERS)
        _measure(report, plan, tool, proxy, 50, names)

    if plan.has_row("sessions-50", "filters"):
        plan.interleave(report, rows.UDP_50, [*plain, *filtered], fifty)
    if plan.has_row("sessions-1000"):
        plan.interleave(
            report, rows.UDP_1000, proxies, lambda proxy: _measure(report, plan, tool, proxy, 1000, [rows.UDP_1000])
        )


def _measure(report: Report, plan: Plan, tool: str, proxy: Running, sessions: int, names: list[str]) -> None:
    command = [tool, "client", str(proxy.port), str(sessions), str(SIZE), str(plan.seconds), udp_peers.TOKEN]
    before = proxy.cpu_seconds()
    done = subprocess.run(["taskset", "-c", PEER_CORE, *command], capture_output=True, text=True, check=True)
    used = proxy.cpu_seconds() - before
    count, _lost, p50, p99 = (float(word) for word in done.stdout.split())
    if not count:
        raise RuntimeError("no datagram came back")
    for row in names:
        report.add(rows.rate(row), proxy.name, count / plan.seconds)
        report.add(rows.cpu(row), proxy.name, used / count * 1e6, lower_is_better=True)
        report.add(rows.p50(row), proxy.name, p50, lower_is_better=True)
        report.add(rows.p99(row), proxy.name, p99, lower_is_better=True)


def memory(report: Report, tool: str, proxy: Running) -> None:
    """Resident memory that 10 000 sessions add."""
    before = proxy.rss_bytes()
    client = subprocess.Popen(
        ["taskset", "-c", PEER_CORE, tool, "client", str(proxy.port), "10000", str(SIZE), "6", udp_peers.TOKEN],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while len(list(Path(f"/proc/{proxy.pid}/fd").iterdir())) < 10_000:
        if time.monotonic() > deadline:
            raise RuntimeError("not all of 10 000 sessions opened")
        time.sleep(0.1)
    added = (proxy.rss_bytes() - before) / 2**20
    report.add(rows.UDP_MEMORY, proxy.name, added, lower_is_better=True)
    if client.wait():
        raise RuntimeError("the client could not open its sockets")
