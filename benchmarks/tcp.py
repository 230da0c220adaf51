"""TCP: small messages, new connections, bulk, and the memory of idle connections."""

from __future__ import annotations

from benchmarks import load
from benchmarks.peers import PEER_CORE, Bench, free_port
from benchmarks.report import Report


def run(report: Report, *, rounds: int, seconds: int) -> None:
    """Add the TCP rows; every round measures each proxy once, so that noise hits all alike."""
    if load.available("wrk", "nginx", "taskset"):
        requests(report, rounds, seconds)
    if load.available("iperf3", "taskset"):
        bulk(report, rounds, seconds)
    idle(report)


def requests(report: Report, rounds: int, seconds: int) -> None:
    """Requests over 64 kept connections, and one connection for each request."""
    with Bench() as bench:
        proxies = list(bench.proxies(bench.nginx_backend()))
        for _ in range(rounds):
            for proxy in proxies:
                rate, cpu = load.wrk(proxy, seconds)
                report.add("tcp small requests/s over 64 connections", proxy.name, rate)
                report.add("tcp small requests: CPU us each", proxy.name, cpu, lower_is_better=True)
        for _ in range(rounds):
            for proxy in proxies:
                rate, cpu = load.wrk(proxy, seconds, close=True)
                report.add("tcp new connections/s", proxy.name, rate)
                report.add("tcp new connections: CPU us each", proxy.name, cpu, lower_is_better=True)


def bulk(report: Report, rounds: int, seconds: int) -> None:
    """One stream at full speed, each way."""
    with Bench() as bench:
        port = free_port()
        bench.start(PEER_CORE, "iperf3", "-s", "-p", str(port))
        for proxy in (proxies := list(bench.proxies(port))):
            load.iperf3(proxy, 1, reverse=False)  # the listening check above left a half-open test behind
        for _ in range(rounds):
            for reverse, way in ((False, "upload"), (True, "download")):
                for proxy in proxies:
                    rate, cpu = load.iperf3(proxy, seconds, reverse=reverse)
                    report.add(f"tcp bulk {way} MiB/s", proxy.name, rate)
                    report.add(f"tcp bulk {way}: CPU ms per MiB", proxy.name, cpu, lower_is_better=True)


def idle(report: Report) -> None:
    """Resident memory with 10 000 idle connections, or as many as the descriptors allow."""
    count = load.connections_possible(10_000)
    with Bench() as bench:
        port = free_port()
        load.echo_backend(bench, port)
        for proxy in bench.proxies(port):
            limit = 8900 if proxy.name == "haproxy" else count
            value = load.idle_memory(proxy, min(count, limit))
            report.add(f"tcp RSS MiB with {count} idle connections", proxy.name, value, lower_is_better=True)
    if count < 10_000:
        report.note(f"RLIMIT_NOFILE allows {count} proxied connections here, not 10 000 (HAProxy: at most 8 900)")
