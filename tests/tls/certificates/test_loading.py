"""Credentials in contexts of OpenSSL, seen by a client."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates.credential import Credential
from netappliance.tls.certificates.loading import load_into
from netappliance.tls.certificates.parsing import parse_credential
from netappliance.tls.certificates.refusals import Reason, Refused
from tests.certificates import Authority

ECDSA = b"ECDHE-ECDSA-AES128-GCM-SHA256"
RSA = b"ECDHE-RSA-AES128-GCM-SHA256"


def shown(context: SSL.Context, ciphers: bytes) -> list[str]:
    """Return the fingerprints of the chain that a client gets, the leaf first."""
    client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    client_context.set_max_proto_version(SSL.TLS1_2_VERSION)
    client_context.set_cipher_list(ciphers)
    client, server = SSL.Connection(client_context), SSL.Connection(context)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            try:
                other.bio_write(one.bio_read(65536))
            except SSL.WantReadError:
                pass
    return [each.to_cryptography().fingerprint(SHA256()).hex() for each in client.get_peer_cert_chain() or ()]


class LoadTests(SynchronousTestCase):
    """load_into."""

    def test_two_kinds_each_with_its_own_chain(self) -> None:
        """Which of them a client gets follows from what it can verify."""
        root = Authority()
        made: list[Credential] = []
        for name, kind in (("one", "ecdsa"), ("two", "rsa")):
            between = Authority(name, issuer=Authority(f"upper {name}", issuer=root))
            made.append(parse_credential(f"{name}.pem", between.leaf("a.test", kind=kind).pem))  # type: ignore[arg-type]
        for order in (made, made[::-1]):
            context = SSL.Context(SSL.TLS_SERVER_METHOD)
            for credential in order:
                load_into(context, credential)
            for credential, ciphers in zip(made, (ECDSA, RSA), strict=True):
                chain = [each.fingerprint(SHA256()).hex() for each in credential.chain]
                self.assertEqual(shown(context, ciphers), [credential.fingerprint, *chain])

    def test_what_openssl_refuses(self) -> None:
        """In its words."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_cipher_list(b"DEFAULT@SECLEVEL=5")
        credential = parse_credential("a.pem", Authority().leaf("a.test", kind="rsa").pem)
        error = self.assertRaises(Refused, load_into, context, credential)
        self.assertEqual(error.reason, Reason.UNUSABLE)
        self.assertIn("key too small", error.why)

    def test_leaves_no_descriptor(self) -> None:
        """Loading a hundred."""
        credential = parse_credential("a.pem", Authority().leaf("a.test").pem)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(100):
            load_into(SSL.Context(SSL.TLS_SERVER_METHOD), credential)
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)
