"""A real ``twistd proxy`` for a test, and backends that behave and misbehave."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.integration import transports
from tests.integration.transports import PLAIN, Transport
from tests.integration.zygote import ZYGOTE, ForkedProcess

#: seconds that anything here may take before the test fails
BUDGET_S = transports.BUDGET_S
RUN = "from twisted.scripts.twistd import run; run()"

_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """
    Ports of 127.0.0.1 that were free a moment ago, for TCP and UDP alike, never the same twice.

    They are taken below the kernel's ephemeral range, out of which tests open thousands of client sockets.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(15000, 32000)
        try:
            with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                stream.bind(("127.0.0.1", port))
                datagrams.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port not in _given:
            _given.add(port)
            ports.append(port)
    return ports


def wait_for(condition: Callable[[], bool], what: str, budget: float = BUDGET_S) -> None:
    """Poll until the condition holds; fail with ``what`` when it does not."""
    deadline = time.monotonic() + budget
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {budget} s: {what}")
        time.sleep(0.01)


class Proxy:
    """One process with its configuration in a folder of its own."""

    def __init__(self, config: str, prefix: tuple[str, ...] = (), *, forked: bool = False) -> None:
        """
        :param config: the sections besides ``[appliance]`` and ``[admin]`` unless it has its own. :param prefix:
        e.g. prlimit. :param forked: start it from the zygote, which is faster; without, it is a twistd of its own.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="netappliance-"))
        self.admin_port = free_ports(1)[0]
        self.config = self.folder / "proxy.ini"
        head = "" if "[appliance]" in config else "[appliance]\naccess_log = access.log\nshutdown_grace = 1s\n"
        admin = f"tcp:{self.admin_port}:interface=127.0.0.1"
        if "[admin]\n" in config:
            self.config.write_text(head + config.replace("tcp:9901:interface=127.0.0.1", admin, 1))
        else:
            self.config.write_text(f"{head}{config}\n[admin]\nlisten = {admin}\n")
        self.log_path = self.folder / "log"
        self.process: subprocess.Popen[bytes] | ForkedProcess
        if forked:
            self.log_path.touch()
            argv = ["-n", "--pidfile=", "proxy", "--config", str(self.config)]
            self.process = ZYGOTE.start(argv, self.folder, self.log_path)
            return
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-c", RUN, "-n", "--pidfile=", "proxy", "--config", str(self.config)],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def wait_ready(self) -> Proxy:
        """Return when /ready says so."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.log()}")
            return self.get("/ready")[0] == 200

        wait_for(ready, "/ready")
        return self

    def get(self, path: str) -> tuple[int, str]:
        """GET from the admin pages: (status, body); status 0 when nobody answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except (URLError, OSError):
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of ``netappliance_NAME`` that have these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            match = re.match(rf"netappliance_{name}(?:\{{(.*)\}})? (\S+)$", line)
            if match and all(f'{key}="{value}"' in (match.group(1) or "") for key, value in labels.items()):
                total += float(match.group(2))
        return total

    def closed(self, reason: str) -> float:
        """How many sessions ended with ``side/phase/cause``."""
        side, phase, cause = reason.split("/")
        return self.metric("session_closed_total", side=side, phase=phase, cause=cause)

    def wait_closed(self, reason: str, count: int = 1) -> None:
        """Wait until that many ended so."""
        try:
            wait_for(lambda: self.closed(reason) >= count, reason, 10.0)
        except AssertionError:
            lines = [line for line in self.get("/metrics")[1].splitlines() if "closed_total{" in line]
            raise AssertionError(f"no {count} x {reason}; there are {lines}; log: {self.log()}") from None

    def descriptors(self) -> int:
        """How many the process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def rss_bytes(self) -> int:
        """Resident memory."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def log(self) -> str:
        """What the process printed."""
        return self.log_path.read_text(errors="replace")

    def access_lines(self) -> list[str]:
        """The lines of the access log."""
        path = self.folder / "access.log"
        return path.read_text().splitlines() if path.exists() else []

    def stop(self) -> int:
        """SIGTERM and wait; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(BUDGET_S)

    def destroy(self) -> None:
        """Kill and clean up."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class ProxyTestCase(SynchronousTestCase):
    """Starts proxies and peers; at the end every proxy must stop with status 0 and without a traceback."""

    #: tracebacks that a test wants to see
    expected_tracebacks = 0
    #: start proxies from the zygote
    forked = False
    #: what clients speak
    transport: Transport = PLAIN

    def proxy(self, config: str, prefix: tuple[str, ...] = ()) -> Proxy:
        """Start one and wait until it is ready."""
        proxy = Proxy(config, prefix, forked=self.forked and not prefix)
        self.addCleanup(proxy.destroy)
        proxy.wait_ready()
        self.addCleanup(self.check_end, proxy)
        return proxy

    def check_end(self, proxy: Proxy) -> None:
        """Stop it; a traceback or another exit status is a failure."""
        status = proxy.stop()
        self.assertEqual((status, proxy.log().count("Traceback")), (0, self.expected_tracebacks), proxy.log())

    def peer(self, talk: Callable[[socket.socket], None]) -> Peer:
        """Start a backend."""
        peer = Peer(talk)
        self.addCleanup(peer.close)
        return peer

    def connect(self, port: int) -> socket.socket:
        """A client connection with a time limit."""
        client = self.transport.connect(port)
        self.addCleanup(client.close)
        return client


class Peer:
    """A TCP server that gives each connection to ``talk`` in a thread of its own and closes it afterwards."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self.talk = talk
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        connection.settimeout(BUDGET_S)
        try:
            self.talk(connection)
        except OSError:
            pass  # the test tells from the client's side what happened
        finally:
            connection.close()

    def close(self) -> None:
        """Stop listening and drop all connections."""
        self.listener.close()
        for connection in self.connections:
            connection.close()


def echo(connection: socket.socket) -> None:
    """Send everything back, then FIN."""
    while data := connection.recv(65536):
        connection.sendall(data)


def silent(connection: socket.socket) -> None:
    """Never read nor write; end when the other side does."""
    connection.settimeout(BUDGET_S)
    connection.recv(1, socket.MSG_PEEK)
    time.sleep(BUDGET_S)


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection: socket.socket) -> bytes:
    """Read until FIN."""
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)
