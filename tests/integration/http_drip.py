"""
Slow clients, in a process of their own so that they cost the test no time: ``python http_drip.py PORT COUNT``.

Each sends one byte of an endless head every half second. Prints ``held`` once all are connected, and when all have been
closed by the server a line of JSON: how many ended with which status, and after how many seconds.
"""

from __future__ import annotations

import collections
import json
import selectors
import socket
import sys
import time

INTERVAL_S = 0.5


def main() -> None:
    """Connect, drip, tell."""
    began = time.monotonic()
    selector = selectors.DefaultSelector()
    answers: dict[socket.socket, bytes] = {}
    ended: list[float] = []
    for _ in range(int(sys.argv[2])):
        client = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
        answers[client] = b""
    print("held", flush=True)
    due = time.monotonic()
    while selector.get_map():
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            client: socket.socket = key.fileobj  # type: ignore[no-redef]
            try:
                data = client.recv(65536)
            except OSError:
                data = b""  # a reset
            answers[client] += data
            if not data:
                ended.append(time.monotonic() - began)
                selector.unregister(client)
                client.close()
        if time.monotonic() >= due:
            due += INTERVAL_S
            for key in selector.get_map().values():
                try:
                    key.fileobj.send(b"a")  # type: ignore[union-attr]
                except OSError:
                    pass  # ended; the next select tells
    statuses = collections.Counter(answer[9:12].decode() for answer in answers.values())
    print(json.dumps({"statuses": statuses, "first": min(ended), "last": max(ended)}), flush=True)


if __name__ == "__main__":
    main()
