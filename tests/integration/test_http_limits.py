"""Limits of the HTTP proxy at their edges, and what else the configuration promises."""

from __future__ import annotations

import base64
import hashlib
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

from tests.integration.http_support import (
    ECHO,
    BackendConnection,
    Client,
    HttpProxyTestCase,
    get,
    post,
    response,
    wait_for,
)
from tests.integration.support import BUDGET_S, free_ports


class SizeTests(HttpProxyTestCase):
    """The last size that passes, and the first that does not."""

    def status(self, data: bytes) -> int:
        """Return the status of the answer to it, on a connection of its own."""
        return self.ask(data).status

    def padded(self, size: int) -> bytes:
        """Return a request whose head has this size."""
        data = get(lines="X-Pad: \r\n")
        return data.replace(b"X-Pad: ", b"X-Pad: " + b"a" * (size - len(data)))

    def test_heads(self) -> None:
        """max_header_size counts the whole head: 431."""
        backend = self.backend()
        self.front(backend, keys="max_header_size = 2KiB\nmax_target_size = 1KiB\n")
        self.assertEqual([self.status(self.padded(size)) for size in (2048, 2049, 20000)], [200, 431, 431])
        self.assertEqual(len(backend.requests), 1)

    def test_targets(self) -> None:
        """max_target_size: 414, not 431."""
        self.front(self.backend(), keys="max_target_size = 1KiB\n")
        found = [self.status(get("/" + "a" * size)) for size in (1023, 1024, 100_000)]
        self.assertEqual(found, [200, 414, 414])

    def test_fields(self) -> None:
        """max_header_fields: 431."""
        self.front(self.backend(), keys="max_header_fields = 10\n")
        found = [self.status(get(lines="X: 1\r\n" * count)) for count in (9, 10, 500)]
        self.assertEqual(found, [200, 431, 431])

    def test_bodies(self) -> None:
        """max_body_size: 413, by length before a byte of it reaches the backend, in chunks as soon as it shows."""
        backend = self.backend()
        self.front(backend, keys="max_body_size = 1KiB\n")
        self.assertEqual([self.status(post(b"x" * size)) for size in (1024, 1025)], [200, 413])
        self.assertEqual(len(backend.connections), 1)
        head = get(method="POST", lines="Transfer-Encoding: chunked\r\n")
        chunk = b"200\r\n" + b"x" * 512 + b"\r\n"
        self.assertEqual(self.status(head + chunk * 2 + b"0\r\n\r\n"), 200)
        self.assertEqual(self.status(head + chunk * 2 + b"1\r\nx\r\n0\r\n\r\n"), 413)
        self.assertEqual([len(request.body) for request in backend.requests], [1024, 1024])

    def test_trailers(self) -> None:
        """They count against max_header_size: 431, and the backend's request is not completed."""
        backend = self.backend()
        self.front(backend, keys="max_header_size = 2KiB\nmax_target_size = 1KiB\n")
        head = get(method="POST", lines="Transfer-Encoding: chunked\r\n") + b"1\r\nx\r\n0\r\n"
        self.assertEqual(self.status(head + b"X-T: 1\r\n" * 50 + b"\r\n"), 200)
        self.assertEqual(self.status(head + b"X-T: 1\r\n" * 500 + b"\r\n"), 431)
        self.assertEqual(len(backend.requests), 1)

    def test_heads_of_responses(self) -> None:
        """max_response_header_size: 502."""

        def talk(connection: BackendConnection) -> None:
            while request := connection.read_request():
                connection.send(response(b"x", lines=b"X: " + b"a" * int(request.target[1:]) + b"\r\n"))

        self.front(self.backend(talk), keys="max_response_header_size = 2KiB\n")
        self.assertEqual([self.status(get(f"/{size}")) for size in (1900, 2100, 200_000)], [200, 502, 502])


