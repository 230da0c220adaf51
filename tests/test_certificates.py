"""The certificates that other tests use are what they claim to be."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority, Credentials, self_signed


def _verify(root: Authority, credentials: Credentials, name: str) -> None:
    verifier = PolicyBuilder().store(Store([root.certificate])).build_server_verifier(x509.DNSName(name))
    verifier.verify(credentials.certificate, list(credentials.chain))


class CertificateTests(SynchronousTestCase):
    """As cryptography's own verification sees them."""

    def setUp(self) -> None:
        self.root = Authority()

    def test_a_leaf_is_good_for_its_names_alone(self) -> None:
        """Both kinds, wildcards too."""
        for kind in ("ecdsa", "rsa"):
            with self.subTest(kind):
                leaf = self.root.leaf("a.test", "*.b.test", "127.0.0.1", kind=kind)
                _verify(self.root, leaf, "a.test")
                _verify(self.root, leaf, "x.b.test")
                self.assertRaises(VerificationError, _verify, self.root, leaf, "c.test")

    def test_an_intermediate_is_part_of_the_chain(self) -> None:
        """Without it there is no way to the root."""
        leaf = Authority("between", issuer=self.root).leaf("a.test")
        self.assertEqual(leaf.chain_pem.count(b"BEGIN CERTIFICATE"), 2)
        _verify(self.root, leaf, "a.test")
        self.assertRaises(VerificationError, _verify, self.root, Credentials(leaf.certificate, leaf.key), "a.test")

    def test_times_are_from_now(self) -> None:
        """An expired one and one of the future."""
        day = timedelta(days=1)
        old, young = self.root.leaf("a.test", starts=-2 * day, ends=-day), self.root.leaf("a.test", starts=day)
        for leaf in (old, young):
            with self.assertRaisesRegex(VerificationError, "valid"):
                _verify(self.root, leaf, "a.test")

    def test_those_of_other_authorities_are_not_trusted(self) -> None:
        """Nor those of none."""
        for leaf in (Authority("another").leaf("a.test"), self_signed("a.test")):
            self.assertRaises(VerificationError, _verify, self.root, leaf, "a.test")

    def test_client_certificates_are_for_clients(self) -> None:
        """A server with one is refused."""
        client = self.root.leaf("someone.test", client=True)
        self.assertRaises(VerificationError, _verify, self.root, client, "someone.test")
        PolicyBuilder().store(Store([self.root.certificate])).build_client_verifier().verify(client.certificate, [])

    def test_files_with_keys_are_for_their_owner_alone(self) -> None:
        """Also where a file with another mode was before."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.pem")
            path.touch(0o644)
            self.root.leaf("a.test").write(path)
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            self.assertIn(b"PRIVATE KEY", path.read_bytes())
