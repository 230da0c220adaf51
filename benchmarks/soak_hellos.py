"""A million broken ClientHellos: each connection ends with a reason, and leaves no descriptor, traceback or memory."""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

from benchmarks.builds import INSTALLED
from benchmarks.processes import Bench, Running, free_port
from tests.certificates import Authority
from tests.tls import hellos
from tests.tls.captures import CAPTURES

#: connections at a time
BATCH = 100
#: client addresses, for each has 28 000 ports that rest after a connection
ADDRESSES = 50
#: connections of a listener before memory is measured: what they leave is kept for others
WARM = 50_000
#: bytes by which the proxy may grow from then on
GROWTH_LIMIT = 8 * 1024 * 1024
#: seconds until every connection of a batch must have been ended by the proxy
PATIENCE_S = 30.0

CONFIG = """[cluster c]
backends = 127.0.0.1:{backend}
[tcp passed]
listen = tcp:{passed}:interface=127.0.0.1:backlog=4096
cluster = c
sni = *
ja4 = yes
[https ended]
listen = tcp:{ended}:interface=127.0.0.1:backlog=4096
certificates = {folder}/tls
ja4 = yes
[route default]
listeners = ended
cluster = c
"""


def run(count: int) -> None:
    """
    Send that many, half to a listener that ends TLS and half to one that passes it on.

    :raises RuntimeError: the proxy hung, failed, grew, or kept something.
    """
    with Bench() as bench, socket.create_server(("127.0.0.1", 0), backlog=4096) as backend:
        threading.Thread(target=_refuse, args=(backend,), daemon=True).start()
        (bench.folder / "tls").mkdir()
        Authority().leaf("localhost").write(bench.folder / "tls" / "localhost.pem")
        ports = {"passed": free_port(), "ended": free_port()}
        config = CONFIG.format(backend=backend.getsockname()[1], folder=bench.folder, **ports)
        proxy = INSTALLED.start(bench, config, ports["ended"])
        for name, port in ports.items():
            _pour(proxy, port, WARM, seed=0)
            before, descriptors = proxy.rss_bytes(), _descriptors(proxy)
            started = time.monotonic()
            seed = random.SystemRandom().randrange(1 << 32)
            _pour(proxy, port, count // 2, seed)
            took, growth = time.monotonic() - started, proxy.rss_bytes() - before
            said = f"{count // 2} broken hellos (seed {seed}), {name}: {took:.0f} s, grew {growth / 2**20:.1f} MiB"
            print(f"{said}, ends: {_ends(bench.folder)}", flush=True)
            deadline = time.monotonic() + PATIENCE_S
            while _descriptors(proxy) > descriptors and time.monotonic() < deadline:
                time.sleep(0.1)
            if growth > GROWTH_LIMIT or _descriptors(proxy) > descriptors:
                raise RuntimeError(f"grew by {growth} bytes, {_descriptors(proxy) - descriptors} descriptors")
        log = "".join(path.read_text(errors="replace") for path in bench.folder.glob("*.log"))
        if "Traceback" in log:
            raise RuntimeError(log[:10_000])


def _refuse(backend: socket.socket) -> None:
    """Close every connection at once."""
    with contextlib.suppress(OSError):
        while True:
            backend.accept()[0].close()


def _pour(proxy: Running, port: int, count: int, seed: int) -> None:
    """Send so many, and see each connection end."""
    draw = random.Random(seed)
    bases = [bytes.fromhex(capture.data) for capture in CAPTURES]
    bases += [hellos.records(base[5:], range(draw.randrange(1, 50), 2000, 50)) for base in bases]
    for number in range(count // BATCH):
        source = f"127.0.1.{number % ADDRESSES + 1}"
        _batch(port, source, [hellos.mutated(draw.choice(bases), draw) for _ in range(BATCH)])
        if not Path(f"/proc/{proxy.pid}").exists():
            raise RuntimeError("the proxy is gone")


def _batch(port: int, source: str, messages: Sequence[bytes]) -> None:
    """Say each on a connection of its own and nothing more; the proxy ends them all."""
    poller = select.poll()
    waiting: dict[int, socket.socket] = {}
    for message in messages:
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        client.bind((source, 0))
        client.connect(("127.0.0.1", port))
        with contextlib.suppress(OSError):
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)
        waiting[client.fileno()] = client
        poller.register(client, select.POLLIN)
    deadline = time.monotonic() + PATIENCE_S
    while waiting:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(waiting)} connections were not ended")
        for fd, _ in poller.poll(1000):
            try:
                over = not waiting[fd].recv(65536)
            except OSError:
                over = True
            if over:
                poller.unregister(fd)
                waiting.pop(fd).close()


def _descriptors(proxy: Running) -> int:
    return len(os.listdir(f"/proc/{proxy.pid}/fd"))  # noqa: PTH208 - a count


def _ends(folder: Path) -> str:
    """Return how sessions ended so far: reason and number."""
    [config] = folder.glob("ours-*.ini")
    found = re.search(r"\[admin\]\nlisten = tcp:(\d+)", config.read_text())
    if found is None:
        raise RuntimeError("no admin listener")
    with urlopen(f"http://127.0.0.1:{found[1]}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    totals: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("netappliance_session_closed_total{"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            key = f"{labels['side']}/{labels['phase']}/{labels['cause']}"
            totals[key] = totals.get(key, 0) + int(float(line.rpartition(" ")[2]))
    return ", ".join(f"{key} {number}" for key, number in sorted(totals.items()))