class ConnectionTests(HttpProxyTestCase):
    """Clients and attempts that wait."""

    def test_clients_beyond_max_connections_wait(self) -> None:
        """Sōzu's test_max_connections: served when others go, and not before."""
        backend = self.backend()
        proxy = self.front(backend, appliance="max_connections = 3\n")
        served = [self.client() for _ in range(3)]
        for client in served:
            self.assertEqual(client.ask(get()).status, 200)
        waiting = [self.client().send(get("/waited")) for _ in range(2)]
        self.assertTrue(all(client.silent() for client in waiting))
        self.assertEqual(len(backend.requests), 3)
        for client in served[:2]:
            client.sock.close()
        self.assertEqual([client.read().status for client in waiting], [200, 200])
        self.assertEqual(proxy.metric("session_active"), 3)

    def test_few_descriptors_turn_some_away_and_lose_nobody(self) -> None:
        """Everybody is answered, refused or turned away, and all is well when descriptors are free again."""
        if shutil.which("prlimit") is None:
            self.skipTest("prlimit is not installed")
        release = threading.Event()

        def talk(connection: BackendConnection) -> None:
            while connection.read_request():
                release.wait(20)
                connection.send(response(b"x"))

        backend = self.backend(talk)
        proxy = self.front(backend, prefix=("prlimit", "--nofile=100"))
        clients = [self.client() for _ in range(120)]
        for client in clients:
            try:
                client.send(get(lines="Connection: close\r\n"))
            except OSError:
                pass  # turned away already
        backend.wait_requests(10)
        release.set()
        statuses = [client.read_or_end() for client in clients]
        found = {got.status if got is not None else 0 for got in statuses}
        self.assertIn(200, found)
        self.assertTrue(found <= {200, 503, 0}, found)
        for client in clients:
            client.sock.close()
        self.wait_idle(proxy)
        for _ in range(3):
            self.assertEqual(self.ask(get()).status, 200)

    def test_an_upload_waits_for_its_backend_in_bounded_memory(self) -> None:
        """64 MiB for a backend that does not read: the client is held, not the memory filled."""
        go_on = threading.Event()

        def talk(connection: BackendConnection) -> None:
            request = connection.read_head()
            assert request is not None
            go_on.wait(10)
            connection.read_body(request)
            connection.send(response(b"%d" % len(request.body)))

        proxy = self.front(self.backend(talk))
        before = proxy.rss_bytes()
        size = 64 * 1024 * 1024
        client = self.client()
        sender = threading.Thread(target=client.send, args=(post(b"x" * size),))
        sender.start()
        time.sleep(0.3)
        self.assertLess(proxy.rss_bytes() - before, 8 * 1024 * 1024)
        go_on.set()
        self.assertEqual(client.read().body, b"%d" % size)
        sender.join()
        self.assertLess(proxy.rss_bytes() - before, 8 * 1024 * 1024)

    def test_a_backend_that_does_not_accept_is_503(self) -> None:
        """After connect_timeout, for each attempt."""
        full = socket.socket()
        self.addCleanup(full.close)
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            self.addCleanup(filler.close)
        self.front(full.getsockname()[1], cluster="connect_timeout = 200ms\nretries = 2\n")
        started = time.monotonic()
        self.assertEqual(self.ask(get()).status, 503)
        self.assertLess(time.monotonic() - started, BUDGET_S / 3)

    def test_an_upload_goes_to_a_living_backend_whole(self) -> None:
        """Nothing of it is consumed by attempts to connect to a dead one."""
        (dead,) = free_ports(1)
        backend = self.backend()
        self.front(dead, backend)
        for size in (5, 100_000):
            for _ in range(2):
                self.assertEqual(self.ask(post(b"x" * size)).body, b"POST / " + b"x" * size)

    def test_an_upload_that_comes_while_the_backend_is_connected_to_is_whole(self) -> None:
        """The body is already there, or still coming, when the connection stands."""
        backend = self.backend()
        self.front(backend)
        for number in range(5):
            body = b"%d" % number * 70_000
            client = self.client().send(
                get(method="POST", lines=f"Content-Length: {len(body)}\r\n") + body[:10], body[10:]
            )
            self.assertEqual(client.read().body, b"POST / " + body)

    def test_an_honest_client_is_not_slowed_by_hundreds_of_slow_ones(self) -> None:
        """They hold half a head each; whoever waited for one of them would wait for request_timeout."""
        proxy = self.front(self.backend(), keys="request_timeout = 30s\n")
        slow = [self.client().send(b"GET / HTTP/1.1\r\nHo") for _ in range(300)]
        wait_for(lambda: proxy.metric("session_active") == 300, "300 slow clients")
        client = self.client()
        started = time.monotonic()
        for _ in range(100):
            self.assertEqual(client.ask(get()).status, 200)
        self.assertLess(time.monotonic() - started, BUDGET_S)
        self.assertEqual(len(slow), 300)


