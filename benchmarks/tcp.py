"""TCP: small messages, new connections, large bodies and bulk each way, and the memory of idle connections."""

from __future__ import annotations

import functools

from benchmarks import backends, http, rows, tcp_peers
from benchmarks.backends import LARGE, MIB
from benchmarks.http import FEW
from benchmarks.load import Wrk, available, connections_possible, idle_memory, iperf3
from benchmarks.plan import Load, Plan
from benchmarks.processes import PEER_CORE, Bench, free_port
from benchmarks.report import Report

ROWS = ("messages", "tcp-connections", "down", "up", "bulk-up", "bulk-down", "idle")
#: connections that wait in the row of memory
IDLE = 10_000


def run(report: Report, plan: Plan) -> None:
    """Add the TCP rows."""
    if plan.has_row("messages", "tcp-connections") and available("wrk", "nginx", "taskset"):
        requests(report, plan)
    if plan.has_row("down", "up") and available("wrk", "cc", "taskset"):
        bodies(report, plan)
    if plan.has_row("bulk-up", "bulk-down") and available("iperf3", "taskset"):
        bulk(report, plan)
    if plan.has_row("idle"):
        idle(report, plan)


def requests(report: Report, plan: Plan) -> None:
    """Requests over 64 kept connections, and one connection for each request."""
    with Bench() as bench:
        proxies = plan.start(report, bench, backends.small_answers(bench), tcp_peers.ours, tcp_peers.PEERS)
        loads = {
            "messages": Load(rows.TCP_MESSAGES, rows.TCP_MESSAGES_CPU, Wrk(plan.seconds)),
            "tcp-connections": Load(rows.TCP_CONNECTIONS, rows.TCP_CONNECTIONS_CPU, Wrk(plan.seconds, close=True)),
        }
        for name, load in loads.items():
            if plan.has_row(name):
                plan.put(report, load, proxies)


def bodies(report: Report, plan: Plan) -> None:
    """Messages of 1 MiB each way: HTTP as bytes that a TCP proxy does not look into."""
    with Bench() as bench:
        backend = backends.bodies(bench)
        proxies = plan.start(report, bench, backend, tcp_peers.ours, tcp_peers.PEERS)
        script = http.write_upload(bench.folder, LARGE)
        down = Wrk(plan.seconds, FEW, path="/large")
        up = Wrk(plan.seconds, FEW, script=script, body=LARGE, backend=backend)
        if plan.has_row("down"):
            plan.put(report, Load(rows.TCP_DOWN, rows.TCP_DOWN_CPU, down, MIB), proxies)
        if plan.has_row("up"):
            plan.put(report, Load(rows.TCP_UP, rows.TCP_UP_CPU, up, MIB), proxies)


def bulk(report: Report, plan: Plan) -> None:
    """One stream at full speed, each way."""
    with Bench() as bench:
        port = free_port()
        bench.start(PEER_CORE, "iperf3", "-s", "-p", str(port))
        proxies = plan.start(report, bench, port, tcp_peers.ours, tcp_peers.PEERS)
        for proxy in proxies:
            iperf3(proxy, 1, reverse=False)  # the listening check above left a half-open test behind
        up, down = (functools.partial(iperf3, seconds=plan.seconds, reverse=reverse) for reverse in (False, True))
        if plan.has_row("bulk-up"):
            plan.put(report, Load(rows.TCP_BULK_UP, rows.TCP_BULK_UP_CPU, up), proxies)
        if plan.has_row("bulk-down"):
            plan.put(report, Load(rows.TCP_BULK_DOWN, rows.TCP_BULK_DOWN_CPU, down), proxies)


def idle(report: Report, plan: Plan) -> None:
    """Resident memory with 10 000 idle connections, or as many as the descriptors allow."""
    count = connections_possible(IDLE)
    with Bench() as bench:
        for proxy in plan.start(report, bench, backends.echo(bench), tcp_peers.ours, tcp_peers.PEERS):
            limit = 8900 if proxy.name == "haproxy" else count
            value = idle_memory(proxy, min(count, limit))
            report.add(rows.TCP_IDLE, proxy.name, value, lower_is_better=True)
    report.note(
        f"{count} idle TCP connections, as many as RLIMIT_NOFILE allows up to {IDLE}; through HAProxy at most 8 900"
    )
