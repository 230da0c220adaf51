"""Active health checks with real sockets: who gets traffic, and who gets it back."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path

from tests.integration.support import BUDGET_S, Peer, Proxy, ProxyTestCase, free_ports, read_all, wait_for

FAST = "interval=100ms timeout=500ms rise=2 fall=2"


class Backend:
    """Tells its name to whoever connects, and its health to whoever asks by HTTP."""

    def __init__(self, case: ProxyTestCase, name: str) -> None:
        self.name = name
        self.status = 200
        self.asked: list[bytes] = []
        self.peer: Peer = case.peer(self.talk)

    def talk(self, connection: socket.socket) -> None:
        """One request of a check, or one word of a client."""
        data = connection.recv(4096)
        if data.startswith(b"GET "):
            self.asked.append(data)
            connection.sendall(b"HTTP/1.1 %d Such\r\nContent-Length: 0\r\n\r\n" % self.status)
        else:
            connection.sendall(self.name.encode())


class HealthTests(ProxyTestCase):
    """Two TCP backends whose health is a page."""

    forked = True

    def front(self, check: str) -> Proxy:
        """Start a proxy in front of backends a and b."""
        self.a, self.b = Backend(self, "a"), Backend(self, "b")
        self.port = free_ports(1)[0]
        lines = "".join(f"  127.0.0.1:{backend.peer.port} id={backend.name}\n" for backend in (self.a, self.b))
        return self.proxy(
            f"[cluster c]\nbackends =\n{lines}health_check = {check} {FAST}\n"
            f"[tcp front]\nlisten = tcp:{self.port}:interface=127.0.0.1\ncluster = c\n"
        )

    def reached(self) -> set[str]:
        """The backends that six clients reach."""
        names = set()
        for _ in range(6):
            client = self.connect(self.port)
            client.sendall(b"who")
            client.shutdown(socket.SHUT_WR)
            names.add(read_all(client).decode())
        return names

    def wait_up(self, proxy: Proxy, **expected: float) -> None:
        """Wait until ``backend_up`` says this of each."""
        wait_for(
            lambda: all(proxy.metric("backend_up", backend=name) == up for name, up in expected.items()), str(expected)
        )

    def test_an_ill_backend_gets_no_traffic_until_it_is_well(self) -> None:
        """The expected status decides; the request is a plain one."""
        proxy = self.front("http uri=/healthz?x expect=200")
        wait_for(lambda: proxy.metric("backend_health_checks_total", result="success") >= 4, "checks that pass")
        self.assertEqual(self.reached(), {"a", "b"})
        self.b.status = 204
        self.wait_up(proxy, a=1, b=0)
        self.assertEqual(self.reached(), {"a"})
        self.b.status = 200
        self.wait_up(proxy, a=1, b=1)
        self.assertEqual(self.reached(), {"a", "b"})
        lines = self.a.asked[0].split(b"\r\n")
        self.assertEqual(lines[0], b"GET /healthz?x HTTP/1.1")
        self.assertIn(b"Host: 127.0.0.1:%d" % self.a.peer.port, lines)
        self.assertIn(b"Connection: close", lines)
        self.assertIn("the status is 204", proxy.log())

    def test_new_backends_wait_for_a_body_that_says_so(self) -> None:
        """``initial=checking`` and ``body=``: who never says it never serves."""
        ready = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n5\r\n well\r\n0\r\n\r\n"
        proxy = self.front("http uri=/ body=all%20well initial=checking")
        word = self.a.talk

        def talk(connection: socket.socket) -> None:
            data = connection.recv(4096, socket.MSG_PEEK)
            if data.startswith(b"GET "):
                connection.recv(4096)
                connection.sendall(ready)
            else:
                word(connection)

        self.a.peer.talk = talk
        self.wait_up(proxy, a=1, b=0)
        wait_for(lambda: proxy.metric("backend_state", backend="b", state="down") == 1, "b is down")
        self.assertEqual(self.reached(), {"a"})
        self.assertIn("backend a of cluster c is up: health check http passed", proxy.log())
        self.assertIn("what is expected is not in the body", proxy.log())

    def test_when_all_are_ill_they_are_used_all_the_same(self) -> None:
        """Better a doubtful backend than none; counted."""
        proxy = self.front("http uri=/")
        self.a.status = self.b.status = 503
        self.wait_up(proxy, a=0, b=0)
        self.assertEqual(self.reached(), {"a", "b"})
        self.assertGreaterEqual(proxy.metric("backend_fail_open_total"), 6)

    def test_a_backend_that_speaks_no_http_is_ill(self) -> None:
        """And one that says nothing, after the timeout."""
        proxy = self.front("http uri=/")
        self.a.peer.talk = lambda connection: connection.sendall(b"SSH-2.0-x\r\n")
        self.b.peer.talk = lambda connection: time.sleep(2.0)
        self.wait_up(proxy, a=0, b=0)
        self.assertIn("the answer is no HTTP/1", proxy.log())
        self.assertIn("no answer in time", proxy.log())

    def test_tcp_checks_hear_what_the_backend_says(self) -> None:
        """``expect`` is what it must begin with; descriptors do not pile up."""
        proxy = self.front("tcp send=d2hv expect=YQ==")
        self.wait_up(proxy, a=1, b=0)
        before = proxy.descriptors()
        seen = proxy.metric("backend_health_checks_total")
        wait_for(lambda: proxy.metric("backend_health_checks_total") > seen + 20, "twenty more checks")
        self.assertLessEqual(proxy.descriptors(), before + 4)
        self.assertEqual(self.reached(), {"a"})


class OtherTransportTests(ProxyTestCase):
    """Unix sockets and UDP."""

    forked = True

    def test_a_unix_socket_is_checked_by_http(self) -> None:
        """Gone, it is ill."""
        folder = tempfile.mkdtemp()
        path = Path(folder) / "s"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        self.addCleanup(os.rmdir, folder)
        self.addCleanup(path.unlink, missing_ok=True)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        proxy = self.proxy(f"[cluster c]\nbackends = unix:{path} id=u\nhealth_check = http uri=/ {FAST}\n")
        wait_for(lambda: proxy.metric("backend_health_checks_total", result="success") >= 2, "checks that pass")
        self.assertEqual(proxy.metric("backend_up", backend="u"), 1)
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        wait_for(lambda: proxy.metric("backend_up", backend="u") == 0, "ill")

    def test_udp_backends_answer_a_question(self) -> None:
        """One that answers, one that answers something else, one that is not there."""
        sockets = []
        for answer in (b"pong!", b"no"):
            server = socket.socket(type=socket.SOCK_DGRAM)
            server.bind(("127.0.0.1", 0))
            server.settimeout(BUDGET_S)
            self.addCleanup(server.close)
            sockets.append(server)

            def serve(server: socket.socket = server, answer: bytes = answer) -> None:
                while True:
                    try:
                        _, client = server.recvfrom(100)
                        server.sendto(answer, client)
                    except OSError:
                        return

            threading.Thread(target=serve, daemon=True).start()
        ports = [*(server.getsockname()[1] for server in sockets), free_ports(1)[0]]
        lines = "".join(f"  127.0.0.1:{port} id={name}\n" for name, port in zip("gbd", ports, strict=True))
        check = f"udp send=cGluZw== expect=cG9uZw== {FAST}"
        proxy = self.proxy(f"[cluster c]\nbackends =\n{lines}health_check = {check}\n")
        wait_for(
            lambda: (
                [proxy.metric("backend_up", backend=name) for name in "gbd"] == [1, 0, 0]
                and proxy.metric("backend_health_checks_total", backend="g", result="success") >= 2
            ),
            "one well, two ill",
        )
        self.assertIn("Connection refused", proxy.log())
        self.assertLessEqual(proxy.descriptors(), 40)
        self.assertLess(len(proxy.log().splitlines()), 20)
