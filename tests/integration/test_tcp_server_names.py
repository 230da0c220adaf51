"""TLS that is passed through by server name: several sections behind one address, real clients, real servers."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from unittest import SkipTest

from netappliance.proxy_protocol import ProxyHeader, encode_v1, encode_v2, parse_header
from netappliance.tls import alerts
from tests.certificates import Authority
from tests.integration.support import BUDGET_S, Peer, Proxy, ProxyTestCase, free_ports, read_all, reset, wait_for
from tests.tls import hellos

UNRECOGNIZED_NAME = alerts.fatal_alert(alerts.UNRECOGNIZED_NAME)


@cache
def authority() -> Authority:
    """The one of all servers here."""
    return Authority()


class TlsServer:
    """Ends TLS with a certificate of its own and says its name, and what the client's proxy said before."""

    def __init__(self, name: str, *names: str, expects_header: bool = False) -> None:
        self.name = name
        self.expects_header = expects_header
        self.headers: list[ProxyHeader] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            self._context.load_cert_chain(authority().leaf(*names).write(Path(folder) / "pem"))

    def talk(self, connection: socket.socket) -> None:
        """Answer one request with the server's name."""
        if self.expects_header:
            parsed = None
            while parsed is None:
                parsed = parse_header(connection.recv(4096, socket.MSG_PEEK))
            connection.recv(parsed[1])
            self.headers.append(parsed[0])
        with self._context.wrap_socket(connection, server_side=True) as stream:
            stream.recv(65536)
            answer = f"HTTP/1.0 200 OK\r\nContent-Length: {len(self.name)}\r\n\r\n{self.name}"
            stream.sendall(answer.encode())
            stream.unwrap()


