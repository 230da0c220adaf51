"""Raw HTTP clients and recording backends, and a proxy between them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.integration.http_message import ConnectionEndedError, MalformedMessageError, Message, Reader
from tests.integration.support import BUDGET_S, Proxy, ProxyTestCase, free_ports, reset, wait_for

#: how long a connection stays silent before a test believes that nothing comes
SILENCE_S = 0.15


def response(body: bytes = b"", status: int = 200, lines: bytes = b"") -> bytes:
    """Return a response with this body, its length and these further lines."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), lines, body)


def chunks(*pieces: bytes, trailers: bytes = b"") -> bytes:
    """Return a body in these chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


class BackendConnection(Reader):
    """
    One connection that the proxy made.

    :ivar requests: those whose end was read. :ivar ended: the proxy closed, or broke off (then ``broken`` too).
    """

    def __init__(self, sock: socket.socket, backend: RecordingBackend) -> None:
        super().__init__(sock)
        self.backend = backend
        self.requests: list[Message] = []
        self.ended = False
        self.broken = False

    def read_request(self) -> Message | None:
        """Read one whole request; None when the proxy closed between two."""
        request = self.read_head()
        if request is None:
            return None
        return self.read_body(request)

    def read_head(self) -> Message | None:
        """Read the head of a request only; None when the proxy closed before it."""
        if not self.pending and not self.more():
            self.ended = True
            return None
        return self.head()

    def read_body(self, request: Message) -> Message:
        """Read the rest of a request whose head was read, and note it as complete."""
        self.body(request, until_close=False)
        self.requests.append(request)
        self.backend.note(request)
        return request

    def send(self, *pieces: bytes) -> None:
        """Send each piece in a segment of its own."""
        for index, piece in enumerate(pieces):
            if index:
                time.sleep(0.005)
            self.sock.sendall(piece)

    def reset(self) -> None:
        """Close with RST."""
        reset(self.sock)

    def wait_end(self) -> bytes:
        """Read until the proxy closes or breaks off; what came."""
        try:
            data = self.rest()
        except OSError:
            self.broken = True
            data = self.pending
        self.ended = True
        return data


Talk = Callable[[BackendConnection], Any]


class RecordingBackend:
    """
    A backend that keeps every byte of every connection and answers by a script, a thread for each connection.

    :ivar connections: in the order of their coming. :ivar requests: complete ones of all connections, in order.
    :ivar failures: what scripts raised other than the proxy's closing.
    """

    def __init__(self, talk: Talk, port: int = 0) -> None:
        self.talk = talk
        self.connections: list[BackendConnection] = []
        self.requests: list[Message] = []
        self.failures: list[BaseException] = []
        self._lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def note(self, request: Message) -> None:
        """Keep a complete request."""
        with self._lock:
            self.requests.append(request)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(BUDGET_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = BackendConnection(sock, self)
            self.connections.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: BackendConnection) -> None:
        try:
            self.talk(connection)
        except ConnectionEndedError:
            connection.ended = True
        except OSError:
            connection.ended = connection.broken = True
        except BaseException as error:
            self.failures.append(error)
        finally:
            connection.sock.close()

    def wait_requests(self, count: int) -> list[Message]:
        """Wait until that many came whole; they."""
        wait_for(
            lambda: len(self.requests) >= count, f"{count} requests at the backend, there are {len(self.requests)}"
        )
        return self.requests

    def close(self) -> None:
        """Stop listening and drop all connections."""
        try:
            # wakes the accepting thread, whose accept would otherwise keep the port open
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.sock.close()


def serving(answer: bytes | Callable[[Message], bytes], *, count: int = -1) -> Talk:
    """
    Return a script that answers every request alike, or by what it asks for, and keeps the connection.

    :param count: answers, after which it closes; -1 = any number.
    """

    def talk(connection: BackendConnection) -> None:
        left = count
        while left:
            request = connection.read_request()
            if request is None:
                return
            left -= 1
            connection.send(answer if isinstance(answer, bytes) else answer(request))

    return talk


def echoing(request: Message) -> bytes:
    """Answer with what was asked for: ``METHOD target body``."""
    return response(b" ".join((request.method, request.target, request.body)))


ECHO = serving(echoing)


def named(name: bytes) -> Talk:
    """Return a script whose answers name the backend."""
    return serving(response(name))


class Client(Reader):
    """A client that sends what it is told and reads what comes."""

    def send(self, *pieces: bytes) -> Client:
        """Send each piece in a segment of its own."""
        for index, piece in enumerate(pieces):
            if index:
                time.sleep(0.003)
            self.sock.sendall(piece)
        return self

    def read(self, method: bytes = b"GET") -> Message:
        """Read one response; those without a body by rule end with their head."""
        message = self.head()
        if method == b"HEAD" or message.status < 200 or message.status in (204, 304):
            return message
        return self.body(message, until_close=True)

    def ask(self, data: bytes, method: bytes = b"GET") -> Message:
        """Send and read one response."""
        return self.send(data).read(method)

    def read_or_end(self) -> Message | None:
        """Read one more response; None when the proxy closes instead."""
        try:
            return self.read()
        except (ConnectionEndedError, ConnectionResetError):
            return None

    def closed(self) -> bool:
        """True when the proxy closes in good order, by FIN, without sending anything more."""
        return self.pending == b"" and self.rest() == b""

    def cut(self) -> bool:
        """True when the proxy breaks off, by RST, as it does to a response that is not whole."""
        try:
            self.rest()
        except ConnectionResetError:
            return True
        return False

    def silent(self, seconds: float = SILENCE_S) -> bool:
        """True when nothing comes, not even FIN, for a moment."""
        if self.pending:
            return False
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(BUDGET_S)
        self.pending += data
        return False


def get(
    target: str = "/", lines: str = "", host: str = "a.example", method: str = "GET", version: str = "1.1"
) -> bytes:
    """Return a request without body; ``lines`` are further field lines with their line ends."""
    return f"{method} {target} HTTP/{version}\r\nHost: {host}\r\n{lines}\r\n".encode("latin-1")


def post(body: bytes, target: str = "/", lines: str = "", method: str = "POST") -> bytes:
    """Return a request with a body and its length."""
    return get(target, f"Content-Length: {len(body)}\r\n{lines}", method=method) + body


class HttpProxyTestCase(ProxyTestCase):
    """A proxy with one [http] listener in front of recording backends."""

    forked = True

    def backend(self, talk: Talk | bytes = ECHO, port: int = 0) -> RecordingBackend:
        """Start a backend; of plain bytes, it serves these for ever."""
        backend = RecordingBackend(serving(talk) if isinstance(talk, bytes) else talk, port)
        self.addCleanup(self._check_backend, backend)
        return backend

    def _check_backend(self, backend: RecordingBackend) -> None:
        backend.close()
        self.assertEqual(backend.failures, [])

    def front(
        self,
        *backends: RecordingBackend | int,
        keys: str = "",
        cluster: str = "",
        routes: str = "[route all]\ncluster = c\n",
        more: str = "",
        appliance: str = "",
        prefix: tuple[str, ...] = (),
    ) -> Proxy:
        """
        Start a proxy for these backends (or bare ports); its port is ``self.port``.

        :param keys: of [http web] or [https web]. :param cluster: keys of [cluster c]. :param routes: [route] sections.
        :param more: further sections. :param appliance: keys of [appliance]. :param prefix: e.g. prlimit.
        """
        (self.port,) = free_ports(1)
        lines = "\n".join(f"    127.0.0.1:{each if isinstance(each, int) else each.port}" for each in backends)
        head = f"[appliance]\naccess_log = access.log\nshutdown_grace = 1s\n{appliance}\n"
        back = f"[cluster c]\nbackends =\n{lines}\n{cluster}\n" if backends else ""
        over = self.transport
        listener = f"[{over.kind} web]\nlisten = tcp:{self.port}:interface=127.0.0.1\n{over.keys}{keys}\n"
        self.front_proxy = self.proxy(head + back + listener + routes + "\n" + more, prefix)
        return self.front_proxy

    def client(self, port: int = 0, source: str = "127.0.0.1", before: bytes = b"") -> Client:
        """Connect to the proxy. :param before: a PROXY header."""
        sock = self.transport.connect(port or self.port, source, before)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(sock.close)
        return Client(sock)

    def ask(self, data: bytes, method: bytes = b"GET") -> Message:
        """Return the answer to one request on a fresh connection."""
        client = self.client()
        try:
            return client.ask(data, method)
        finally:
            client.sock.close()

    def wait_idle(self, proxy: Proxy) -> None:
        """Wait until no session and no backend connection in use is left."""
        wait_for(
            lambda: proxy.metric("session_active") == 0 and proxy.metric("backend_active") == 0,
            "session_active and backend_active return to 0",
        )


__all__ = [
    "ECHO",
    "BackendConnection",
    "Client",
    "ConnectionEndedError",
    "HttpProxyTestCase",
    "MalformedMessageError",
    "Message",
    "RecordingBackend",
    "chunks",
    "echoing",
    "get",
    "named",
    "post",
    "response",
    "serving",
    "wait_for",
]
