"""The beginning of connections over socket pairs: PROXY header, ClientHello, handshake; what is refused and how."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from netappliance.dataplane.opening import MALFORMED, Opening, OpeningFailed
from netappliance.dataplane.sockets import reset_on_close
from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.dataplane.transport import Transport
from netappliance.tls.certificates.directory import prepare
from netappliance.tls.certificates.selection import Selection
from netappliance.tls.client_hello import MAX_BYTES
from netappliance.tls.keys import TlsKeys
from netappliance.tls.passing import NO_SECTION, Passing
from netappliance.tls.server import TlsServer
from tests.certificates import Authority
from tests.tls import hellos

AUTHORITY = Authority()
LEAF, OTHER = AUTHORITY.leaf("localhost"), AUTHORITY.leaf("*.example.com", "10.1.2.3")
RSA = AUTHORITY.leaf("localhost", kind="rsa")
CLIENT = AUTHORITY.leaf("somebody", client=True, common_name='Some "Body"')
WALL = 1_900_000_000.0


class OpeningTestCase(SynchronousTestCase):
    """Clients at the other end of socket pairs."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        LEAF.write(self.folder / "localhost.pem")
        OTHER.write(self.folder / "other.pem")
        self.authority = str(self.folder / "ca.pem")
        AUTHORITY.write(self.authority)

    def server(self, *, strict_alpn: bool = True, **changes: Any) -> TlsServer:
        """Return one whose keys have their defaults but for these."""
        keys = dataclasses.replace(TlsKeys(certificates=str(self.folder)), **changes)
        selection = Selection(prepare(str(self.folder), WALL).credentials, WALL, keys.default_certificate)
        made = TlsServer("[https x]", keys, selection, strict_alpn=strict_alpn, wall=lambda: WALL)
        made.plain_answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        return made

    def begin(self, tls: TlsServer | None, header_s: float | None = None) -> tuple[Opening, TlsTransport, Any]:
        """Return the opening of an accepted connection, its transport, and the client's socket."""
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
            self.addCleanup(end.close)
        transport = TlsTransport(near)
        return Opening(transport, tls, header_s, 100.0), transport, far

    def client(self, sock: Any, name: bytes = b"localhost", context: SSL.Context | None = None) -> SSL.Connection:
        """Return a client that has said hello."""
        made = SSL.Connection(context or SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
        if name:
            made.set_tlsext_host_name(name)
        made.set_connect_state()
        self.shake(made)
        return made

    def shake(self, connection: SSL.Connection) -> bool:
        """Go on with the client's handshake."""
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def opened(self, tls: TlsServer, **client: Any) -> tuple[Opening, TlsTransport, SSL.Connection]:
        """Return a connection whose handshake is over on both sides, tickets read."""
        opening, transport, far = self.begin(tls)
        session = client.pop("session", None)
        connection = SSL.Connection(client.pop("context", None) or SSL.Context(SSL.TLS_CLIENT_METHOD), far)
        connection.set_tlsext_host_name(client.pop("name", b"localhost"))
        connection.set_connect_state()
        if session is not None:
            connection.set_session(session)
        over = False
        for _ in range(4):
            done = self.shake(connection)
            over = over or opening.proceed(100.0, ending=False)
        self.assertTrue(done and over)
        with self.assertRaises(SSL.WantReadError):
            connection.recv(1)
        return opening, transport, connection

    def refused(self, opening: Opening, *, ending: bool = False) -> tuple[str, dict[str, Any]]:
        """Return why it fails, and what the log is told."""
        with self.assertRaises(OpeningFailed) as caught:
            opening.proceed(100.0, ending=ending)
        return str(caught.exception.reason), caught.exception.notes or {}


class HeaderTests(OpeningTestCase):
    """A PROXY header, alone or before TLS."""

    def test_no_byte_behind_it_is_taken(self) -> None:
        """However it comes."""
        data = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
        for cut in range(1, len(data) + 1):
            opening, transport, far = self.begin(None, 3.0)
            self.assertEqual((opening.state, opening.deadline), ("header", 103.0))
            far.send(data[:cut])
            over = opening.proceed(101.0, ending=False)
            self.assertEqual(over, cut == len(data))
            far.send(data[cut:] + b"next")
            over = over or opening.proceed(101.0, ending=False)
            self.assertTrue(over)
            assert opening.header is not None
            self.assertEqual(opening.header.source, ("192.0.2.1", 1))
            self.assertEqual(transport.sock.recv(10), b"next")

    def test_what_is_none_is_refused(self) -> None:
        """And an end, and silence; handshakes are not counted for that."""
        opening, _, far = self.begin(None, 3.0)
        far.send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(self.refused(opening)[0], "client/handshake/protocol")
        opening, _, far = self.begin(None, 3.0)
        far.send(b"PROXY ")
        far.shutdown(socket.SHUT_WR)
        self.assertEqual(self.refused(opening, ending=True)[0], "client/handshake/fin")
        tls = self.server()
        opening, _, far = self.begin(tls, 3.0)
        self.assertEqual(str(opening.expired()), "client/handshake/timeout")
        self.assertEqual(tls.statistics.counts, {})

    def test_tls_behind_it(self) -> None:
        """In one segment with the ClientHello; the handshake has its own time from then on."""
        tls = self.server()
        opening, _, far = self.begin(tls, 3.0)
        far.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
        connection = self.client(far)
        self.assertFalse(opening.proceed(102.0, ending=False))
        self.assertEqual((opening.state, opening.deadline), ("handshake", 112.0))
        self.assertTrue(self.shake(connection))
        self.assertTrue(opening.proceed(103.0, ending=False))
        assert opening.facts is not None and opening.header is not None
        self.assertEqual(opening.facts.server_name, b"localhost")


class HandshakeTests(OpeningTestCase):
    """With clients that speak TLS."""

    def test_what_it_came_to(self) -> None:
        """Version, cipher, protocol, name, fingerprint; counted."""
        tls = self.server(ja4=True)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_alpn_protos([b"h2", b"http/1.1"])
        opening, transport, connection = self.opened(tls, context=context)
        facts = opening.facts
        assert facts is not None
        self.assertEqual((facts.version, facts.alpn, facts.resumed), ("1.3", b"http/1.1", False))
        self.assertEqual(facts.server_name, b"localhost")
        self.assertEqual((facts.cipher, facts.client), (connection.get_cipher_name(), None))
        self.assertRegex(facts.ja4, r"\At13d[0-9a-f]{4}h2_[0-9a-f]{12}_[0-9a-f]{12}\Z")
        self.assertEqual((facts.serves(b"localhost"), facts.serves(b"www.example.com")), (True, False))
        self.assertEqual(tls.statistics.counts, {("1.3", False, "ok"): 1})
        connection.send(b"hello")
        self.assertEqual(transport.recv(10), b"hello")

    def test_the_certificate_is_that_of_the_name(self) -> None:
        """The default for others, or none."""
        tls = self.server(default_certificate="other.pem")
        for name, leaf in ((b"localhost", LEAF), (b"a.example.com", OTHER), (b"no", OTHER)):
            _, _, connection = self.opened(tls, name=name)
            self.assertEqual(connection.get_peer_certificate(as_cryptography=True), leaf.certificate, name)

    def test_both_kinds_of_keys_side_by_side(self) -> None:
        """OpenSSL takes the one that the client can verify."""
        RSA.write(self.folder / "localhost-rsa.pem")
        tls = self.server()
        for ciphers, leaf in ((b"ECDHE-RSA-AES128-GCM-SHA256", RSA), (b"ECDHE-ECDSA-AES128-GCM-SHA256", LEAF)):
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            context.set_cipher_list(ciphers)
            opening, _, connection = self.opened(tls, context=context)
            self.assertEqual(connection.get_peer_certificate(as_cryptography=True), leaf.certificate)
            assert opening.facts is not None
            self.assertEqual((opening.facts.version, opening.facts.cipher), ("1.2", ciphers.decode()))

    def test_sessions_are_resumed_until_the_key_of_tickets_is_old(self) -> None:
        """In both versions, whichever certificate it was."""
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            tls = self.server(ticket_lifetime_s=50.0)
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            context.set_max_proto_version(version)
            _, _, first = self.opened(tls, context=context)
            opening, _, again = self.opened(tls, context=context, session=first.get_session())
            assert opening.facts is not None
            self.assertTrue(opening.facts.resumed)
            opening, _, far = self.begin(tls)
            later = SSL.Connection(context, far)
            session = again.get_session()
            assert session is not None
            later.set_session(session)
            later.set_tlsext_host_name(b"localhost")
            later.set_connect_state()
            over = False
            for _ in range(4):
                self.shake(later)
                over = over or opening.proceed(150.0, ending=False)
            assert opening.facts is not None
            self.assertFalse(opening.facts.resumed)

    def test_protocols(self) -> None:
        """HTTPS refuses clients that offer none of ours; others go on without."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_alpn_protos([b"h2"])
        tls = self.server()
        opening, _, far = self.begin(tls)
        connection = self.client(far, context=context)
        self.assertEqual(self.refused(opening)[0], "client/handshake/tls")
        with self.assertRaises(SSL.Error) as caught:
            connection.do_handshake()
        self.assertIn("alert no application protocol", str(caught.exception))
        self.assertEqual(tls.statistics.counts, {("none", False, "alpn"): 1})
        opening, _, _ = self.opened(self.server(strict_alpn=False), context=context)
        assert opening.facts is not None
        self.assertEqual(opening.facts.alpn, b"")
        opening.abandoned()  # in good order, long after

    def test_who_serves_http_1_1_serves_http_1_0(self) -> None:
        """Clients that offer that only, like curl --http1.0."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_alpn_protos([b"http/1.0"])
        opening, _, _ = self.opened(self.server(), context=context)
        assert opening.facts is not None
        self.assertEqual(opening.facts.alpn, b"http/1.0")

    def test_versions(self) -> None:
        """What is older than the oldest is refused, and counted as such."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        for tls in (self.server(min_tls="1.3"), self.server(tls_profile="modern")):
            opening, _, far = self.begin(tls)
            self.client(far, context=context)
            reason, notes = self.refused(opening)
            self.assertEqual((reason, notes["sni"]), ("client/handshake/tls", "localhost"))
            self.assertEqual(tls.statistics.counts, {("none", False, "version"): 1})

    def test_certificates_of_clients(self) -> None:
        """Asked for, checked, told; one that is missing ends the handshake where it is required."""
        with_one = SSL.Context(SSL.TLS_CLIENT_METHOD)
        with_one.use_certificate(CLIENT.certificate)
        with_one.use_privatekey(CLIENT.key)
        tls = self.server(client_ca=self.authority)
        opening, _, _ = self.opened(tls, context=with_one)
        assert opening.facts is not None and opening.facts.client is not None
        client = opening.facts.client
        self.assertEqual((client.subject, client.dns), ('CN=Some \\"Body\\"', ("somebody",)))
        self.assertEqual(
            client.forwarded(),
            f'Hash={client.fingerprint};Subject="CN=Some %5C%22Body%5C%22";DNS=somebody'.encode(),
        )
        opening, _, far = self.begin(tls)
        connection = self.client(far)
        self.assertFalse(opening.proceed(100.0, ending=False))
        self.shake(connection)
        self.assertEqual(self.refused(opening)[0], "client/handshake/tls")
        self.assertEqual(tls.statistics.counts[("none", False, "client_certificate")], 1)
        opening, _, _ = self.opened(self.server(client_ca=self.authority, client_certificate="optional"))
        assert opening.facts is not None
        self.assertIsNone(opening.facts.client)

    def test_an_authority_that_is_not_ours(self) -> None:
        """Its certificates are refused."""
        stranger = Authority("stranger").leaf("somebody", client=True)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.use_certificate(stranger.certificate)
        context.use_privatekey(stranger.key)
        tls = self.server(client_ca=self.authority, client_certificate="optional")
        opening, _, far = self.begin(tls)
        connection = self.client(far, context=context)
        opening.proceed(100.0, ending=False)
        self.shake(connection)
        self.assertEqual(self.refused(opening)[0], "client/handshake/tls")
        self.assertEqual(tls.statistics.counts, {("none", False, "client_certificate"): 1})


class RefusalTests(OpeningTestCase):
    """What is no handshake."""

    def test_plain_http_is_told(self) -> None:
        """In HTTP, though bytes behind it were not read."""
        tls = self.server()
        opening, transport, far = self.begin(tls)
        far.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(self.refused(opening), ("client/handshake/tls", {"tls": "HTTP without TLS"}))
        transport.sock.close()
        self.assertEqual(far.recv(1000), b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertEqual(far.recv(1000), b"")
        self.assertEqual(tls.statistics.counts, {("none", False, "plain_http"): 1})

    def test_garbage_is_answered_by_an_alert_or_not_at_all(self) -> None:
        """Counted by what it was."""
        tls = self.server()
        application_data = b"\x17\x03\x03\x00\x05hello"
        for data, word, answered in ((bytes(20), "not_tls", False), (application_data, "record_type", True)):
            opening, transport, far = self.begin(tls)
            far.send(data)
            self.assertEqual(self.refused(opening)[0], "client/handshake/tls")
            self.assertEqual(tls.statistics.counts["none", False, word], 1)
            transport.sock.close()
            self.assertEqual(far.recv(10)[:1], b"\x15" if answered else b"")

    def test_half_a_hello(self) -> None:
        """Waits until the client goes or the time is over; what is too large is refused at once."""
        tls = self.server()
        opening, _, far = self.begin(tls)
        far.send(b"\x16\x03\x01\x02\x00\x01\x00")
        self.assertFalse(opening.proceed(100.0, ending=False))
        self.assertEqual((opening.state, opening.deadline), ("hello", 110.0))
        self.assertEqual(str(opening.expired()), "client/handshake/timeout")
        opening.abandoned()
        opening, _, far = self.begin(tls)
        far.send(b"\x16\x03\x01\x02\x00\x01\x00")
        far.shutdown(socket.SHUT_WR)
        self.assertEqual(self.refused(opening, ending=True)[0], "client/handshake/fin")
        opening.abandoned()
        opening.abandoned()
        self.assertEqual(tls.statistics.counts, {("none", False, "timeout"): 1, ("none", False, "closed"): 1})
        opening, _, far = self.begin(tls)
        far.send(b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + bytes(MAX_BYTES))
        self.assertEqual(self.refused(opening)[0], "client/handshake/tls")

    def test_a_client_that_goes_in_the_middle(self) -> None:
        """After its ClientHello."""
        tls = self.server()
        opening, _, far = self.begin(tls)
        self.client(far)
        self.assertFalse(opening.proceed(100.0, ending=False))
        far.close()
        self.assertEqual(self.refused(opening, ending=True)[0], "client/handshake/rst")
        opening.abandoned()
        self.assertEqual(tls.statistics.counts, {("none", False, "closed"): 1})

    def test_a_client_that_does_not_trust_us(self) -> None:
        """Says so by an alert."""
        tls = self.server()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_verify(SSL.VERIFY_PEER)
        opening, _, far = self.begin(tls)
        connection = self.client(far, context=context)
        opening.proceed(100.0, ending=False)
        self.assertRaises(SSL.Error, connection.do_handshake)
        reason, notes = self.refused(opening)
        self.assertEqual(reason, "client/handshake/tls")
        self.assertIn("alert unknown ca", notes["tls"])
        self.assertEqual(tls.statistics.counts, {("none", False, "alert"): 1})


class PassingTests(OpeningTestCase):
    """TLS that is only looked at."""

    def begin_passing(self, header_s: float | None = None) -> tuple[Opening, Any, Any, Passing]:
        """Return the opening, its own socket, the client's, and what is counted."""
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
            self.addCleanup(end.close)
        passing = Passing(4.0)
        return Opening(Transport(near), None, header_s, 100.0, passing), near, far, passing

    def counted(self, passing: Passing) -> dict[str, int]:
        """Return what was."""
        return {result: count for result, count in passing.counts.items() if count}

    def test_the_hello_stays_where_it_is(self) -> None:
        """However it comes; nothing is counted, for somebody has to serve its name."""
        hello = hellos.hello(hellos.server_name(b"a.example"))
        opening, near, far, passing = self.begin_passing()
        self.assertEqual((opening.state, opening.deadline), ("hello", 104.0))
        for cut in range(0, len(hello), 50):
            self.assertFalse(opening.proceed(101.0, ending=False))
            far.send(hello[cut : cut + 50])
        far.send(b"more")
        self.assertTrue(opening.proceed(101.0, ending=False))
        assert opening.hello is not None
        self.assertEqual(opening.hello.server_name, b"a.example")
        self.assertEqual(near.recv(1000), hello + b"more")
        self.assertEqual(self.counted(passing), {})

    def test_behind_a_header(self) -> None:
        """Each has its time."""
        opening, near, far, _ = self.begin_passing(3.0)
        self.assertEqual((opening.state, opening.deadline), ("header", 103.0))
        far.send(b"PROXY UNKNOWN\r\n\x16")
        self.assertFalse(opening.proceed(102.0, ending=False))
        self.assertEqual((opening.state, opening.deadline), ("hello", 106.0))
        hello = hellos.hello()
        far.send(hello[1:])
        self.assertTrue(opening.proceed(105.0, ending=False))
        self.assertEqual(near.recv(1000), hello)

    def test_refusals(self) -> None:
        """By an alert; plain HTTP gets nothing, for who knows what the port is for."""
        for data, word in ((b"GET / HTTP/1.0\r\n\r\n", "plain_http"), (b"\x16\x03\x01\x00\x00", "empty_record")):
            opening, near, far, passing = self.begin_passing()
            far.send(data)
            self.assertEqual(self.refused(opening)[0], "client/handshake/tls")
            self.assertEqual(self.counted(passing), {word: 1})
            near.close()
            self.assertEqual(far.recv(10)[:1], b"" if word == "plain_http" else b"\x15")

    def test_a_name_that_nobody_serves(self) -> None:
        """The owner finds that out; the client is told, and by FIN, though its hello was not read."""
        opening, near, far, passing = self.begin_passing()
        far.send(hellos.hello(hellos.server_name(b"a.example")) + b"more")
        self.assertTrue(opening.proceed(100.0, ending=False))
        failure = opening.refused(NO_SECTION, MALFORMED)
        self.assertEqual(str(failure), "client/handshake/protocol")
        self.assertEqual(failure.notes, {"tls": "no section for this server name", "sni": "a.example"})
        self.assertEqual(self.counted(passing), {"no_section": 1})
        near.close()
        self.assertEqual(far.recv(10), NO_SECTION.alert)
        self.assertEqual(far.recv(10), b"")

    def test_a_name_that_somebody_serves(self) -> None:
        """Is counted there, once, whatever becomes of the connection."""
        opening, _, far, passing = self.begin_passing()
        far.send(hellos.hello(hellos.server_name(b"a.example")))
        self.assertTrue(opening.proceed(100.0, ending=False))
        chosen = Passing(1.0)
        opening.passed_on(chosen)
        opening.abandoned()
        self.assertEqual((self.counted(passing), self.counted(chosen)), ({}, {"ok": 1}))

    def test_clients_that_go(self) -> None:
        """Before all is said, in time or not."""
        opening, near, far, passing = self.begin_passing()
        far.send(b"\x16\x03\x01")
        far.shutdown(socket.SHUT_WR)
        self.assertEqual(self.refused(opening, ending=True)[0], "client/handshake/fin")
        near.close()
        self.assertEqual(far.recv(10), b"")
        opening.abandoned()
        self.assertEqual(self.counted(passing), {"closed": 1})
        opening, near, far, passing = self.begin_passing()
        far.send(b"\x16\x03\x01")
        self.assertFalse(opening.proceed(100.0, ending=False))
        self.assertEqual(str(opening.expired()), "client/handshake/timeout")
        opening.abandoned()
        self.assertEqual(self.counted(passing), {"timeout": 1})

    def test_clients_that_break_off(self) -> None:
        """What they said first is still there, and so is the reset."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            far = socket.create_connection(listener.getsockname())
            near, _ = listener.accept()
        self.addCleanup(near.close)
        near.setblocking(False)
        passing = Passing(4.0)
        opening = Opening(Transport(near), None, None, 100.0, passing)
        far.sendall(b"\x16\x03\x01")
        near.recv(3, socket.MSG_PEEK)
        reset_on_close(far)
        far.close()
        self.assertEqual(self.refused(opening, ending=True)[0], "client/handshake/rst")
        self.assertEqual(self.counted(passing), {"closed": 1})
