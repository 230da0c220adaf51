"""A small HTTP load for tests: keeps connections busy, checks every body, counts what came of every request."""

from __future__ import annotations

import collections
import re
import socket
import threading

from tests.integration.support import BUDGET_S

HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n(.*?)\r\n\r\n", re.DOTALL)
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"connection: *close", re.IGNORECASE)


class Load:
    """
    Threads that ask for numbered targets, each on one kept connection, until told to stop.

    A target's answer with status 200 must have the target itself as its body.

    :param posts: every third request is a POST.
    """

    def __init__(self, port: int, connections: int, *, posts: bool = True) -> None:
        self.port = port
        self.posts = posts
        #: status as text, or "broken" for a request that was not answered
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(connections)]

    def start(self) -> Load:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def finish(self) -> collections.Counter[str]:
        """Let every thread end its request; the outcomes."""
        self._stop.set()
        for thread in self._threads:
            thread.join(BUDGET_S * 2)
        return self.outcomes

    def total(self) -> int:
        """Requests so far."""
        with self._lock:
            return sum(self.outcomes.values())

    def _run(self, number: int) -> None:
        connection: socket.socket | None = None
        count = 0
        while not self._stop.is_set():
            count += 1
            target = f"/client{number}/request{count}"
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self.port), timeout=BUDGET_S)
                outcome, keep = self._ask(connection, target, post=self.posts and count % 3 == 0)
            except OSError as error:
                outcome, keep = "broken", False
                with self._lock:
                    self.wrong.append(f"{target}: {error}")
            with self._lock:
                self.outcomes[outcome] += 1
            if not keep and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _ask(self, connection: socket.socket, target: str, *, post: bool) -> tuple[str, bool]:
        """One request: (outcome, whether the connection may be used again)."""
        framing = f"Content-Length: {len(target)}\r\n\r\n{target}" if post else "\r\n"
        connection.sendall(f"{'POST' if post else 'GET'} {target} HTTP/1.1\r\nHost: a\r\n{framing}".encode())
        got = b""
        while (head := HEAD.match(got)) is None:
            data = connection.recv(65536)
            if not data:
                raise ConnectionError(f"closed after {got!r}")
            got += data
        length = LENGTH.search(head.group(2))
        if length is None:
            raise ConnectionError(f"no length: {got!r}")
        body = got[head.end() :]
        while len(body) < int(length.group(1)):
            data = connection.recv(65536)
            if not data:
                raise ConnectionError(f"closed in the body after {got!r}")
            body += data
        status = head.group(1).decode()
        if status == "200" and body != target.encode():
            with self._lock:
                self.wrong.append(f"{target}: got the body {body!r}")
        return status, CLOSE.search(head.group(2)) is None
