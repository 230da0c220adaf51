"""
A backend that can be killed: ``python http_backend.py PORT``.

Answers any target with itself as the body. ``/hold...`` is answered once ``/release`` has been asked for; ``/held``
says how many are held.
"""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

held: list[str] = []
released = threading.Event()


class Echo(BaseHTTPRequestHandler):
    """The one page there is."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer with the target."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/release":
            released.set()
        elif self.path.startswith("/hold"):
            held.append(self.path)
            released.wait()
        body = str(len(held)).encode() if self.path == "/held" else self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    do_POST = do_GET


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    request_queue_size = 1024

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away."""


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
