"""Clients that do not shake hands as they should: each is refused in words that it understands, counted, and gone."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
import subprocess

from tests.integration.http_support import Client, HttpProxyTestCase, RecordingBackend, get
from tests.integration.support import BUDGET_S, Proxy, read_all, wait_for
from tests.integration.transports import PLAIN, TLS

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def client_hello(name: str = "localhost") -> bytes:
    """Return the record of a ClientHello."""
    outgoing = ssl.MemoryBIO()
    connection = TLS.context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def alert(description: int) -> bytes:
    """Return the record of a fatal alert."""
    return bytes((21, 3, 3, 0, 2, 2, description))


class OpeningTestCase(HttpProxyTestCase):
    """An [https] listener, and clients that speak TCP to it."""

    transport = TLS

    def start(self, keys: str = "") -> tuple[Proxy, RecordingBackend]:
        """Start both, and let one honest client warm them up."""
        backend = self.backend()
        proxy = self.front(backend, keys=keys)
        self.assertEqual(self.ask(get()).status, 200)
        wait_for(lambda: proxy.metric("session_active") == 0, "the honest client is gone")
        return proxy, backend

    def raw(self, data: bytes) -> socket.socket:
        """Connect without TLS and send this."""
        sock = PLAIN.connect(self.port)
        self.addCleanup(sock.close)
        sock.sendall(data)
        return sock

    def told(self, sock: socket.socket) -> bytes:
        """Return all that comes until the end, be it FIN or RST."""
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65536):
                said += data
        return said

    def wait_counted(self, proxy: Proxy, result: str, count: int = 1) -> None:
        """Wait until so many handshakes ended with this result."""
        wait_for(
            lambda: proxy.metric("tls_handshakes_total", result=result) == count,
            f"{count} x {result}: {[line for line in proxy.get('/metrics')[1].splitlines() if 'tls_handsh' in line]}",
        )


class RefusalTests(OpeningTestCase):
    """First bytes that are no ClientHello that can be served."""

    def test_each_is_refused_and_counted(self) -> None:
        """An alert for those who speak TLS, a word of a closed set for the operator, and an honest client after all."""
        proxy, backend = self.start()
        hello = client_hello()
        long_record = b"\x16\x03\x01\x40\x01" + b"\x01" + bytes(16384)
        cases = {
            "not_tls": (b"\x00\x01\x02\x03garbage of no protocol\r\n\r\n", b""),
            "record_too_large": (long_record, alert(22)),
            "record_type": (b"\x17\x03\x03\x00\x05hello", alert(10)),
            "empty_record": (b"\x16\x03\x01\x00\x00" + hello, alert(10)),
            "not_client_hello": (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", alert(10)),
            "malformed": (hello[:43] + b"\xff" + hello[44:], alert(50)),
        }
        for result, (data, told) in cases.items():
            self.assertEqual((result, self.told(self.raw(data))), (result, told))
            self.wait_counted(proxy, result)
        self.assertEqual(proxy.closed("client/handshake/tls"), len(cases))
        self.assertEqual(self.ask(get()).status, 200)
        self.assertEqual(len(backend.requests), 2)

    def test_plain_http_is_told_so(self) -> None:
        """A 400 whose text says what is wrong; nothing reaches the backend."""
        proxy, backend = self.start()
        answer = Client(self.raw(get())).read()
        self.assertEqual((answer.status, answer.get("Connection")), (400, b"close"))
        self.assertIn(b"https", answer.body.lower())
        self.wait_counted(proxy, "plain_http")
        self.assertEqual(len(backend.requests), 1)

    def test_a_name_that_is_none(self) -> None:
        """illegal_parameter; a name that no certificate has gets the default one instead."""
        proxy, _backend = self.start()
        hello = client_hello("localhost")
        self.assertEqual(read_all(self.raw(hello.replace(b"localhost", b"local\0ost"))), alert(47))
        self.wait_counted(proxy, "bad_server_name")
        context = TLS.context()
        context.check_hostname = False
        with context.wrap_socket(PLAIN.connect(self.port), server_hostname="unknown.example") as client:
            self.assertIn(("DNS", "localhost"), client.getpeercert()["subjectAltName"])  # type: ignore[index]


class SlowOpeningTests(OpeningTestCase):
    """Clients that stop in the middle."""

    def test_handshake_timeout(self) -> None:
        """Nothing at all, half a ClientHello and a client that never sends its Finished: all are closed in time."""
        proxy, _backend = self.start("handshake_timeout = 500ms")
        hello = client_hello()
        for data in (b"", hello[:3], hello[: len(hello) // 2]):
            self.assertEqual(self.told(self.raw(data)), b"")
        self.assertTrue(read_all(self.raw(hello)).startswith(b"\x16\x03\x03"))
        self.wait_counted(proxy, "timeout", 4)
        proxy.wait_closed("client/handshake/timeout", 4)

    def test_half_a_hello_and_then_the_end(self) -> None:
        """FIN and RST: counted as closed, long before the timeout."""
        proxy, _backend = self.start()
        hello = client_hello()
        sock = self.raw(hello[:100])
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(self.told(sock), b"")
        self.wait_counted(proxy, "closed")
        sock = self.raw(hello[:100])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        self.wait_counted(proxy, "closed", 2)

    def test_a_hello_byte_by_byte(self) -> None:
        """In segments and records of one byte each it is the same ClientHello."""
        self.start()
        for cut in ("segments", "records"):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            connection = TLS.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
            sock = self.raw(b"")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                try:
                    connection.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    hello = outgoing.read()
                    if cut == "records" and hello[:1] == b"\x16":
                        message = hello[5:]
                        hello = b"".join(b"\x16\x03\x01\x00\x01" + message[n : n + 1] for n in range(len(message)))
                        sock.sendall(hello)
                    else:
                        for number in range(len(hello)):
                            sock.sendall(hello[number : number + 1])
                    incoming.write(sock.recv(65536))
            self.assertEqual(connection.version(), "TLSv1.3")


class OldProtocolTests(OpeningTestCase):
    """Versions, ciphers and habits of former times."""

    if shutil.which("openssl") is None:
        skip = "openssl is not installed"

    def s_client(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run openssl's client; what it said."""
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-CAfile", f"{TLS.folder}/ca.pem"]
        done = subprocess.run([*command, *arguments], input=stdin, capture_output=True, timeout=BUDGET_S, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def test_versions_before_1_2_are_refused(self) -> None:
        """Each with the alert for it, and counted as such."""
        proxy, _backend = self.start()
        for count, version in enumerate(("-tls1", "-tls1_1"), 1):
            said = self.s_client(version, "-cipher", "ALL:@SECLEVEL=0")
            self.assertIn("alert protocol version", said, version)
            self.wait_counted(proxy, "version", count)
        # SSL 3.0 and 2.0, which no OpenSSL of today speaks
        hello = client_hello()
        message = bytearray(hello[5:])
        message[4:6] = b"\x03\x00"
        suites_at = 4 + 2 + 32 + 1 + message[38]
        bare = message[4 : suites_at + 2 + int.from_bytes(message[suites_at : suites_at + 2], "big")] + b"\x01\x00"
        body = b"\x01" + len(bare).to_bytes(3, "big") + bare
        answer = read_all(self.raw(b"\x16\x03\x00" + len(body).to_bytes(2, "big") + body))
        self.assertEqual((answer[:1], answer[-1:]), (b"\x15", b"\x46"), answer)
        self.wait_counted(proxy, "version", 3)
        answer = read_all(self.raw(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37)))
        self.assertEqual(answer, alert(70))
        self.wait_counted(proxy, "sslv2")

    def test_old_ciphers_are_refused(self) -> None:
        """Without forward secrecy, with CBC, RC4 or 3DES, without authentication."""
        self.start()
        for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "AECDH-AES128-SHA", "ECDHE-ECDSA-NULL-SHA"):
            said = self.s_client("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
            self.assertIn("alert handshake failure", said, cipher)

    def test_the_order_of_ciphers_is_ours(self) -> None:
        """In both versions; but who likes ChaCha20 most has no fast AES, and gets it."""
        self.start()
        aes, chacha = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"
        for order in (f"{aes}:ECDHE-ECDSA-AES256-GCM-SHA384", f"ECDHE-ECDSA-AES256-GCM-SHA384:{aes}"):
            self.assertIn(f"Cipher is {aes}", self.s_client("-tls1_2", "-cipher", order))
        self.assertIn(f"Cipher is {chacha}", self.s_client("-tls1_2", "-cipher", f"{chacha}:{aes}"))
        self.assertIn(f"Cipher is {aes}", self.s_client("-tls1_2", "-cipher", f"{aes}:{chacha}"))

    def test_modern_has_no_1_2(self) -> None:
        """tls_profile = modern."""
        self.start("tls_profile = modern")
        self.assertIn("alert protocol version", self.s_client("-tls1_2"))
        self.assertIn("Verify return code: 0 (ok)", self.s_client("-tls1_3", "-servername", "localhost"))

    def test_renegotiation_is_refused(self) -> None:
        """A client that asks for it keeps or loses its connection, but gets no second handshake."""
        proxy, _backend = self.start()
        said = self.s_client("-tls1_2", "-servername", "localhost", stdin=b"R\n")
        self.assertTrue(re.search(r"no renegotiation|handshake failure|unexpected message", said), said[-800:])
        self.assertEqual(proxy.metric("tls_handshakes_total", version="1.2", result="ok"), 1)
        self.assertIn("Secure Renegotiation IS supported", said)  # RFC 5746, which protects clients
        self.assertNotRegex(said, r"Compression: (?!NONE)\S")

    def test_resumption(self) -> None:
        """A session is taken up by its ticket, in both versions, and counted; there is no early data."""
        proxy, _backend = self.start()
        for name, version in VERSIONS.items():
            context = TLS.context()
            context.minimum_version = context.maximum_version = version
            session = None
            for resumed in (False, True):
                with context.wrap_socket(
                    PLAIN.connect(self.port), server_hostname="localhost", session=session
                ) as client:
                    client.sendall(get())
                    self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200 "))
                    self.assertEqual(client.session_reused, resumed)
                    session = client.session
            self.assertEqual(proxy.metric("tls_handshakes_total", version=name, resumed="yes", result="ok"), 1)
        self.assertNotIn("Max Early Data: 1", self.s_client("-tls1_3", "-servername", "localhost", stdin=b"\n"))

    def test_alpn(self) -> None:
        """http/1.1 is agreed upon; a client that offers h2 only is refused."""
        proxy, _backend = self.start()
        with TLS.context().wrap_socket(PLAIN.connect(self.port), server_hostname="localhost") as client:
            self.assertEqual(client.selected_alpn_protocol(), "http/1.1")
        self.assertIn("no application protocol", self.s_client("-alpn", "h2", "-servername", "localhost"))
        self.wait_counted(proxy, "alpn")
