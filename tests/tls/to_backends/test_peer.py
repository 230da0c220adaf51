"""Handshakes with backends of every kind, on pairs of sockets: what is refused, logged, counted and resumed."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL._util import lib
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.sessions.reasons import Cause, cause_of
from netappliance.tls.to_backends.peer import LOG_EVERY_S, VERIFIED_FOR_S, BackendPeer, ClusterTls, HandshakeCounts
from netappliance.tls.to_backends.section import backend_tls
from tests.certificates import Authority, Credentials, self_signed
from tests.tls.to_backends.loopback import Outcome, server_context, shake

ROOT = Authority("the root")
GOOD = ROOT.leaf("a.test", "*.b.test", "127.0.0.1", "::1")
DAY = timedelta(days=1)
VERSIONS = (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)


class PeerTestCase(SynchronousTestCase):
    """With the tests' authority in a file, and the warnings that were logged."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.ca = ROOT.write(self.folder / "ca.pem")
        self.warnings: list[str] = []

        def observe(event: Any) -> None:
            if event.get("log_namespace") == "netappliance.tls.to_backends.peer":
                self.assertIs(event["log_level"], LogLevel.warn)
                self.warnings.append(event["log_format"].format(**event))

        observer: Any = observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def tls(self, text: str = "") -> ClusterTls:
        """Return the TLS of a cluster; the tests' authority is trusted unless the text is given whole."""
        section = backend_tls(text if text.startswith("insecure") else f"verify ca={self.ca} {text}")
        assert section is not None
        return ClusterTls("c", section, HandshakeCounts())

    def peer(self, text: str = "", host: str = "a.test") -> BackendPeer:
        """Return a backend's."""
        return self.tls(text).peer("b", host)

    def shake(self, peer: BackendPeer, context: SSL.Context | Credentials = GOOD, now: float = 0.0) -> Outcome:
        """Shake hands."""
        context = server_context(context) if isinstance(context, Credentials) else context
        outcome = shake(peer, context, now)
        self.addCleanup(outcome.close)
        return outcome

    def counted(self, peer: BackendPeer) -> dict[str, int]:
        """Return results that were counted."""
        return {result: count for result, count in peer.tls.counts.results.items() if count}

    def tearDown(self) -> None:
        """What one connection leaves in OpenSSL's queue would be taken for another's failure."""
        self.assertEqual(lib.ERR_peek_error(), 0)


