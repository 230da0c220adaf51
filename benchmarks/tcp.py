"""TCP: small messages, new connections, large bodies and bulk each way, and the memory of idle connections."""

from __future__ import annotations

from benchmarks import backends, load, rows, tcp_peers
from benchmarks.plan import Plan
from benchmarks.processes import PEER_CORE, Bench, Running, free_port
from benchmarks.report import Report

ROWS = ("messages", "tcp-connections", "bulk-up", "bulk-down", "idle")
#: (row, whether the backend sends, its rate, its CPU)
BULK = (
    ("bulk-up", False, rows.TCP_BULK_UP, rows.TCP_BULK_UP_CPU),
    ("bulk-down", True, rows.TCP_BULK_DOWN, rows.TCP_BULK_DOWN_CPU),
)
#: connections that wait in the row of memory
IDLE = 10_000


def run(report: Report, plan: Plan) -> None:
    """Add the TCP rows."""
    if plan.has_row("messages", "tcp-connections") and load.available("wrk", "nginx", "taskset"):
        requests(report, plan)
    if plan.has_row("bulk-up", "bulk-down") and load.available("iperf3", "taskset"):
        bulk(report, plan)
    if plan.has_row("idle"):
        idle(report, plan)


def requests(report: Report, plan: Plan) -> None:
    """Requests over 64 kept connections, and one connection for each request."""
    with Bench() as bench:
        proxies = plan.start(bench, backends.small_answers(bench), tcp_peers.PROXIES)

        def messages(proxy: Running) -> None:
            rate, cpu = load.wrk(proxy, plan.seconds)
            report.add(rows.TCP_MESSAGES, proxy.name, rate)
            report.add(rows.TCP_MESSAGES_CPU, proxy.name, cpu, lower_is_better=True)

        def fresh(proxy: Running) -> None:
            rate, cpu = load.wrk(proxy, plan.seconds, close=True)
            report.add(rows.TCP_CONNECTIONS, proxy.name, rate)
            report.add(rows.TCP_CONNECTIONS_CPU, proxy.name, cpu, lower_is_better=True)

        if plan.has_row("messages"):
            plan.interleave(report, rows.TCP_MESSAGES, proxies, messages)
        if plan.has_row("tcp-connections"):
            plan.interleave(report, rows.TCP_CONNECTIONS, proxies, fresh)


def bulk(report: Report, plan: Plan) -> None:
    """One stream at full speed, each way."""
    with Bench() as bench:
        port = free_port()
        bench.start(PEER_CORE, "iperf3", "-s", "-p", str(port))
        proxies = plan.start(bench, port, tcp_peers.PROXIES)
        for proxy in proxies:
            load.iperf3(proxy, 1, reverse=False)  # the listening check above left a half-open test behind
        for name, reverse, rate_row, cpu_row in BULK:

            def measure(
                proxy: Running, reverse: bool = reverse, rate_row: str = rate_row, cpu_row: str = cpu_row
            ) -> None:
                rate, cpu = load.iperf3(proxy, plan.seconds, reverse=reverse)
                report.add(rate_row, proxy.name, rate)
                report.add(cpu_row, proxy.name, cpu, lower_is_better=True)

            if plan.has_row(name):
                plan.interleave(report, rate_row, proxies, measure)


def idle(report: Report, plan: Plan) -> None:
    """Resident memory with 10 000 idle connections, or as many as the descriptors allow."""
    count = load.connections_possible(IDLE)
    with Bench() as bench:
        for proxy in plan.start(bench, backends.echo(bench), tcp_peers.PROXIES):
            limit = 8900 if proxy.name == "haproxy" else count
            value = load.idle_memory(proxy, min(count, limit))
            report.add(rows.TCP_IDLE, proxy.name, value, lower_is_better=True)
    report.note(f"{rows.TCP_IDLE}: {count}, as many as RLIMIT_NOFILE allows up to {IDLE}; HAProxy with at most 8 900")