class ServerNameTestCase(ProxyTestCase):
    """A proxy with sections that share an address."""

    forked = True

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(tempfile.mkdtemp(prefix="netappliance-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.ca = authority().write(self.folder / "ca.pem")

    def server(self, name: str, *names: str, expects_header: bool = False) -> tuple[TlsServer, Peer]:
        """Start a TLS server."""
        server = TlsServer(name, *names, expects_header=expects_header)
        return server, self.peer(server.talk)

    def front(self, sections: dict[str, tuple[int, str]], keys: str = "") -> tuple[Proxy, int]:
        """
        Start a proxy with sections of one address.

        :param sections: name -> (the backend's port, keys). :return: the proxy and its port.
        """
        [port] = free_ports(1)
        text = ""
        for name, (backend, own) in sections.items():
            text += f"[cluster {name}]\nbackends = 127.0.0.1:{backend}\n"
            text += f"[tcp {name}]\nlisten = tcp:{port}:interface=127.0.0.1\ncluster = {name}\n{own}\n{keys}\n"
        return self.proxy(text), port

    def two(self, keys: str = "") -> tuple[Proxy, int]:
        """Start two servers behind one address: a.example, and *.b.example."""
        _, one = self.server("one", "a.example")
        _, other = self.server("other", "*.b.example")
        return self.front({"one": (one.port, "sni = a.example"), "other": (other.port, "sni = *.b.example")}, keys)

    def ask(self, port: int, name: str | None, verified: str = "", first: bytes = b"") -> bytes:
        """Ask as Python's ssl does; the certificate must be good for the name. Return the last line of the answer."""
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = name is not None and not verified
        client = self.connect(port)
        client.sendall(first)
        with context.wrap_socket(client, server_hostname=name) as stream:
            stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return read_all(stream).rpartition(b"\n")[2]

    def notes(self, proxy: Proxy, listener: str) -> list[dict[str, str]]:
        """Return the notes of the listener's sessions in the access log."""
        proxy.stop()
        lines = [json.loads(line) for line in proxy.access_lines()]
        return [line.get("notes", {}) for line in lines if line["listener"] == listener]


class RoutingTests(ServerNameTestCase):
    """Each name to its section, untouched."""

    def test_two_servers_behind_one_port(self) -> None:
        """Each client sees the certificate of its server; sessions are those of the section that was chosen."""
        proxy, port = self.two()
        self.assertEqual(self.ask(port, "a.example"), b"one")
        self.assertEqual(self.ask(port, "www.b.example"), b"other")
        self.assertEqual(self.ask(port, "MAIL.b.example"), b"other")
        wait_for(lambda: proxy.metric("session_active") == 0, "ends")
        for name, count in (("one", 1), ("other", 2)):
            self.assertEqual(proxy.metric("session_total", listener=name), count)
            self.assertEqual(proxy.metric("session_closed_total", listener=name), count)
            self.assertEqual(proxy.metric("tls_hellos_total", listener=name, result="ok"), count)
            self.assertGreater(proxy.metric("session_tx_bytes_total", listener=name, cluster=name), 500 * count)
        self.assertEqual(self.notes(proxy, "one"), [{"sni": "a.example"}])
        self.assertEqual(self.notes(proxy, "other"), [{"sni": "www.b.example"}, {"sni": "mail.b.example"}])

    def test_names_that_nobody_serves(self) -> None:
        """The alert of RFC 6066; clients without a name get it too."""
        proxy, port = self.two()
        for name in ("c.example", "b.example", "x.y.b.example", None):
            with self.assertRaisesRegex(ssl.SSLError, "(?i)unrecognized.name"):
                self.ask(port, name, verified="no")
        proxy.wait_closed("client/handshake/policy", 4)
        self.assertEqual(proxy.metric("tls_hellos_total", listener="one", result="no_section"), 4)
        self.assertEqual(proxy.metric("session_total", listener="one"), 4)
        self.assertEqual(proxy.metric("session_total", listener="other"), 0)
        expected = {"tls": "no section for this server name", "sni": "c.example"}
        self.assertEqual(self.notes(proxy, "one")[0], expected)

    def test_everything_else(self) -> None:
        """``*`` takes other names, and clients without one."""
        _, one = self.server("one", "a.example")
        _, rest = self.server("rest", "rest.example")
        _, port = self.front({"one": (one.port, "sni = a.example"), "rest": (rest.port, "sni = *, *.a.example")})
        self.assertEqual(self.ask(port, "a.example"), b"one")
        self.assertEqual(self.ask(port, "rest.example"), b"rest")
        self.assertEqual(self.ask(port, None), b"rest")

    def test_a_section_alone(self) -> None:
        """One with ``sni`` on several addresses takes its clients only; its fingerprints are noted when asked for."""
        _, one = self.server("one", "a.example")
        port, other = free_ports(2)
        proxy = self.proxy(
            f"[cluster c]\nbackends = 127.0.0.1:{one.port}\n[tcp t]\nlisten = tcp:{port}:interface=127.0.0.1, "
            f"tcp:{other}:interface=127.0.0.1\ncluster = c\nsni = a.example\nja4 = yes\n"
        )
        self.assertEqual(self.ask(port, "a.example"), b"one")
        self.assertEqual(self.ask(other, "a.example"), b"one")
        with self.assertRaises(ssl.SSLError):
            self.ask(other, "b.example")
        found = self.notes(proxy, "t")
        self.assertEqual(found[0]["sni"], "a.example")
        self.assertRegex(found[0]["ja4"], r"\At13d[0-9]{4}00_[0-9a-f]{12}_[0-9a-f]{12}\Z")
        self.assertEqual([note["ja4"] for note in found], [found[0]["ja4"]] * 3)

    def test_a_backend_that_is_not_there(self) -> None:
        """The hello was in order; the session ends as others do, and is the chosen section's."""
        _, one = self.server("one", "a.example")
        [nobody] = free_ports(1)
        proxy, port = self.front({"one": (one.port, "sni = a.example"), "other": (nobody, "sni = b.example")})
        with self.assertRaises(OSError):
            self.ask(port, "b.example")
        proxy.wait_closed("backend/connect/rst")
        self.assertEqual(proxy.metric("session_closed_total", listener="other"), 1)
        self.assertEqual(proxy.metric("tls_hellos_total", listener="other", result="ok"), 1)
        self.assertEqual(proxy.metric("tls_hellos_total"), 1)

    def test_curl(self) -> None:
        """With its own way to say hello."""
        if shutil.which("curl") is None:
            raise SkipTest("curl is not installed")
        _, port = self.two()
        for host, expected in (("a.example", "one"), ("www.b.example", "other")):
            resolve = ("--resolve", f"{host}:{port}:127.0.0.1")
            url = f"https://{host}:{port}/"
            done = subprocess.run(
                ["curl", "-sS", "--noproxy", "*", "--cacert", self.ca, *resolve, url],
                capture_output=True,
                text=True,
                timeout=BUDGET_S,
            )
            self.assertEqual((done.stdout, done.stderr), (expected, ""))

    def test_openssl(self) -> None:
        """TLS 1.2 and 1.3; and it says which alert it got."""
        if shutil.which("openssl") is None:
            raise SkipTest("openssl is not installed")
        _, port = self.two()
        for arguments, expected in (
            (("-servername", "a.example", "-verify_hostname", "a.example"), "Verification: OK"),
            (("-servername", "x.b.example", "-verify_hostname", "x.b.example", "-tls1_2"), "Verification: OK"),
            (("-servername", "c.example"), "alert"),
            (("-noservername",), "alert"),
        ):
            done = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", self.ca, *arguments],
                input="GET / HTTP/1.0\r\n\r\n",
                capture_output=True,
                text=True,
                timeout=BUDGET_S,
            )
            self.assertIn(expected, done.stdout + done.stderr, arguments)


class PieceTests(ServerNameTestCase):
    """A ClientHello in pieces."""

    def shake_hands(self, port: int, cuts: range, pieces: int) -> bytes:
        """
        Talk to a.example with a ClientHello in records that end at ``cuts``, sent in pieces of so many bytes.

        :return: the last line of the answer.
        """
        context = ssl.create_default_context(cafile=self.ca)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        stream = context.wrap_bio(incoming, outgoing, server_hostname="a.example")
        client = self.connect(port)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.assertRaises(ssl.SSLWantReadError):
            stream.do_handshake()
        first = hellos.records(outgoing.read()[5:], cuts)
        for start in range(0, len(first), pieces):
            client.sendall(first[start : start + pieces])
        steps = [stream.do_handshake, lambda: stream.write(b"GET / HTTP/1.0\r\n\r\n"), stream.read]
        answer = b""
        for step in steps:
            while True:
                try:
                    answer = step() or b""  # type: ignore[operator]
                except ssl.SSLWantReadError:
                    client.sendall(outgoing.read())
                    incoming.write(client.recv(65536))
                else:
                    break
            client.sendall(outgoing.read())
        return answer.rpartition(b"\n")[2]

    def test_bytes_one_by_one(self) -> None:
        """In one record."""
        _, port = self.two()
        self.assertEqual(self.shake_hands(port, range(0), 1), b"one")

    def test_records_of_one_byte(self) -> None:
        """And they go on as they came: the server puts them together too."""
        _, port = self.two()
        self.assertEqual(self.shake_hands(port, range(1, 1000), 4096), b"one")

    def test_records_of_some_bytes_in_other_pieces(self) -> None:
        """Nothing is aligned."""
        _, port = self.two()
        self.assertEqual(self.shake_hands(port, range(3, 1000, 7), 11), b"one")

    def test_half_a_hello(self) -> None:
        """Ended, or reset: each with its reason, and nothing stays open."""
        proxy, port = self.two()
        before = proxy.descriptors()
        half = hellos.hello(hellos.server_name(b"a.example"))[:60]
        ended = self.connect(port)
        ended.sendall(half)
        ended.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(ended), b"")
        proxy.wait_closed("client/handshake/fin")
        nothing = self.connect(port)
        nothing.close()
        proxy.wait_closed("client/handshake/fin", 2)
        broken = self.connect(port)
        broken.sendall(half)
        reset(broken)
        proxy.wait_closed("client/handshake/rst")
        self.assertEqual(proxy.metric("tls_hellos_total", listener="one", result="closed"), 3)
        self.assertEqual(proxy.metric("session_total", listener="one"), 3)
        wait_for(lambda: proxy.descriptors() <= before, "descriptors are given back")

    def test_a_hello_that_never_ends(self) -> None:
        """Is not waited for longer than ``handshake_timeout``; the connection ends with FIN."""
        proxy, port = self.two("handshake_timeout = 100ms")
        client = self.connect(port)
        client.sendall(hellos.hello(hellos.server_name(b"a.example"))[:60])
        self.assertEqual(client.recv(100), b"")
        proxy.wait_closed("client/handshake/timeout")
        self.assertEqual(proxy.metric("tls_hellos_total", listener="one", result="timeout"), 1)


