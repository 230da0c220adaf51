"""An HTTP proxy for a test, and web servers behind it that remember what reached them."""

from __future__ import annotations

import hashlib
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.integration.support import BUDGET_S, Peer, Proxy, ProxyTestCase, free_ports


@dataclass
class Arrived:
    """A request as a backend saw it."""

    method: str
    target: str
    version: str
    #: names in lower case, in the order of arrival
    headers: list[tuple[str, str]]
    body_length: int = 0
    body_sha256: str = ""

    def header(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self.headers if key == name.lower()]


@dataclass
class Site:
    """What a ``WebServer`` serves and what it got."""

    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    arrived: list[Arrived] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD with single ranges, ``?chunked`` for chunked answers, PUT and POST with any framing."""

    protocol_version = "HTTP/1.1"
    timeout = BUDGET_S
    server: WebServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def read_body(self) -> bytes:
        """The request's body, framed by length or chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)

    def remember(self, body: bytes = b"") -> None:
        """Note the request."""
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        digest = hashlib.sha256(body).hexdigest()
        site = self.server.site
        with site.lock:
            site.arrived.append(Arrived(self.command, self.path, self.request_version, headers, len(body), digest))

    def do_GET(self) -> None:
        """A file, whole, a range of it, or in chunks."""
        self.remember()
        path, _, query = self.path.partition("?")
        kind, content = self.server.site.files.get(path, ("", b""))
        if not kind:
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        first, last = 0, len(content) - 1
        if wanted is not None:
            low, high = wanted.removeprefix("bytes=").split("-")
            first, last = (int(low), min(int(high or last), last)) if low else (len(content) - int(high), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        part = content[first : last + 1]
        self.send_header("Content-Type", kind)
        chunked = query == "chunked" and self.request_version == "HTTP/1.1"
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(part)))))
        self.end_headers()
        if self.command == "HEAD":
            return
        if not chunked:
            self.wfile.write(part)
            return
        for at in range(0, len(part), 5000):
            piece = part[at : at + 5000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        """Keep the body; say its length and digest."""
        body = self.read_body()
        self.remember(body)
        self.server.site.uploads[self.path] = body
        answer = f"{len(body)} {hashlib.sha256(body).hexdigest()}\n".encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT


class WebServer(ThreadingHTTPServer):
    """A web server of loopback in threads of its own."""

    daemon_threads = False  # closing waits for them, so that no test leaves a connection behind
    request_queue_size = 1024

    def __init__(self, handler: type[BaseHTTPRequestHandler] = Handler, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.site = Site()
        self.port: int = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests do; they judge by what the client got."""

    def close(self) -> None:
        """Stop; connections that are still open are waited for."""
        self.shutdown()
        self.server_close()
        self.thread.join(BUDGET_S)


class HttpTestCase(ProxyTestCase):
    """An HTTP proxy in front of some backends."""

    forked = True

    def web_server(self, handler: type[BaseHTTPRequestHandler] = Handler, port: int = 0) -> WebServer:
        """Start one."""
        server = WebServer(handler, port)
        self.addCleanup(server.close)
        return server

    def front(
        self, *backends: Peer | WebServer | int, keys: str = "", cluster: str = "", appliance: str = ""
    ) -> tuple[Proxy, int]:
        """
        Start a proxy for these backends, or bare ports; returns it and its port.

        :param keys: lines of its ``[http]`` or ``[https]`` section.
        :param cluster: lines of its ``[cluster]`` section.
        """
        port, over = free_ports(1)[0], self.transport
        ports = [backend if isinstance(backend, int) else backend.port for backend in backends]
        lines = "\n".join(f"    127.0.0.1:{number} id=b{index}" for index, number in enumerate(ports))
        return (
            self.proxy(
                f"[appliance]\naccess_log = access.log\nshutdown_grace = 1s\n{appliance}\n"
                f"[cluster c]\nbackends =\n{lines}\n{cluster}\n"
                f"[{over.kind} web]\nlisten = tcp:{port}:interface=127.0.0.1\n{over.keys}{keys}\n"
                "[route default]\nlisteners = web\nhost = *\npath = /\ncluster = c\n"
            ),
            port,
        )


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read until these bytes have come; what came, which may hold more. EOF before is an error."""
    got = b""
    while end not in got:
        data = connection.recv(65536)
        if not data:
            raise AssertionError(f"end of connection before {end!r}, after {got!r}")
        got += data
    return got