class VerificationTests(PeerTestCase):
    """Who is believed."""

    def test_a_backend_that_is_who_it_should_be(self) -> None:
        """By name, wildcard or address; the name is asked for, an address never is."""
        for version in VERSIONS:
            context = server_context(GOOD, version)
            for host in ("a.test", "x.b.test", "127.0.0.1", "::1"):
                peer = self.peer(host=host)
                outcome = self.shake(peer, context)
                self.assertIsNone(outcome.error)
                self.assertEqual(self.counted(peer), {"ok": 1})
                asked = outcome.server_connection.get_servername()
                self.assertEqual(asked, host.encode() if "test" in host else None)
        self.assertEqual(self.warnings, [])

    def test_the_sections_name_comes_before_the_hosts(self) -> None:
        """For backends that are called by their address, and for unix sockets."""
        for host in ("10.0.0.1", "other.test", ""):
            outcome = self.shake(self.peer("name=a.test", host))
            self.assertIsNone(outcome.error)
            self.assertEqual(outcome.server_connection.get_servername(), b"a.test")

    def test_who_is_refused(self) -> None:
        """Each with its result, a sentence in the log and the cause tls; the backend learns of it."""
        between = Authority("between", issuer=ROOT, starts=-2 * DAY, ends=-DAY)
        for credentials, result, why in (
            (ROOT.leaf("a.test", starts=-2 * DAY, ends=-DAY), "expired", "its certificate expired at 20"),
            (ROOT.leaf("a.test", starts=DAY), "not_yet_valid", "its certificate is valid from 20"),
            (between.leaf("a.test"), "expired", "the certificate of its issuer between expired at 20"),
            (self_signed("a.test"), "self_signed", "its certificate is self-signed"),
            (Authority("nobody's").leaf("a.test"), "untrusted", "an authority that is not trusted: nobody's"),
            (ROOT.leaf("c.test"), "wrong_name", "its certificate is not for a.test but for c.test"),
            (ROOT.leaf("a.test", client=True), "bad_certificate", "not acceptable: invalid purpose"),
        ):
            for version in VERSIONS:
                with self.subTest(result=result, version=version):
                    self.warnings.clear()
                    peer = self.peer()
                    outcome = self.shake(peer, server_context(credentials, version))
                    assert outcome.error is not None
                    self.assertIs(cause_of(outcome.error), Cause.TLS)
                    self.assertEqual(self.counted(peer), {result: 1})
                    self.assertEqual(len(self.warnings), 1)
                    self.assertTrue(self.warnings[0].startswith("TLS with backend b of cluster c: "))
                    self.assertIn(why, self.warnings[0])
                    self.assertIn("alert", str(outcome.server_error))

    def test_a_chain_through_an_intermediate_authority(self) -> None:
        """The server has to send it; a file may name it as trusted instead."""
        between = Authority("between", issuer=ROOT)
        whole = between.leaf("a.test")
        alone = Credentials(whole.certificate, whole.key)
        self.assertIsNone(self.shake(self.peer(), whole).error)
        peer = self.peer()
        self.assertIsNotNone(self.shake(peer, alone).error)
        self.assertEqual(self.counted(peer), {"untrusted": 1})
        self.ca = between.write(self.folder / "between.pem")
        self.assertIsNone(self.shake(self.peer(), alone).error)

    def test_a_backends_own_certificate_may_be_trusted(self) -> None:
        """Self-signed, for its name alone."""
        own = self_signed("a.test")
        path = self.folder / "own.pem"
        path.write_bytes(own.chain_pem)
        self.ca = str(path)
        self.assertIsNone(self.shake(self.peer(), own).error)
        peer = self.peer(host="other.test")
        self.assertIsNotNone(self.shake(peer, own).error)
        self.assertEqual(self.counted(peer), {"wrong_name": 1})

    def test_the_systems_authorities_do_not_know_the_tests(self) -> None:
        """Which is what `verify` alone means."""
        section = backend_tls("verify")
        assert section is not None
        peer = ClusterTls("c", section, HandshakeCounts()).peer("b", "a.test")
        self.assertIsNotNone(self.shake(peer).error)
        self.assertEqual(self.counted(peer), {"untrusted": 1})

    def test_insecure_believes_everybody(self) -> None:
        """That is what the word is for; the name is asked for all the same."""
        for credentials in (self_signed("c.test"), ROOT.leaf("c.test", starts=-2 * DAY, ends=-DAY)):
            peer = self.peer("insecure")
            outcome = self.shake(peer, credentials)
            self.assertIsNone(outcome.error)
            self.assertEqual(self.counted(peer), {"ok": 1})
            self.assertEqual(outcome.server_connection.get_servername(), b"a.test")

    def test_a_malformed_certificate_is_refused(self) -> None:
        """Whatever reading it raises."""
        # an IP address of five bytes, which OpenSSL does not mind
        names = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x07\x87\x05abcde")
        peer = self.peer()
        outcome = self.shake(peer, ROOT.leaf(extensions=[names]))
        self.assertIsNotNone(outcome.error)
        self.assertEqual(self.counted(peer), {"bad_certificate": 1})
        self.assertIn("its certificate is malformed: ", self.warnings[0])


