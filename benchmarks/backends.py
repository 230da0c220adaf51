"""What stands behind the proxies: servers that cost as little as they can."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from benchmarks.processes import PEER_CORE, Bench, free_port

#: bytes of the large response
LARGE = 1024 * 1024
#: what that is in MiB
MIB = LARGE / 2**20


def small_answers(bench: Bench) -> int:
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


def bodies(bench: Bench) -> int:
    """Build and start a backend that discards bodies and answers in chunks; return its port."""
    tool, port = str(bench.folder / "http_backend"), free_port()
    subprocess.run(["cc", "-O2", "-o", tool, str(Path(__file__).with_name("http_backend.c"))], check=True)
    bench.start(PEER_CORE, tool, str(port), port=port)
    return port


def received(port: int, quiet_s: float = 0.2) -> tuple[int, int]:
    """
    What the backend of bodies has got: (whole requests with bodies, bytes of these bodies).

    :param quiet_s: nothing more came for so long: what a load left behind in a proxy may arrive when it is over.
    """
    last = None
    while True:
        with urlopen(f"http://127.0.0.1:{port}/received", timeout=10) as answer:
            posts, size = (int(word) for word in answer.read().split())
        if last == (posts, size):
            return last
        last = posts, size
        time.sleep(quiet_s)


def echo(bench: Bench) -> int:
    """Start an echo server for many connections; return its port."""
    port = free_port()
    bench.start(PEER_CORE, sys.executable, "-c", ECHO, str(port), port=port)
    return port


ECHO = """
import resource, select, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
poll = select.epoll(); poll.register(listener, 1); held = {}
while True:
    for fd, mask in poll.poll():
        if fd == listener.fileno():
            sock, _ = listener.accept(); held[sock.fileno()] = sock; poll.register(sock, 1)
        else:
            data = held[fd].recv(65536)
            if data: held[fd].send(data)
            else: held.pop(fd).close()
"""