class ListenerTests(HttpProxyTestCase):
    """Where it listens."""

    def test_a_unix_socket(self) -> None:
        """Clients without an address say nothing about it, whatever they claim."""
        backend = self.backend()
        folder = Path(tempfile.mkdtemp(prefix="unix-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        path = folder / "s"
        self.front(backend, more=unix_listener(path))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(BUDGET_S)
            sock.connect(str(path))
            client = Client(sock)
            self.assertEqual(client.ask(get(lines="X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n")).status, 200)
            self.assertEqual(client.ask(get("/nowhere", host="nobody.example")).status, 200)
        self.assertNotIn(b"6.6.6.6", backend.requests[0].raw)
        wait_for(lambda: len(self.front_proxy.access_lines()) == 2, "two lines")

    def test_ipv6(self) -> None:
        """Addresses stand in brackets and quotes where they must."""
        backend = self.backend()
        (port,) = free_ports(1)
        more = f"[http six]\nlisten = tcp:{port}:interface=\\:\\:1\n"
        self.front(backend, more=more)
        with socket.create_connection(("::1", port), BUDGET_S) as sock:
            self.assertEqual(Client(sock).ask(get(host=f"[::1]:{port}")).status, 200)
        (request,) = backend.requests
        self.assertEqual(request.get("X-Forwarded-For"), b"::1")
        self.assertEqual(request.get("Forwarded"), b'for="[::1]";proto=http;by="[::1]"')
        self.assertEqual(request.get("Host"), b"[::1]:%d" % port)


def unix_listener(path: Path) -> str:
    """Return a section that listens on a Unix socket."""
    return f"[http unix]\nlisten = unix:{path}\n"


class AuthenticationTests(HttpProxyTestCase):
    """Basic authentication (Sōzu's test_basic_auth_h1_h1)."""

    def test_users_come_in_and_others_do_not(self) -> None:
        """The right password; no, a wrong or a malformed one, or two of them, never reach the backend."""
        backend = self.backend(ECHO)
        stored = hashlib.sha256(b"a long and random secret").hexdigest()
        more = f"[filter auth]\nkind = basic_auth\nusers = ann:{stored}\n"
        self.front(backend, routes="[route r]\ncluster = c\nfilters = auth\n", more=more)

        def credentials(text: bytes) -> str:
            return f"Authorization: Basic {base64.b64encode(text).decode()}\r\n"

        good = credentials(b"ann:a long and random secret")
        client = self.client()
        refused = client.ask(get())
        self.assertEqual((refused.status, (refused.get("WWW-Authenticate") or b"")[:5]), (401, b"Basic"))
        for lines in (
            credentials(b"ann:wrong"),
            credentials(b"bob:a long and random secret"),
            credentials(b"ann"),
            "Authorization: Basic !!!\r\n",
            "Authorization: Bearer x\r\n",
            good + credentials(b"ann:wrong"),
            good.replace("Basic", "basic"),
        ):
            status = client.ask(get(lines=lines)).status
            self.assertEqual(status, 200 if lines.startswith("Authorization: basic") else 401, lines)
        self.assertEqual(client.ask(get(lines=good)).status, 200)
        self.assertEqual(len(backend.requests), 2)
        self.assertTrue(all(request.get("Authorization") is None for request in backend.requests))

    def test_a_refused_upload_is_not_taken_for_requests(self) -> None:
        """401 before the body, and nothing of the body is served."""
        backend = self.backend()
        stored = hashlib.sha256(b"x" * 30).hexdigest()
        more = f"[filter auth]\nkind = basic_auth\nusers = ann:{stored}\n"
        routes = "[route r]\npath = /in\ncluster = c\nfilters = auth\n[route out]\ncluster = c\n"
        self.front(backend, routes=routes, more=more)
        hidden = get("/smuggled")
        client = self.client()
        sender = threading.Thread(target=client.send, args=(post(hidden * 200, "/in"),))
        sender.start()
        self.assertEqual(client.read().status, 401)
        sender.join()
        client.sock.close()
        self.assertEqual(self.ask(get("/x")).status, 200)
        self.assertEqual([request.target for request in backend.requests], [b"/x"])
