"""Large HTTP bodies, up and down, past slow clients and slow backends: bit for bit, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from benchmarks import http_peers
from benchmarks.processes import Bench, Running, free_port

BLOCK = 1024 * 1024
#: bytes by which the proxy may grow during one transfer
GROWTH_LIMIT = 8 * 1024 * 1024
#: a slow side reads or writes nothing this long at first, when all buffers on the way fill
STALL_S = 2.0
#: and then rests this long after every ``REST_EVERY`` bytes
REST_S, REST_EVERY = 0.2, 64 * BLOCK
#: (what is done, the side that is slow, whether the body is sent in chunks)
TRANSFERS = (
    ("upload", "backend", False),
    ("upload", "client", True),
    ("download", "client", False),
    ("download", "backend", True),
)


def run(total: int) -> None:
    """
    Run every transfer with its share of ``total`` bytes.

    :raises RuntimeError: when what arrives differs from what was sent, or memory grew too much.
    """
    blocks = max(1, total // len(TRANSFERS) // BLOCK)
    for way, slow, chunked in TRANSFERS:
        started = time.monotonic()
        with Bench() as bench:
            growth = Transfer(bench, blocks, way, slow, chunked=chunked).exchange()
        took = time.monotonic() - started
        framing = "in chunks" if chunked else "by length"
        grew = f"grew {growth / 2**20:.1f} MiB"
        print(f"http {way} {framing} of {blocks} MiB, slow {slow}: bit-exact, {took:.1f} s, {grew}", flush=True)
        if growth > GROWTH_LIMIT:
            raise RuntimeError(f"memory grew by {growth} bytes")


class Transfer:
    """One request through the proxy, whose body (or whose answer's) is long."""

    def __init__(self, bench: Bench, blocks: int, way: str, slow: str, *, chunked: bool) -> None:
        port = free_port()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._proxy: Running = http_peers.ours(bench, port)
        self._blocks, self._way, self._slow, self._chunked = blocks, way, slow, chunked
        self._seed = os.urandom(BLOCK)
        #: what went wrong at the backend
        self._error: BaseException | None = None
        self._sent = self._received = ""

    def exchange(self) -> int:
        """Run it; bytes by which the proxy's resident memory grew at its worst."""
        self._request(warm=True)
        before = worst = self._proxy.rss_bytes()
        thread = threading.Thread(target=self._request)
        thread.start()
        while thread.is_alive():
            worst = max(worst, self._proxy.rss_bytes())
            time.sleep(0.02)
        self._listener.close()
        if self._error is not None:
            raise RuntimeError(f"http {self._way}: {self._error!r}") from self._error
        if not self._sent or self._sent != self._received:
            raise RuntimeError(f"http {self._way}: what arrived is not what was sent")
        return worst - before

    def _request(self, *, warm: bool = False) -> None:
        """Both ends of one request. :param warm: a single block, so that what is allocated once is allocated."""
        blocks = 1 if warm else self._blocks
        backend = threading.Thread(target=self._guarded, args=(self._serve, blocks))
        backend.start()
        self._guarded(self._ask, blocks)
        backend.join()

    def _guarded(self, side: Callable[[int], None], blocks: int) -> None:
        try:
            side(blocks)
        except BaseException as error:
            self._error = self._error or error

    def _ask(self, blocks: int) -> None:
        """The client."""
        with socket.create_connection(("127.0.0.1", self._proxy.port), 120) as client:
            if self._way == "upload":
                client.sendall(b"PUT /large HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n" + self._framing(blocks))
                self._sent = self._send_body(client, blocks, "client")
            else:
                client.sendall(b"GET /large HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")
            with client.makefile("rb") as answer:
                status = answer.readline()
                if not status.startswith(b"HTTP/1.1 200 "):
                    raise RuntimeError(f"answered {status!r}")
                digest = self._read_body(answer, "client")
            if self._way == "download":
                self._received = digest

    def _serve(self, blocks: int) -> None:
        """The backend, for one connection and one request."""
        self._listener.settimeout(30)
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as request:
            connection.settimeout(120)
            request.readline()
            digest = self._read_body(request, "backend")
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
            if self._way == "upload":
                self._received = digest
                connection.sendall(b"Content-Length: 0\r\n\r\n")
            else:
                connection.sendall(self._framing(blocks))
                self._sent = self._send_body(connection, blocks, "backend")

    def _framing(self, blocks: int) -> bytes:
        if self._chunked:
            return b"Transfer-Encoding: chunked\r\n\r\n"
        return b"Content-Length: %d\r\n\r\n" % (blocks * BLOCK)

    def _send_body(self, connection: socket.socket, blocks: int, side: str) -> str:
        """Send blocks that all differ; their digest."""
        digest = hashlib.sha256()
        block = bytearray(self._seed)
        slow = self._slow == side and blocks > 1
        for number in range(blocks):
            block[:8] = number.to_bytes(8, "big")
            digest.update(block)
            if self._chunked:
                connection.sendall(b"%x\r\n" % BLOCK + block + b"\r\n")
            else:
                connection.sendall(block)
            if slow:
                _rest(number * BLOCK, BLOCK)
        if self._chunked:
            connection.sendall(b"0\r\n\r\n")
        return digest.hexdigest()

    def _read_body(self, stream: BinaryIO, side: str) -> str:
        """Read header fields and a body of either framing; the body's digest."""
        length, chunked = 0, False
        while (line := stream.readline().lower()) not in (b"\r\n", b""):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
            chunked = chunked or line.startswith(b"transfer-encoding:")
        digest = hashlib.sha256()
        slow, read = self._slow == side and (chunked or length > BLOCK), 0
        for piece in _pieces(stream, None if chunked else length):
            digest.update(piece)
            if slow:
                _rest(read, len(piece))
            read += len(piece)
        return digest.hexdigest()


def _rest(done: int, more: int) -> None:
    """Sleep when the transfer has just begun, or has passed another ``REST_EVERY`` bytes."""
    if done == 0:
        time.sleep(STALL_S)
    elif (done + more) // REST_EVERY > done // REST_EVERY:
        time.sleep(REST_S)


def _pieces(stream: BinaryIO, length: int | None) -> Iterator[bytes]:
    """The parts of a body. :param length: None when it comes in chunks."""
    while length is None or length > 0:
        left = length if length is not None else int(stream.readline().split(b";")[0], 16)
        if length is None and not left:
            break
        while left > 0:
            piece = stream.read(min(left, 1 << 18))
            if not piece:
                raise RuntimeError(f"the body ended {left} bytes early")
            left -= len(piece)
            yield piece
        if length is not None:
            return
        stream.readline()
    if length is None:
        stream.readline()
