"""[tcp] sections and WebSockets over TLS to real backends."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import threading

from tests.certificates import self_signed
from tests.integration.http_support import BackendConnection, get, wait_for
from tests.integration.support import BUDGET_S, Proxy, free_ports, read_all, silent
from tests.integration.tls_backend import GOOD, ROOT, TlsBackend, TlsBackendTestCase

MIB = 1024 * 1024


def echo(connection: BackendConnection) -> None:
    """Send everything back; when the proxy says that it is over, say so too."""
    sock = connection.sock
    assert isinstance(sock, ssl.SSLSocket)
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.unwrap()


class TcpTests(TlsBackendTestCase):
    """Bytes both ways."""

    def tcp(self, *ports: int, keys: str = "", tls: str = "") -> Proxy:
        """Start a proxy in front of these backends."""
        (self.port,) = free_ports(1)
        lines = "".join(f"  127.0.0.1:{port}\n" for port in ports)
        return self.proxy(
            f"[cluster c]\nbackends =\n{lines}{tls or self.verify('name=backend.test')}\n"
            f"connect_timeout = 400ms\n[tcp front]\nlisten = tcp:{self.port}:interface=127.0.0.1\ncluster = c\n{keys}\n"
        )

    def exchange(self, data: bytes) -> bytes:
        """Send all of it on a new connection, then FIN; what comes back until the end."""
        with self.connect(self.port) as client:
            sender = threading.Thread(target=self._send, args=(client, data))
            sender.start()
            got = read_all(client)
            sender.join()
        return got

    def wait_ended(self, proxy: Proxy) -> None:
        """Wait until no session is open."""
        wait_for(lambda: proxy.metric("session_active") == 0, "the end of all sessions")

    def _send(self, client: socket.socket, data: bytes) -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    def test_bytes_both_ways(self) -> None:
        """Megabytes, bit for bit; ends are passed on, and the next connection resumes the session."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            backend = self.tls_backend(echo)
            backend.context.maximum_version = version
            proxy = self.tcp(backend.port)
            data = random.Random(3).randbytes(5 * MIB + 17)
            for _ in range(3):
                self.assertEqual(hashlib.sha256(self.exchange(data)).digest(), hashlib.sha256(data).digest())
                # the session is kept when the connection is over
                self.wait_ended(proxy)
            self.assertEqual(backend.resumed, [False, True, True])
            self.assertEqual(self.handshakes(proxy, "ok"), 3)
            self.assertEqual(proxy.metric("backend_tls_resumed_total"), 2)
            self.assertEqual(proxy.metric("session_rx_bytes_total"), 3 * len(data))
            self.assertEqual(proxy.metric("session_tx_bytes_total"), 3 * len(data))
            proxy.wait_closed("client/data/fin", 3)

    def test_a_backend_that_speaks_first(self) -> None:
        """Its greeting may come in one segment with the end of its handshake."""

        def greet(connection: BackendConnection) -> None:
            connection.sock.sendall(b"220 hello\r\n")
            echo(connection)

        self.tcp(self.tls_backend(greet).port)
        for _ in range(5):
            with self.connect(self.port) as client:
                self.assertEqual(client.recv(100), b"220 hello\r\n")
                client.sendall(b"word")
                self.assertEqual(client.recv(100), b"word")

    def test_a_proxy_header_goes_before_tls(self) -> None:
        """As HAProxy and nginx have it."""
        heads: list[bytes] = []

        class Backend(TlsBackend):
            def _run(self, connection: BackendConnection) -> None:
                head = b""
                while not head.endswith(b"\n"):
                    head += connection.sock.recv(1)
                heads.append(head)
                super()._run(connection)

        backend = Backend(echo, self.server_context())
        self.addCleanup(self._check_backend, backend)
        proxy = self.tcp(backend.port, keys="proxy_protocol = send_v1")
        self.assertEqual(self.exchange(b"data"), b"data")
        self.assertTrue(heads[0].startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 "), heads)
        self.wait_ended(proxy)
        self.assertEqual(proxy.metric("session_tx_bytes_total"), len(heads[0]) + 4)

    def test_who_is_refused(self) -> None:
        """The client's connection ends without a byte, with the cause tls; another backend is tried first."""
        bad = self.tls_backend(echo, self_signed("backend.test"))
        proxy = self.tcp(bad.port)
        self.assertEqual(self.exchange(b""), b"")
        proxy.wait_closed("backend/connect/tls")
        self.assertIn("of cluster c: its certificate is self-signed", proxy.log())
        good = self.tls_backend(echo)
        proxy = self.tcp(bad.port, good.port)
        for _ in range(4):
            self.assertEqual(self.exchange(b"word"), b"word")
        self.assertGreater(self.handshakes(proxy, "self_signed"), 0)

    def test_a_handshake_that_comes_to_no_end(self) -> None:
        """connect_timeout; the metric says that it was TLS."""
        proxy = self.tcp(self.peer(silent).port, keys="")
        with self.connect(self.port) as client:
            self.assertEqual(client.recv(10), b"")
        proxy.wait_closed("backend/connect/timeout")
        self.assertGreater(self.handshakes(proxy, "timeout"), 0)

    def test_a_client_certificate_that_is_missing(self) -> None:
        """In TLS 1.3 the backend says so behind the handshake: the session is cut, and the log says why."""

        def require(context: ssl.SSLContext) -> None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)

        backend = self.tls_backend(echo, change=require)
        proxy = self.tcp(backend.port)
        with self.connect(self.port) as client:
            self.assertRaises(ConnectionResetError, client.recv, 10)
        proxy.wait_closed("backend/data/tls")
        self.assertIn("certificate required", proxy.log())
        path = ROOT.leaf("proxy.test", client=True).write(self.folder / "client.pem")
        self.tcp(backend.port, tls=self.verify(f"name=backend.test cert={path}"))
        self.assertEqual(self.exchange(b"word"), b"word")

    def test_clients_under_tls_too(self) -> None:
        """Both legs are encrypted, each for itself."""
        certificates = self.folder / "certificates"
        certificates.mkdir()
        GOOD.write(certificates / "a.pem")
        backend = self.tls_backend(echo)
        self.tcp(backend.port, keys=f"tls = yes\ncertificates = {certificates}")
        context = ssl.create_default_context(cafile=self.ca)
        data = random.Random(4).randbytes(MIB)
        with socket.create_connection(("127.0.0.1", self.port), BUDGET_S) as plain:
            client = context.wrap_socket(plain, server_hostname="backend.test")
            threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
            got = b""
            while len(got) < len(data):
                got += client.recv(65536)
            self.assertEqual(got == data, True)
            client.unwrap()

    def test_nothing_is_left_behind(self) -> None:
        """Sessions that end in the middle of a handshake cost no descriptors."""
        proxy = self.tcp(self.peer(silent).port)
        before = proxy.descriptors()
        for _ in range(20):
            self.connect(self.port).close()
        self.wait_ended(proxy)
        wait_for(lambda: proxy.descriptors() <= before, "the descriptors are back")


class WebSocketTests(TlsBackendTestCase):
    """Upgraded connections."""

    def test_a_tunnel(self) -> None:
        """What follows the 101 goes both ways, and ends are passed on."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello")
            echo(connection)

        backend = self.tls_backend(talk)
        proxy = self.front(backend, cluster=self.verify())
        data = random.Random(9).randbytes(MIB)
        for _ in range(2):
            client = self.client()
            client.send(get("/chat", "Connection: Upgrade\r\nUpgrade: websocket\r\n"))
            self.assertEqual(client.head().status, 101)
            threading.Thread(target=client.sock.sendall, args=(data,), daemon=True).start()
            got = client.exactly(5 + len(data))
            self.assertEqual((got[:5], got[5:] == data), (b"hello", True))
            client.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(client.rest(), b"")
        self.assertEqual(backend.resumed, [False, True])
        proxy.wait_closed("client/tunnel/fin", 2)