class SettingsTests(PeerTestCase):
    """What the handshake offers."""

    def test_old_versions_are_not_spoken(self) -> None:
        """1.2 is the least, or 1.3 where the section says so."""
        peer = self.peer("min_tls=1.3")
        self.assertIsNotNone(self.shake(peer, server_context(GOOD, SSL.TLS1_2_VERSION)).error)
        self.assertEqual(self.counted(peer), {"protocol": 1})
        self.assertIn("protocol version", self.warnings[0])
        old = server_context(GOOD, SSL.TLS1_1_VERSION)
        old.set_cipher_list(b"DEFAULT@SECLEVEL=0")
        peer = self.peer()
        self.assertIsNotNone(self.shake(peer, old).error)
        self.assertEqual(self.counted(peer), {"protocol": 1})

    def test_neither_compression_nor_renegotiation(self) -> None:
        """Both have been ways in."""
        for option in (SSL.OP_NO_COMPRESSION, SSL.OP_NO_RENEGOTIATION):
            self.assertTrue(self.tls().context.set_options(0) & option)

    def test_weak_ciphers_are_not_offered(self) -> None:
        """A server that has no other is left."""
        context = server_context(GOOD, SSL.TLS1_2_VERSION)
        context.set_cipher_list(b"ECDHE-ECDSA-AES128-SHA")
        peer = self.peer()
        self.assertIsNotNone(self.shake(peer, context).error)
        self.assertEqual(self.counted(peer), {"refused": 1})
        self.assertIn("it refused the handshake (TLS: ", self.warnings[0])

    def test_protocols_are_offered_where_the_section_names_them(self) -> None:
        """None else."""
        offered: list[list[bytes]] = []

        def select(connection: SSL.Connection, names: list[bytes]) -> bytes:
            offered.append(names)
            return names[-1]

        context = server_context(GOOD)
        context.set_alpn_select_callback(select)
        outcome = self.shake(self.peer("alpn=h2,http/1.1"), context)
        self.assertEqual(offered, [[b"h2", b"http/1.1"]])
        self.assertEqual(outcome.connection.get_alpn_proto_negotiated(), b"http/1.1")
        self.assertIsNone(self.shake(self.peer(), context).error)
        self.assertEqual(len(offered), 1)

    def test_our_certificate_is_shown_to_who_asks(self) -> None:
        """With its chain; a server that requires one refuses those without, in TLS 1.3 after the handshake."""
        between = Authority("between", issuer=ROOT)
        path = between.leaf("someone.test", client=True).write(self.folder / "client.pem")
        for version in VERSIONS:
            context = server_context(GOOD, version)
            context.load_verify_locations(self.ca)
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
            outcome = self.shake(self.peer(f"cert={path}"), context)
            self.assertIsNone(outcome.error)
            shown = outcome.server_connection.get_peer_certificate(as_cryptography=True)
            assert shown is not None
            self.assertEqual(shown.subject.rfc4514_string(), "CN=someone.test")
            peer = self.peer()
            outcome = self.shake(peer, context)
            if version == SSL.TLS1_2_VERSION:
                self.assertEqual(self.counted(peer), {"refused": 1})
            else:
                error = self.assertRaises(OSError, outcome.client.recv, 10)
                self.assertIs(cause_of(error), Cause.TLS)
                peer.broke(error, 0.0)
                self.assertEqual(
                    self.warnings[-1],
                    "TLS with backend b of cluster c: the connection broke after the handshake "
                    "(TLS: tlsv13 alert certificate required)",
                )

    def test_in_memory(self) -> None:
        """For checks, whose bytes Twisted moves: never resumed, so that certificates are looked at."""
        peer = self.peer()
        first = self.shake(peer)
        peer.remember(first.connection)
        server = SSL.Connection(server_context(GOOD))
        server.set_accept_state()
        client, attempt = peer.connection_in_memory()
        client.set_app_data(self)
        for _ in range(4):
            for near, far in ((client, server), (server, client)):
                try:
                    near.do_handshake()
                except SSL.WantReadError:
                    pass
                try:
                    far.bio_write(near.bio_read(65536))
                except SSL.WantReadError:
                    pass
        self.assertTrue(attempt.full)
        self.assertIsNone(attempt.verdict)


class ResumptionTests(PeerTestCase):
    """A session is kept for each backend."""

    def test_the_next_connection_resumes(self) -> None:
        """And the one after; certificates are not shown again, nor counted as full handshakes."""
        for version in VERSIONS:
            context = server_context(GOOD, version)
            peer = self.peer()
            for number in range(4):
                outcome = self.shake(peer, context)
                self.assertIsNone(outcome.error)
                self.assertEqual(outcome.connection.get_app_data().full, number == 0)
                peer.remember(outcome.connection)
                outcome.close()
            self.assertEqual(self.counted(peer), {"ok": 4})
            self.assertEqual(peer.tls.counts.resumed_total, 3)

    def test_backends_do_not_share_sessions(self) -> None:
        """One backend's certificate says nothing about another."""
        context = server_context(GOOD)
        tls = self.tls()
        first, second = tls.peer("b1", "a.test"), tls.peer("b2", "a.test")
        outcome = self.shake(first, context)
        first.remember(outcome.connection)
        outcome.close()
        self.assertTrue(self.shake(second, context).connection.get_app_data().full)

    def test_after_a_while_certificates_are_looked_at_again(self) -> None:
        """Counted from the last full handshake, however often its sessions were resumed."""
        context = server_context(GOOD)
        peer = self.peer()
        for now, full in ((10.0, True), (VERIFIED_FOR_S, False), (9.0 + VERIFIED_FOR_S, False)):
            outcome = self.shake(peer, context, now)
            self.assertEqual(outcome.connection.get_app_data().full, full)
            peer.remember(outcome.connection)
            outcome.close()
        self.assertTrue(self.shake(peer, context, 10.0 + VERIFIED_FOR_S).connection.get_app_data().full)

    def test_a_server_that_forgot(self) -> None:
        """A restarted one has other ticket keys: a full handshake, no failure."""
        peer = self.peer()
        outcome = self.shake(peer, server_context(GOOD))
        peer.remember(outcome.connection)
        outcome.close()
        outcome = self.shake(peer, server_context(GOOD))
        self.assertIsNone(outcome.error)
        self.assertTrue(outcome.connection.get_app_data().full)

    def test_after_a_failure_nothing_is_resumed(self) -> None:
        """The session may have been the reason."""
        context = server_context(GOOD)
        peer = self.peer()
        outcome = self.shake(peer, context)
        peer.remember(outcome.connection)
        outcome.close()
        peer.failed(outcome.connection, OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)), 0.0)
        self.assertTrue(self.shake(peer, context).connection.get_app_data().full)


