"""HTTP, TCP and checks over TLS to real backends: those that are who they should be, and the others."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import IO
from unittest import SkipTest

from tests.certificates import Authority, self_signed
from tests.integration.http_support import BackendConnection, chunks, echoing, get, post, response, serving, wait_for
from tests.integration.support import Peer, Proxy, free_ports, reset, silent
from tests.integration.tls_backend import GOOD, ROOT, TlsBackend, TlsBackendTestCase

MIB = 1024 * 1024
DAY = timedelta(days=1)


class HttpTests(TlsBackendTestCase):
    """Requests over TLS."""

    def test_requests_on_a_kept_connection(self) -> None:
        """One handshake for all of them; its name is asked for, and the backend's end is noticed."""
        asked: list[str | None] = []
        backend = self.tls_backend(
            change=lambda context: setattr(context, "sni_callback", lambda sock, name, context: asked.append(name))
        )
        proxy = self.front(backend, cluster=self.verify("name=backend.test"))
        for number in range(5):
            self.assertEqual(self.ask(get(f"/{number}")).body, b"GET /%d " % number)
        self.assertEqual((len(backend.connections), asked), (1, ["backend.test"]))
        self.assertEqual(self.handshakes(proxy, "ok"), 1)
        backend.connections[0].sock.shutdown(socket.SHUT_RDWR)
        self.assertEqual(self.ask(post(b"body")).body, b"POST / body")
        self.assertEqual(backend.resumed, [False, True])
        self.assertEqual(proxy.metric("backend_tls_resumed_total"), 1)

    def test_addresses_are_verified_too(self) -> None:
        """Without name= the certificate must be for the backend's address; none is asked for by name."""
        asked: list[str | None] = []
        backend = self.tls_backend(
            change=lambda context: setattr(context, "sni_callback", lambda sock, name, context: asked.append(name))
        )
        self.front(backend, cluster=self.verify())
        self.assertEqual(self.ask(get()).status, 200)
        self.assertEqual(asked, [None])

    def test_large_bodies_both_ways(self) -> None:
        """A mebibyte and more, with a length, in chunks, and until the end: bit for bit."""
        body = random.Random(7).randbytes(MIB + 12345)
        digest = hashlib.sha256(body).hexdigest().encode()

        def talk(connection: BackendConnection) -> None:
            while (request := connection.read_request()) is not None:
                got = hashlib.sha256(request.body).hexdigest().encode()
                line = b"Digest: " + got + b"\r\n"
                if request.target == b"/length":
                    connection.send(response(body, lines=line))
                elif request.target == b"/chunks":
                    pieces = chunks(*(body[at : at + 70_000] for at in range(0, len(body), 70_000)))
                    connection.send(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n" + line + b"\r\n" + pieces)
                else:
                    connection.send(b"HTTP/1.1 200 X\r\nConnection: close\r\n" + line + b"\r\n" + body)
                    assert isinstance(connection.sock, ssl.SSLSocket)
                    connection.sock.unwrap()
                    return

        backend = self.tls_backend(talk)
        self.front(backend, cluster=self.verify())
        client = self.client()
        for target in ("/length", "/chunks", "/end"):
            got = client.ask(post(body, target))
            self.assertEqual((got.status, got.all("digest")), (200, [digest]))
            self.assertEqual(got.body, body)
        got = self.ask(get("/length", "Transfer-Encoding: chunked\r\n", method="POST") + chunks(body[:MIB], body[MIB:]))
        self.assertEqual((got.all("digest"), got.body == body), ([digest], True))

    def test_an_end_that_tls_does_not_know_of(self) -> None:
        """A body that the end alone ends is cut: whoever is on the line can send a FIN (RFC 9112 section 9.8)."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\nthe beginning")

        self.front(self.tls_backend(talk), cluster=self.verify())
        client = self.client()
        client.send(get())
        self.assertTrue(client.cut())

    def test_sessions_are_resumed(self) -> None:
        """With each version, as the backend counts."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            backend = self.tls_backend()
            backend.context.maximum_version = version
            proxy = self.front(backend, cluster=self.verify() + "\npool_max_idle = 0")
            for _ in range(6):
                self.assertEqual(self.ask(get()).status, 200)
            self.assertEqual(backend.resumed, [False, True, True, True, True, True])
            self.assertEqual(proxy.metric("backend_tls_resumed_total"), 5)
            self.assertEqual(proxy.metric("backend_tls_handshakes_total"), 6)

    def test_backends_that_end_connections_as_they_like(self) -> None:
        """After a response, without a word, while the next request may be on its way: no client notices."""
        backends = [self.tls_backend(serving(echoing, count=count)) for count in (1, 2, 3)]
        proxy = self.front(*backends, cluster=self.verify("name=backend.test"))

        def ask(number: int) -> list[int]:
            client = self.client()
            return [client.ask(get(f"/{number}/{index}")).status for index in range(60)]

        with ThreadPoolExecutor(4) as pool:
            statuses = [status for found in pool.map(ask, range(4)) for status in found]
        self.assertEqual(statuses, [200] * 240)
        self.assertEqual(self.handshakes(proxy, "ok"), proxy.metric("backend_tls_handshakes_total"))
        self.assertGreater(proxy.metric("backend_tls_resumed_total"), 0)

    def test_a_backend_that_requires_a_certificate(self) -> None:
        """It gets ours; without one the client gets 502."""

        def require(context: ssl.SSLContext) -> None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)

        path = ROOT.leaf("proxy.test", client=True).write(self.folder / "client.pem")

        def talk(connection: BackendConnection) -> None:
            while connection.read_request() is not None:
                assert isinstance(connection.sock, ssl.SSLSocket)
                connection.send(response(str(connection.sock.getpeercert()).encode()))

        backend = self.tls_backend(talk, change=require)
        self.front(backend, cluster=self.verify(f"cert={path}"))
        self.assertIn(b"proxy.test", self.ask(get()).body)
        proxy = self.front(backend, cluster=self.verify())
        # in TLS 1.3 the handshake is over when the backend looks: its alert may be overtaken by a reset
        self.assertEqual(self.ask(get()).status, 502)
        self.wait_logged(proxy, "the connection broke after the handshake (")
        backend.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertEqual(self.ask(get()).status, 502)
        self.wait_logged(proxy, "it refused the handshake (TLS: ")

    def wait_logged(self, proxy: Proxy, words: str) -> None:
        """Wait for these words in the diagnostic log."""
        wait_for(lambda: words in proxy.log(), f"{words!r} in {proxy.log()}")


