"""The HTTPS proxy with real sockets: what TLS adds to an exchange, and that it takes nothing from it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import struct
import threading
from pathlib import Path

from netappliance.proxy_protocol import encode_v1, encode_v2
from tests.certificates import Authority
from tests.integration.http_support import (
    BackendConnection,
    Client,
    HttpProxyTestCase,
    Message,
    get,
    post,
    response,
    serving,
    wait_for,
)
from tests.integration.support import Proxy, reset
from tests.integration.transports import PLAIN, TLS, Tls

MIB = 1024 * 1024


class ExchangeTests(HttpProxyTestCase):
    """Requests and responses over TLS."""

    transport = TLS

    def test_what_backends_and_the_access_log_are_told(self) -> None:
        """That it was https, and by which version, cipher and name."""
        backend = self.backend()
        proxy = self.front(backend)
        self.assertEqual(self.ask(get(host="localhost")).status, 200)
        (request,) = backend.requests
        self.assertEqual(request.get("X-Forwarded-Proto"), b"https")
        wait_for(lambda: len(proxy.access_lines()) == 1, "a line of the access log")
        line = proxy.access_lines()[0]
        for word in ("1.3", "TLS_", "localhost", "http/1.1"):
            self.assertIn(word, line)
        json.loads(line)

    def test_bodies_arrive_bit_for_bit(self) -> None:
        """1 MiB up and down at once on one connection, by length and in chunks, several times."""
        backend = self.backend(serving(lambda request: response(request.body)))
        self.front(backend)
        client = self.client()
        for chunked in (False, True, False, True):
            body = os.urandom(MIB)
            if chunked:
                pieces = [body[at : at + 60_000] for at in range(0, MIB, 60_000)]
                framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
                head = get("/", "Transfer-Encoding: chunked\r\n", method="POST")
            else:
                framed, head = body, post(b"", method="PUT").replace(b"Length: 0", b"Length: %d" % MIB)
            sender = threading.Thread(target=client.sock.sendall, args=(head + framed,))
            sender.start()
            answer = client.read()
            sender.join()
            self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(body).digest())
        self.assertEqual(len(backend.connections), 1)

    def test_a_slow_reader_gets_everything(self) -> None:
        """16 MiB to a client that begins late and reads in small pieces; the proxy holds little of it."""
        body = os.urandom(MIB) * 16
        proxy = self.front(self.backend(response(body)))
        before = proxy.rss_bytes()
        client = self.client()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(get())
        wait_for(lambda: proxy.metric("session_tx_bytes_total") > 0, "something is on its way")
        grown = proxy.rss_bytes() - before
        digest, read = hashlib.sha256(), 0
        head = client.head()
        self.assertEqual(head.length, len(body))
        digest.update(client.pending)
        read = len(client.pending)
        while read < len(body):
            data = client.sock.recv(7000)
            digest.update(data)
            read += len(data)
        self.assertEqual(digest.digest(), hashlib.sha256(body).digest())
        self.assertLess(grown, 4 * MIB)

    def test_pipelined_requests_in_one_record(self) -> None:
        """Ten requests in a record, their answers in order; and one request in a record for each byte."""
        self.front(self.backend())
        client = self.client()
        client.send(b"".join(get(f"/{number}") for number in range(10)))
        self.assertEqual([client.read().body for _ in range(10)], [b"GET /%d " % number for number in range(10)])
        request = get("/bytes")
        for at in range(len(request)):
            client.sock.sendall(request[at : at + 1])
        self.assertEqual(client.read().body, b"GET /bytes ")

    def test_many_connections_at_once(self) -> None:
        """A hundred, each of which is answered with its own."""
        self.front(self.backend())
        clients = [self.client().send(get(f"/{number}")) for number in range(100)]
        self.assertEqual([each.read().body for each in clients], [b"GET /%d " % number for number in range(100)])


class EndTests(HttpProxyTestCase):
    """How connections end."""

    transport = TLS

    def test_the_proxy_says_close_notify(self) -> None:
        """After the response that a client wanted to be the last."""
        self.front(self.backend())
        client = self.client()
        self.assertEqual(client.ask(get(lines="Connection: close\r\n")).status, 200)
        self.assertTrue(client.closed())

    def test_a_client_that_says_close_notify(self) -> None:
        """Between requests: the connection ends in good order, both ways."""
        proxy = self.front(self.backend())
        client = self.client()
        self.assertEqual(client.ask(get()).status, 200)
        client.sock.shutdown(socket.SHUT_WR)
        self.assertTrue(client.closed())
        proxy.wait_closed("client/idle/fin")

    def test_a_client_that_leaves_without_close_notify(self) -> None:
        """FIN alone and RST: the session ends, nothing is left."""
        proxy = self.front(self.backend())
        client = self.client()
        self.assertEqual(client.ask(get()).status, 200)
        with socket.socket(fileno=os.dup(client.sock.fileno())) as below:
            below.shutdown(socket.SHUT_WR)
        wait_for(lambda: proxy.metric("session_active") == 0, "FIN ends it")
        client = self.client()
        self.assertEqual(client.ask(get()).status, 200)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sock.close()
        proxy.wait_closed("client/idle/rst")

    def test_a_response_that_breaks_off_has_no_close_notify(self) -> None:
        """A client can tell a cut response from a whole one without a length."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            connection.reset()

        self.front(self.backend(talk))
        client = self.client().send(get())
        client.head()
        self.assertRaises(OSError, client.rest)