class RefusalTests(ServerNameTestCase):
    """What is no ClientHello."""

    def test_each_is_told_and_counted(self) -> None:
        """An alert for those who speak TLS; the connection ends with FIN."""
        proxy, port = self.two()
        padding = 16384 - len(hellos.message(hellos.body(hellos.extension(21))))
        cases = (
            (b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "plain_http", 0),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "not_tls", 0),
            (b"\x80\x2e\x01\x00\x02" + bytes(41), "sslv2", alerts.PROTOCOL_VERSION),
            (hellos.record(b"\1\0", kind=21), "record_type", alerts.UNEXPECTED_MESSAGE),
            (b"\x16\3\1\xff\xff", "record_too_large", alerts.RECORD_OVERFLOW),
            (hellos.hello(hellos.server_name(b"a\0.example")), "bad_server_name", alerts.ILLEGAL_PARAMETER),
            (hellos.hello(hellos.extension(21, bytes(padding))), "too_large", alerts.ILLEGAL_PARAMETER),
            (hellos.record(hellos.message(b"\3\3")), "malformed", alerts.DECODE_ERROR),
        )
        for data, result, alert in cases:
            client = self.connect(port)
            client.sendall(data)
            self.assertEqual(read_all(client), alerts.fatal_alert(alert) if alert else b"", result)
            self.assertEqual(proxy.metric("tls_hellos_total", listener="one", result=result), 1, result)
        proxy.wait_closed("client/handshake/tls", len(cases))
        self.assertEqual(self.notes(proxy, "one")[0], {"tls": "HTTP without TLS"})

    def test_every_result_is_shown_from_the_start(self) -> None:
        """A rate of something that begins to exist is none."""
        proxy, _ = self.two()
        lines = [line for line in proxy.get("/metrics")[1].splitlines() if "tls_hellos_total{" in line]
        self.assertEqual({line.rpartition(" ")[2] for line in lines}, {"0.0"})
        self.assertTrue(any('listener="other",result="ok"' in line for line in lines), lines)
        self.assertTrue(any('listener="one",result="no_section"' in line for line in lines), lines)