class ProgramTests(TlsBackendTestCase):
    """Backends that are not Python's."""

    def test_records_of_tls_itself_while_idle(self) -> None:
        """A new key asked for between two requests is no word that nobody asked for: the connection is kept."""
        (port,) = free_ports(1)
        path = GOOD.write(self.folder / "server.pem")
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", path, "-key", path, "-crlf", "-msg"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self.addCleanup(server.communicate)
        self.addCleanup(server.kill)
        assert server.stdin is not None and server.stdout is not None
        printed = Output(server.stdout)
        printed.wait("ACCEPT")
        proxy = self.front(port, cluster=self.verify())
        client = self.client()
        for number in range(3):
            client.send(get(f"/{number}"))
            if number:
                # ours goes out before the request: theirs was read by then
                printed.wait("<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
            printed.wait(f"GET /{number} HTTP/1.1")
            server.stdin.write(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")
            self.assertEqual(client.read().status, 200)
            server.stdin.write(b"K\n")
            printed.wait(">>> TLS 1.3, Handshake [length 0005], KeyUpdate")
        self.assertEqual(self.handshakes(proxy, "ok"), 1)
        self.assertEqual(proxy.metric("http_pool_events_total", event="stale"), 0)
        self.assertEqual(proxy.metric("http_pool_events_total", event="hits"), 2)

    def test_nginx(self) -> None:
        """It resumes sessions, keeps connections, and takes our certificate."""
        if shutil.which("nginx") is None:
            raise SkipTest("nginx is not installed")
        (port,) = free_ports(1)
        client = ROOT.leaf("proxy.test", client=True).write(self.folder / "client.pem")
        server = GOOD.write(self.folder / "server.pem")
        body = random.Random(5).randbytes(3 * MIB)
        (self.folder / "large").write_bytes(body)
        config = self.folder / "nginx.conf"
        # its worker has to read the folder
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(
            f"{user} daemon off; pid {self.folder}/pid; error_log {self.folder}/errors;\n"
            "worker_processes 1; events {}\n"
            "http { access_log off; keepalive_requests 5; server {\n"
            f"listen 127.0.0.1:{port} ssl; ssl_certificate {server}; ssl_certificate_key {server};\n"
            f"ssl_client_certificate {self.ca}; ssl_verify_client on; root {self.folder};\n"
            "location /tls { return 200 $ssl_client_s_dn-$ssl_session_reused; }\n"
            "} }\n"
        )
        nginx = subprocess.Popen(["nginx", "-p", str(self.folder), "-c", str(config)], stderr=subprocess.DEVNULL)
        self.addCleanup(nginx.wait)
        self.addCleanup(nginx.terminate)
        wait_for(lambda: listens(port), "nginx listens")
        proxy = self.front(port, cluster=self.verify(f"name=backend.test cert={client} alpn=http/1.1"))
        found = [self.ask(get("/tls")).body for _ in range(12)]
        self.assertEqual(found, [b"CN=proxy.test-."] * 5 + [b"CN=proxy.test-r"] * 7)
        self.assertEqual((self.handshakes(proxy, "ok"), proxy.metric("backend_tls_resumed_total")), (3, 2))
        self.assertEqual(self.ask(get("/large")).body, body)


class Output:
    """What a program prints, read by a thread."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines: list[str] = []
        self._at = 0
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._lines.append(line.decode(errors="replace"))

    def wait(self, words: str) -> None:
        """Wait for a line with these words, behind the one that was waited for last."""

        def came() -> bool:
            while self._at < len(self._lines):
                self._at += 1
                if words in self._lines[self._at - 1]:
                    return True
            return False

        try:
            wait_for(came, words)
        except AssertionError:
            raise AssertionError(f"no {words!r} in {self._lines}") from None


def listens(port: int) -> bool:
    """Say whether somebody does."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class HealthTests(TlsBackendTestCase):
    """Checks over TLS."""

    FAST = "interval=100ms timeout=2s rise=1 fall=1"

    def checked(self, backend: TlsBackend | Peer, check: str, options: str = "name=backend.test") -> Proxy:
        """Start a proxy that checks a backend, and wait for a result."""
        keys = f"{self.verify(options)}\nhealth_check = {check} {self.FAST}"
        proxy = self.front(backend.port, cluster=keys)
        wait_for(lambda: proxy.metric("backend_health_checks_total") >= 3, "three checks")
        return proxy

    def test_http(self) -> None:
        """The status decides, as without TLS; each check is a handshake in full, which is not counted as traffic's."""
        backend = self.tls_backend()
        proxy = self.checked(backend, "http uri=/healthz")
        self.assertEqual(proxy.metric("backend_up"), 1)
        self.assertEqual(proxy.metric("backend_health_checks_total", result="failure"), 0)
        self.assertEqual(backend.requests[0].target, b"/healthz")
        self.assertEqual(proxy.metric("backend_tls_handshakes_total"), 0)
        self.assertNotIn(True, backend.resumed)
        before = proxy.descriptors()
        passed = proxy.metric("backend_health_checks_total")
        wait_for(lambda: proxy.metric("backend_health_checks_total") >= passed + 5, "five more checks")
        self.assertLessEqual(proxy.descriptors(), before + 2)

    def test_tcp(self) -> None:
        """A handshake is well, and so is an answer."""
        backend = self.tls_backend(lambda connection: connection.send(b"hello"))
        for check in ("tcp", "tcp expect=aGVsbG8="):
            proxy = self.checked(backend, check)
            self.assertEqual(proxy.metric("backend_up"), 1)
            self.assertEqual(proxy.metric("backend_health_checks_total", result="failure"), 0)

    def test_a_backend_that_is_somebody_else(self) -> None:
        """It is down, and the log says why."""
        for credentials, why in (
            (ROOT.leaf("backend.test", starts=-2 * DAY, ends=-DAY), "TLS: its certificate expired at 20"),
            (ROOT.leaf("other.test"), "TLS: its certificate is not for backend.test but for other.test"),
        ):
            proxy = self.checked(self.tls_backend(credentials=credentials), "tcp")
            self.assertEqual(proxy.metric("backend_up"), 0)
            self.assertIn(why, proxy.log())

    def test_no_tls_and_an_end(self) -> None:
        """Plain backends, and those that hang up."""

        def plain(connection: socket.socket) -> None:
            connection.recv(100)
            connection.sendall(response(b"plain"))

        def hang_up(connection: socket.socket) -> None:
            connection.recv(5)

        for talk, why in ((plain, "TLS: the handshake failed (TLS: "), (hang_up, "TLS: it ended the connection")):
            proxy = self.checked(self.peer(talk), "http uri=/")
            self.assertEqual(proxy.metric("backend_up"), 0)
            self.assertIn(why, proxy.log())

    def test_a_plain_check_of_a_backend_under_tls(self) -> None:
        """For those that tell their health on another port."""
        health = self.backend()
        backend = self.tls_backend()
        keys = f"{self.verify()}\nhealth_check = http uri=/healthz port={health.port} tls=no {self.FAST}"
        proxy = self.front(backend.port, cluster=keys)
        health.wait_requests(3)
        self.assertEqual(proxy.metric("backend_up"), 1)
        self.assertEqual(self.ask(get()).status, 200)
        self.assertEqual(len(backend.requests), 1)


class RefusalTests(TlsBackendTestCase):
    """Who is not spoken to."""

    def refused(self, port: int, result: str, why: str, reason: str, options: str = "name=backend.test") -> None:
        """Check status, access log, diagnostic log and metrics of one request."""
        proxy = self.front(port, cluster=self.verify(options) + "\nretries = 2\nconnect_timeout = 400ms")
        client = self.client()
        got = client.ask(get())
        # the client's connection goes on
        self.assertEqual(client.ask(get()).status, got.status)
        timeout = reason.endswith(("/timeout", "/rst"))
        self.assertEqual(got.status, 503 if timeout else 502)
        self.assertIn(b"no backend could be reached" if timeout else b"TLS with the backend failed", got.body)
        self.assertEqual(self.handshakes(proxy, result), 4)
        self.assertEqual(self.handshakes(proxy, ""), 0)
        self.assertEqual(proxy.metric("backend_failures_total"), 4)
        wait_for(lambda: len(proxy.access_lines()) >= 2, "two lines of the access log")
        line = json.loads(proxy.access_lines()[0])
        self.assertEqual("/".join((line["side"], line["phase"], line["cause"])), reason)
        lines = [line for line in proxy.log().splitlines() if "TLS with backend" in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(f"TLS with backend 127.0.0.1:{port} of cluster c: {why}", lines[0])

    def test_certificates_that_are_not_good(self) -> None:
        """Each is refused with the reason; the request is not sent."""
        for credentials, result, why in (
            (ROOT.leaf("backend.test", starts=-2 * DAY, ends=-DAY), "expired", "its certificate expired at 20"),
            (self_signed("backend.test"), "self_signed", "its certificate is self-signed"),
            (Authority("nobody's").leaf("backend.test"), "untrusted", "its certificate is from an authority"),
            (ROOT.leaf("other.test"), "wrong_name", "its certificate is not for backend.test but for other.test"),
        ):
            backend = self.tls_backend(credentials=credentials)
            self.refused(backend.port, result, why, "backend/connect/tls")
            self.assertEqual(backend.requests, [])

    def test_old_versions(self) -> None:
        """TLS 1.1 alone."""

        def change(context: ssl.SSLContext) -> None:
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1

        self.refused(self.tls_backend(change=change).port, "protocol", "the handshake failed", "backend/connect/tls")

    def test_no_tls_at_all(self) -> None:
        """A plain backend on the port."""

        def talk(connection: socket.socket) -> None:
            connection.recv(100)
            connection.sendall(response(b"plain"))

        self.refused(self.peer(talk).port, "protocol", "the handshake failed (TLS: ", "backend/connect/tls")

    def test_an_end_in_the_handshake(self) -> None:
        """By FIN and by RST."""

        def hang_up(connection: socket.socket) -> None:
            connection.recv(5)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass

        def break_off(connection: socket.socket) -> None:
            connection.recv(5)
            reset(connection)

        for talk in (hang_up, break_off):
            port = self.peer(talk).port
            self.refused(port, "closed", "it ended the connection during the handshake", "backend/connect/rst")

    def test_silence(self) -> None:
        """connect_timeout is for TCP and TLS together."""
        self.refused(self.peer(silent).port, "timeout", "it did not finish the handshake", "backend/connect/timeout")

    def test_another_backend_is_tried(self) -> None:
        """The client does not notice."""
        bad, good = self.tls_backend(credentials=self_signed("backend.test")), self.tls_backend()
        proxy = self.front(bad, good, cluster=self.verify("name=backend.test"))
        for _ in range(4):
            self.assertEqual(self.ask(get()).status, 200)
        self.assertGreaterEqual(self.handshakes(proxy, "self_signed"), 1)
        self.assertEqual(bad.requests, [])

    def test_insecure_is_warned_of(self) -> None:
        """And works with whoever answers."""
        backend = self.tls_backend(credentials=self_signed("other.test"))
        proxy = self.front(backend, cluster="tls = insecure")
        self.assertEqual(self.ask(get()).status, 200)
        self.assertEqual(proxy.log().count("[cluster c] tls = insecure: whoever answers"), 1)

    def test_nothing_is_left_behind(self) -> None:
        """Clients that leave in the middle of a handshake, and refusals, cost no descriptors."""
        backend, bad = self.tls_backend(), self.peer(silent)
        proxy = self.front(bad.port, cluster=self.verify("name=backend.test"))
        before = proxy.descriptors()
        for _ in range(20):
            client = self.client()
            client.send(get())
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sock.close()
        self.wait_idle(proxy)
        wait_for(lambda: proxy.descriptors() <= before, "the descriptors are back")
        self.assertEqual(backend.requests, [])
