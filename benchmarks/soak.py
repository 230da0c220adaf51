"""Long proofs: large transfers through slow and fast peers, bit for bit, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time

from benchmarks import tcp_peers
from benchmarks.processes import Bench, free_port

GIB = 1024 * 1024 * 1024
#: what the process may grow by while 1 GiB goes each way: two buffers, the sockets and Python's own noise
GROWTH_LIMIT = 8 * 1024 * 1024


def run() -> None:
    """1 GiB each way at once: both fast, a slow client, a slow backend."""
    for name, slow_client, slow_backend in (("fast", 0, 0), ("slow client", 1, 0), ("slow backend", 0, 1)):
        started = time.monotonic()
        growth = exchange(GIB, bool(slow_client), bool(slow_backend))
        print(f"1 GiB each way, {name}: bit-exact, {time.monotonic() - started:.1f} s, grew {growth / 2**20:.1f} MiB")


def exchange(size: int, slow_client: bool, slow_backend: bool) -> int:
    """
    Send ``size`` bytes each way through the proxy at the same time.

    :return: bytes by which the proxy's resident memory grew at its worst.
    :raises RuntimeError: when what arrives differs from what was sent, or memory grew too much.
    """
    block = os.urandom(1024 * 1024)
    expected = hashlib.sha256()
    for _ in range(size // len(block)):
        expected.update(block)
    digests: dict[str, str] = {}

    def talk(sock: socket.socket, name: str, slow: bool) -> None:
        def pour() -> None:
            for _ in range(size // len(block)):
                sock.sendall(block)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=pour, daemon=True)
        sender.start()
        digest, read = hashlib.sha256(), 0
        while data := sock.recv(16384 if slow else 1 << 20):
            digest.update(data)
            read += len(data)
            if slow and read % (64 << 20) < len(data):
                time.sleep(0.2)
        digests[name] = digest.hexdigest()
        sender.join()

    with Bench() as bench:
        port = free_port()
        listener = socket.create_server(("127.0.0.1", port))
        proxy = tcp_peers.ours(bench, port)
        listener.accept()[0].close()  # the check that the proxy listens
        client = socket.create_connection(("127.0.0.1", proxy.port))
        backend, _ = listener.accept()
        before = worst = proxy.rss_bytes()
        threads = [
            threading.Thread(target=talk, args=(client, "client", slow_client)),
            threading.Thread(target=talk, args=(backend, "backend", slow_backend)),
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            worst = max(worst, proxy.rss_bytes())
            time.sleep(0.05)
        client.close()
        backend.close()
        listener.close()
    if set(digests.values()) != {expected.hexdigest()}:
        raise RuntimeError("what arrived is not what was sent")
    if worst - before > GROWTH_LIMIT:
        raise RuntimeError(f"memory grew by {worst - before} bytes")
    return worst - before