class LogTests(PeerTestCase):
    """A line a minute for each backend and kind of failure."""

    def test_the_same_failure_again_and_again(self) -> None:
        """What was not logged is counted in the next line; another kind has its own."""
        self.assertEqual((LOG_EVERY_S, VERIFIED_FOR_S), (60.0, 3600.0), "as the documents say")
        peer = self.peer()
        untrusted, misnamed = self_signed("a.test"), ROOT.leaf("c.test")
        for number in range(5):
            self.shake(peer, untrusted, float(number))
        self.assertEqual(len(self.warnings), 1)
        self.shake(peer, misnamed, 5.0)
        self.assertEqual(len(self.warnings), 2)
        self.shake(peer, untrusted, LOG_EVERY_S)
        self.assertTrue(self.warnings[-1].endswith(" (4 like it were not logged)"), self.warnings[-1])
        self.shake(peer, untrusted, 2 * LOG_EVERY_S)
        self.assertNotIn("not logged", self.warnings[-1])
        self.assertEqual(self.counted(peer), {"self_signed": 7, "wrong_name": 1})


class HostileTests(PeerTestCase):
    """Whatever a backend sends: a result of the closed set, nothing in OpenSSL's queue, no session."""

    def answered(self, flight: bytes) -> tuple[OSError | None, dict[str, int]]:
        """Answer a ClientHello with these bytes and the end; return how the handshake failed, and what was counted."""
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            peer = self.peer()
            sock: Any = near
            transport = TlsTransport(near)
            connection = peer.connection(sock, 0.0)
            transport.tls.attach(connection)
            self.assertFalse(transport.tls.handshake())
            far.send(flight)
            far.shutdown(socket.SHUT_WR)
            try:
                transport.tls.handshake()
            except OSError as error:
                peer.failed(connection, error, 0.0)
                return error, self.counted(peer)
        return None, self.counted(peer)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """No server at all."""
        error, counted = self.answered(data)
        self.assertIsNotNone(error)
        self.assertLessEqual(set(counted), {"protocol", "refused", "closed"})
        self.assertEqual(lib.ERR_peek_error(), 0)

    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, 5000), st.binary(min_size=1, max_size=4), st.booleans())
    def test_a_servers_first_flight_with_other_bytes_in_it(self, at: int, other: bytes, cut: bool) -> None:
        """In TLS 1.2 all of it is in the clear: names, certificates, signatures."""
        at %= len(FLIGHT)
        flight = FLIGHT[:at] + other + (b"" if cut else FLIGHT[at + len(other) :])
        error, counted = self.answered(flight)
        self.assertIsNotNone(error)
        self.assertEqual(sum(counted.values()), 1)
        self.assertEqual(lib.ERR_peek_error(), 0)


def first_flight() -> bytes:
    """Return what a server of TLS 1.2 answers."""
    section = backend_tls("insecure")
    assert section is not None
    client = ClusterTls("c", section, HandshakeCounts()).peer("b", "a.test").connection_in_memory()[0]
    server = SSL.Connection(server_context(GOOD, SSL.TLS1_2_VERSION))
    server.set_accept_state()
    for near, far in ((client, server), (server, client)):
        try:
            near.do_handshake()
        except SSL.WantReadError:
            pass
        flight = near.bio_read(65536)
        far.bio_write(flight)
    return flight


FLIGHT = first_flight()