class ProxyHeaderTests(HttpProxyTestCase):
    """A PROXY header comes before TLS."""

    transport = TLS

    def test_both_versions(self) -> None:
        """The client's address is the header's; the header may be glued to the ClientHello, or come in pieces."""
        backend = self.backend()
        self.front(backend, keys="proxy_protocol = expect\n")
        source, destination = ("2001:db8::7", 7777), ("2001:db8::8", 443)
        for encode in (encode_v1, encode_v2):
            for pieces in (1, 5):
                sock = PLAIN.connect(self.port)
                self.addCleanup(sock.close)
                header = encode(source, destination)
                step = len(header) // pieces + 1
                for at in range(0, len(header), step):
                    sock.sendall(header[at : at + step])
                secured = TLS.context().wrap_socket(sock, server_hostname="localhost")
                self.addCleanup(secured.close)
                self.assertEqual(Client(secured).ask(get()).status, 200)
        for request in backend.requests:
            self.assertEqual(request.get("X-Forwarded-For"), b"2001:db8::7")
            self.assertEqual(request.get("X-Forwarded-Proto"), b"https")

    def test_without_a_header_there_is_no_handshake(self) -> None:
        """A ClientHello is no PROXY header."""
        proxy = self.front(self.backend(), keys="proxy_protocol = expect\n")
        self.assertRaises(OSError, TLS.connect, self.port)
        proxy.wait_closed("client/handshake/protocol")
        self.assertEqual(proxy.metric("tls_handshakes_total"), 0)