class ProxyHeaderTests(ServerNameTestCase):
    """With the PROXY protocol before it, behind it, or both."""

    CLIENT = ("192.0.2.7", 4711)
    LOCAL = ("198.51.100.1", 443)

    def test_a_header_before_the_hello(self) -> None:
        """Relayed to one server, kept from the other; the hello may come with it or later."""
        one, first = self.server("one", "a.example", expects_header=True)
        _, second = self.server("other", "b.example")
        proxy, port = self.front(
            {
                "one": (first.port, "sni = a.example\nproxy_protocol = relay"),
                "other": (second.port, "sni = b.example\nproxy_protocol = expect"),
            }
        )
        for header in (encode_v1(self.CLIENT, self.LOCAL), encode_v2(self.CLIENT, self.LOCAL)):
            self.assertEqual(self.ask(port, "a.example", first=header), b"one")
            self.assertEqual(self.ask(port, "b.example", first=header), b"other")
        self.assertEqual([(each.source, each.version) for each in one.headers], [(self.CLIENT, 1), (self.CLIENT, 2)])
        proxy.stop()
        clients = {json.loads(line)["client"] for line in proxy.access_lines()}
        self.assertEqual(clients, {"192.0.2.7:4711"})

    def test_header_and_hello_in_one_write(self) -> None:
        """Both are read, and nothing of the hello is lost or doubled."""
        got: list[bytes] = []
        backend = self.peer(lambda connection: got.append(read_all(connection)))
        header = encode_v2(self.CLIENT, self.LOCAL)
        hello = hellos.hello(hellos.server_name(b"a.example"))
        for mode, before in (("relay", header), ("expect", b"")):
            got.clear()
            _, port = self.front({"one": (backend.port, f"sni = a.example\nproxy_protocol = {mode}")})
            client = self.connect(port)
            client.sendall(header + hello + b"and more")
            client.shutdown(socket.SHUT_WR)
            wait_for(lambda: bool(got), "the backend's part")
            self.assertEqual(got, [before + hello + b"and more"])
            client.close()
            client = self.connect(port)
            client.sendall(header + b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(read_all(client), b"")

    def test_each_section_sends_its_own(self) -> None:
        """A header of ours to one server, none to the other."""
        one, first = self.server("one", "a.example", expects_header=True)
        _, second = self.server("other", "b.example")
        _, port = self.front(
            {
                "other": (second.port, "sni = b.example"),
                "one": (first.port, "sni = a.example\nproxy_protocol = send_v2"),
            }
        )
        self.assertEqual(self.ask(port, "a.example"), b"one")
        self.assertEqual(self.ask(port, "b.example"), b"other")
        [header] = one.headers
        assert header.source is not None
        self.assertEqual((header.source[0], header.destination), ("127.0.0.1", ("127.0.0.1", port)))
