"""tls-alpn-01: what authorities are shown in a handshake, and that nobody else is shown it (RFC 8737)."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography import x509
from OpenSSL import SSL

from netappliance.dataplane.opening import PROVEN
from netappliance.tls.challenges import IDENTIFIER, TlsAlpnChallenges, challenge_certificate
from netappliance.tls.server import TlsServer
from tests.dataplane.test_opening import LEAF, OpeningTestCase

TOKEN = "q2r3s4t5u6v7w8x9y0z1A2"
KEY_AUTHORIZATION = f"{TOKEN}.thumb"


class ChallengeTests(OpeningTestCase):
    """A listener with certificates of its own, while a name is proven."""

    def setUp(self) -> None:
        """Prove one that the listener has a certificate for too."""
        super().setUp()
        self.challenges = TlsAlpnChallenges()
        self.challenges.present("localhost", TOKEN, KEY_AUTHORIZATION)

    def proving(self, **changes: Any) -> TlsServer:
        """Return a listener that answers."""
        made = self.server(**changes)
        made.challenges = self.challenges
        return made

    def offering(self, *protocols: bytes) -> SSL.Context:
        """Return a client's context that offers these protocols."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_alpn_protos(list(protocols))
        return context

    def shown(self, tls: TlsServer, name: bytes = b"localhost") -> x509.Certificate:
        """Shake hands as an authority does; return what it was shown."""
        opening, _, far = self.begin(tls)
        client = self.client(far, name, self.offering(b"acme-tls/1"))
        self.assertFalse(opening.proceed(100.0, ending=False))
        self.assertTrue(self.shake(client))
        self.assertEqual(self.refused(opening), (str(PROVEN), {"tls": "acme-tls/1", "sni": name.decode()}))
        self.assertEqual(client.get_alpn_proto_negotiated(), b"acme-tls/1")
        found = client.get_peer_certificate(as_cryptography=True)
        assert found is not None
        return found

    def test_an_authority_is_shown_the_proof(self) -> None:
        """A certificate for this name alone, with the digest in a critical extension; then the connection ends."""
        tls = self.proving()
        shown = self.shown(tls)
        extension = shown.extensions.get_extension_for_oid(IDENTIFIER)
        assert isinstance(extension.value, x509.UnrecognizedExtension)
        digest = hashlib.sha256(KEY_AUTHORIZATION.encode()).digest()
        self.assertEqual((extension.critical, extension.value.value), (True, b"\x04\x20" + digest))
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(list(names), [x509.DNSName("localhost")])
        shown.verify_directly_issued_by(shown)
        self.assertEqual(self.challenges.answered_total, 1)
        self.assertEqual(tls.statistics.counts, {("1.3", False, "ok"): 1})

    def test_settings_for_clients_are_not_in_its_way(self) -> None:
        """Client certificates, other protocols or none, TLS 1.3 only."""
        for changes in ({"client_ca": self.authority}, {"alpn": ()}, {"min_tls": "1.3"}, {"strict_alpn": False}):
            self.assertNotEqual(self.shown(self.proving(**changes)), LEAF.certificate, changes)

    def test_nobody_else_is(self) -> None:
        """Who offers another protocol as well, or none, gets the listener's certificate."""
        tls = self.proving(strict_alpn=False)
        for context in (self.offering(b"acme-tls/1", b"http/1.1"), self.offering(b"http/1.1"), None):
            _, _, client = self.opened(tls, context=context)
            self.assertEqual(client.get_peer_certificate(as_cryptography=True), LEAF.certificate)
        self.assertEqual(self.challenges.answered_total, 0)

    def test_a_name_that_is_not_proven_now_is_refused(self) -> None:
        """As any protocol that is not served: another name, none, one that was withdrawn."""
        tls = self.proving()
        for name in (b"a.example.com", b"xlocalhost", b""):
            opening, _, far = self.begin(tls)
            self.client(far, name, self.offering(b"acme-tls/1"))
            self.assertIn("application protocols", self.refused(opening)[1]["tls"])
        self.challenges.withdraw("localhost", "another token")
        self.shown(tls)
        self.challenges.withdraw("localhost", TOKEN)
        self.challenges.withdraw("localhost", TOKEN)
        opening, _, far = self.begin(tls)
        self.client(far, b"localhost", self.offering(b"acme-tls/1"))
        self.assertIn("application protocols", self.refused(opening)[1]["tls"])

    def test_a_later_challenge_of_a_name_replaces_the_earlier(self) -> None:
        """And the withdrawal of the earlier does not take it away."""
        self.challenges.present("localhost", "later", "later.thumb")
        self.challenges.withdraw("localhost", TOKEN)
        expected, _ = challenge_certificate("localhost", "later.thumb")
        found = self.shown(self.proving()).extensions.get_extension_for_oid(IDENTIFIER)
        self.assertEqual(found, expected.extensions.get_extension_for_oid(IDENTIFIER))