class ClientCertificateTests(HttpProxyTestCase):
    """client_ca, required and optional."""

    transport = TLS

    def setUp(self) -> None:
        """Authorities, right and wrong, and their clients."""
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.authority, self.stranger = Authority("clients"), Authority("strangers")
        self.authority.write(self.folder / "clients.pem")
        self.authority.leaf("alice.example", client=True).write(self.folder / "alice.pem")
        self.stranger.leaf("mallory.example", client=True).write(self.folder / "mallory.pem")

    def start(self, keys: str = "") -> Proxy:
        """Start a proxy that asks for certificates."""
        self.backend_seen = self.backend()
        return self.front(self.backend_seen, keys=f"client_ca = {self.folder}/clients.pem\n{keys}")

    def ask_as(self, name: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Message:
        """Ask with this certificate. :raises OSError: refused."""
        context = TLS.context()
        context.minimum_version = context.maximum_version = version
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem")
        with context.wrap_socket(PLAIN.connect(self.port), server_hostname="localhost") as sock:
            return Client(sock).ask(get())

    def test_required(self) -> None:
        """Only those whom the authority signed get in, in both versions; others never reach the backend."""
        proxy = self.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(self.ask_as("alice", version).status, 200)
            for name in ("", "mallory"):
                self.assertRaises(OSError, self.ask_as, name, version)
        self.assertEqual(len(self.backend_seen.requests), 2)
        wait_for(
            lambda: proxy.metric("tls_handshakes_total", result="client_certificate") == 4, "four refused handshakes"
        )

    def test_optional(self) -> None:
        """Without a certificate too, but not with a stranger's."""
        self.start("client_certificate = optional\n")
        self.assertEqual(self.ask_as("").status, 200)
        self.assertEqual(self.ask_as("alice").status, 200)
        self.assertRaises(OSError, self.ask_as, "mallory")


class NameTests(HttpProxyTestCase):
    """Which certificate, and for whom."""

    def setUp(self) -> None:
        """Certificates of several names and kinds."""
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.authority = Authority()
        for name, names, kind in (
            ("a", ("a.example",), "ecdsa"),
            ("a-rsa", ("a.example",), "rsa"),
            ("b", ("b.example", "exact.wild.example"), "ecdsa"),
            ("wild", ("*.wild.example",), "ecdsa"),
        ):
            self.authority.leaf(*names, kind=kind).write(self.folder / f"{name}.pem")  # type: ignore[arg-type]

    def start(self, keys: str = "") -> None:
        """Start a proxy with these certificates."""
        self.transport = Tls(f"certificates = {self.folder}\n{keys}")
        self.backend_seen = self.backend()
        self.front(self.backend_seen)

    def names_shown(self, name: str | None, ciphers: str = "") -> set[str]:
        """Return the names of the certificate that a client gets who asks for this one."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        context.check_hostname = False
        if ciphers:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        with context.wrap_socket(PLAIN.connect(self.port), server_hostname=name) as client:
            found = client.getpeercert()
            assert found is not None
            return {str(entry[1]) for entry in found["subjectAltName"]}

    def test_exact_before_wildcard_before_default(self) -> None:
        """RSA for those who know no other, of the same name."""
        self.start("default_certificate = b.pem\n")
        expected = {
            "a.example": {"a.example"},
            "A.EXAMPLE": {"a.example"},
            "exact.wild.example": {"b.example", "exact.wild.example"},
            "other.wild.example": {"*.wild.example"},
            "two.labels.wild.example": {"b.example", "exact.wild.example"},
            "unknown.example": {"b.example", "exact.wild.example"},
            None: {"b.example", "exact.wild.example"},
        }
        for asked, names in expected.items():
            self.assertEqual(self.names_shown(asked), names, asked)
        for ciphers in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
            self.assertEqual(self.names_shown("a.example", ciphers), {"a.example"}, ciphers)

    def test_a_host_that_the_certificate_is_not_for(self) -> None:
        """421 by default; the backend does not see it, and the connection serves on."""
        self.start("default_certificate = b.pem\n")
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        with context.wrap_socket(PLAIN.connect(self.port), server_hostname="a.example") as sock:
            client = Client(sock)
            self.assertEqual(client.ask(get(host="a.example")).status, 200)
            self.assertEqual(client.ask(get(host="b.example")).status, 421)
            self.assertEqual(client.ask(get(host="a.example:8443")).status, 200)
        self.assertEqual(len(self.backend_seen.requests), 2)


class ManyFailuresTests(HttpProxyTestCase):
    """What is left after many connections that ended in every way."""

    transport = TLS

    def test_nothing_is_left(self) -> None:
        """Neither descriptors nor sessions nor much memory, after clients that finish, break off and vanish."""
        proxy = self.front(self.backend())
        self.ask(get())
        wait_for(lambda: proxy.metric("session_active") == 0, "no session left")
        before = proxy.descriptors()
        for number in range(300):
            sock = TLS.connect(self.port)
            if number % 3:
                sock.sendall(get())
            if number % 2:
                with socket.socket(fileno=os.dup(sock.fileno())) as below:
                    reset(below)
            sock.close()
        wait_for(lambda: proxy.metric("session_active") == 0, "no session left")
        wait_for(lambda: proxy.descriptors() <= before, f"{before} descriptors, not {proxy.descriptors()}")
        self.assertEqual(self.ask(get()).status, 200)
