"""Load generators: wrk for requests and connections, iperf3 for bulk, our own holder of idle connections."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

from benchmarks import backends
from benchmarks.backends import LARGE
from benchmarks.processes import PEER_CORE, Running

#: lines that wrk prints only when requests failed
WRK_FAILURES = ("Non-2xx", "Socket errors")
LOOPBACK = "http://127.0.0.1"


@dataclass(frozen=True)
class Wrk:
    """
    wrk against a proxy.

    :param close: one connection for each request.
    :param path: what is asked for; a script has requests of its own.
    :param script: a Lua file.
    :param body: bytes of the body of each request of the script.
    :param backend: the port of ``backends.bodies`` behind the proxy, where they are all to arrive.
    :param tls: a configuration of OpenSSL (openssl.cnf) with what wrk offers; None for HTTP without TLS.
    """

    seconds: int
    connections: int = 64
    close: bool = False
    path: str = "/"
    script: Path | None = None
    body: int = 0
    backend: int = 0
    tls: Path | None = None

    def __call__(self, proxy: Running) -> tuple[float, float]:
        """
        Return (requests per second, CPU microseconds of the proxy per request).

        :raises RuntimeError: when wrk counted a failed request (a socket error, a status other than 2xx and 3xx), or
            the backend got fewer bodies than were answered, or others.
        """
        _expect_200(proxy, self.path, tls=self.tls is not None)
        bodies = backends.received(self.backend) if self.body else (0, 0)
        before = proxy.cpu_seconds()
        said = self._run(proxy)
        used = proxy.cpu_seconds() - before
        rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
        found = re.search(r"(\d+) requests in", said)
        count = int(found.group(1)) if found else 0
        if rate is None or not count or any(word in said for word in WRK_FAILURES):
            raise RuntimeError(f"wrk against {proxy.name}: {said}")
        if self.body:
            came, size = (now - then for now, then in zip(backends.received(self.backend), bodies, strict=True))
            if came < count or size != came * self.body:
                raise RuntimeError(f"{proxy.name}: {came} bodies of {size} bytes arrived, of {count} x {self.body}")
        return float(rate.group(1)), used / count * 1e6

    def _run(self, proxy: Running) -> str:
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{self.seconds}"]
        if self.close:
            command += ["-H", "Connection: close"]
        if self.script:
            command += ["-s", str(self.script)]
        site, environment = ("https://localhost", {"OPENSSL_CONF": str(self.tls)}) if self.tls else (LOOPBACK, {})
        command.append(f"{site}:{proxy.port}{self.path}")
        done = subprocess.run(
            ["taskset", "-c", PEER_CORE, *command],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr


def _expect_200(proxy: Running, path: str, *, tls: bool) -> None:
    """wrk takes a redirect for an answer, and does not look at what it gets."""
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection("localhost", proxy.port, timeout=10, context=context)
    else:
        connection = HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        length = len(answer.read())
    if answer.status != 200 or (path != "/" and length != LARGE):
        raise RuntimeError(f"{proxy.name}: {path} is answered {answer.status} with {length} bytes")


def iperf3(proxy: Running, seconds: int, *, reverse: bool) -> tuple[float, float]:
    """
    Bulk transfer through a proxy.

    :param reverse: from the backend to the client.
    :return: (MiB per second, CPU microseconds of the proxy per MiB).
    """
    command = ["taskset", "-c", PEER_CORE, "iperf3", "-c", "127.0.0.1", "-p", str(proxy.port), "-t", str(seconds), "-J"]
    for attempt in range(20):
        before = proxy.cpu_seconds()
        done = subprocess.run([*command, *(["-R"] if reverse else [])], capture_output=True, text=True, check=False)
        used = proxy.cpu_seconds() - before
        answer = json.loads(done.stdout)
        if "error" not in answer:
            mib = answer["end"]["sum_received"]["bytes"] / 2**20
            return mib / answer["end"]["sum_received"]["seconds"], used / mib * 1e6
        time.sleep(0.1 + attempt * 0.05)  # the server is still ending its last test
    raise RuntimeError(f"iperf3 through {proxy.name}: {answer['error']}")


def available(*programs: str) -> bool:
    """True when all are installed; says which are not."""
    absent = [program for program in programs if shutil.which(program) is None]
    for program in absent:
        print(f"skipped: {program} is not installed (make peers)")
    return not absent


HOLD = """
import resource, socket, ssl, sys, time
port, count = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
held, message, answer = [], b"x", b"x"
if sys.argv[3] == "tls":
    message, answer = b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n", b"H"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
for number in range(count):
    sock = socket.create_connection(("127.0.0.1", port), 10)
    held.append(context.wrap_socket(sock, server_hostname="localhost") if sys.argv[3] == "tls" else sock)
    held[-1].sendall(message)
for sock in held:
    assert sock.recv(65536)[:1] == answer
print("held", flush=True)
sys.stdin.read()
"""


def idle_memory(proxy: Running, count: int, *, tls: bool = False) -> float:
    """
    Open ``count`` connections through a proxy, each used once, and let them idle.

    :param tls: for one request of HTTPS each instead of a byte.
    :return: MiB of the proxy's resident memory with all of them open.
    """
    how = "tls" if tls else "tcp"
    holder = subprocess.Popen(
        ["taskset", "-c", PEER_CORE, sys.executable, "-c", HOLD, str(proxy.port), str(count), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        if holder.stdout.readline() != b"held\n":
            raise RuntimeError(f"{proxy.name} did not hold {count} connections")
        return proxy.rss_bytes() / 2**20
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


def connections_possible(wanted: int) -> int:
    """How many proxied connections RLIMIT_NOFILE allows: a proxy needs two descriptors for each, and a few more."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with_root = Path("/proc/sys/fs/nr_open")
    if hard == resource.RLIM_INFINITY:
        hard = int(with_root.read_text())
    return min(wanted, (hard - 1300) // 2)
