"""A certificate of this host, to try HTTPS out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from twisted.trial.unittest import SynchronousTestCase

from netappliance.errors import StartError
from netappliance.tls.certificates import local
from netappliance.tls.certificates.directory import prepare
from netappliance.tls.certificates.local import ensure_local_certificate
from tests.certificates import Authority

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
DAY = timedelta(days=1)


class LocalCertificateTests(SynchronousTestCase):
    """ensure_local_certificate."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp(), "tls")

    def ensure(self, days: int = 0) -> tuple[bool, datetime]:
        """Run it so many days later."""
        return ensure_local_certificate(str(self.directory), NOW + days * DAY)

    def texts(self) -> tuple[str, str]:
        """Return both files."""
        return (self.directory / "localhost.pem").read_text(), (self.directory / "ca.pem").read_text()

    def verify(self, name: x509.DNSName | x509.IPAddress) -> None:
        """As a client would that trusts ca.pem."""
        leaf, authority = (x509.load_pem_x509_certificate(text.encode()) for text in self.texts())
        verifier = PolicyBuilder().store(Store([authority])).time(NOW).build_server_verifier(name)
        verifier.verify(leaf, [])

    def test_clients_that_trust_the_authority_accept_it(self) -> None:
        """For the name and both addresses, and for nothing else."""
        self.assertEqual(self.ensure(), (True, NOW + local.LIFE))
        self.verify(x509.DNSName("localhost"))
        for address in ("127.0.0.1", "::1"):
            self.verify(x509.IPAddress(ip_address(address)))
        self.assertRaises(VerificationError, self.verify, x509.DNSName("example.org"))

    def test_a_listener_serves_it(self) -> None:
        """And takes nothing else in the directory for a certificate."""
        self.ensure()
        (found,) = prepare(str(self.directory), NOW.timestamp()).credentials
        self.assertEqual((found.file, found.kind, found.names), ("localhost.pem", "ecdsa", (b"localhost",)))
        self.assertEqual(found.addresses, {b"127.0.0.1", b"::1"})

    def test_modes(self) -> None:
        """The directory and the key are nobody else's; there is no other key."""
        self.ensure()
        modes = {path.name: path.stat().st_mode & 0o777 for path in (self.directory, *self.directory.iterdir())}
        self.assertEqual(modes, {"tls": 0o700, "localhost.pem": 0o600, "ca.pem": 0o644})
        self.assertEqual([text.count("PRIVATE KEY-----\n") for text in self.texts()], [2, 0])

    def test_the_authority_may_vouch_for_nothing_else(self) -> None:
        """It has name constraints, and signs no other authority."""
        self.ensure()
        authority = x509.load_pem_x509_certificate(self.texts()[1].encode())
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
        self.assertTrue(constraints.critical)
        names = [str(each.value) for each in constraints.value.permitted_subtrees or ()]
        self.assertEqual(names, ["localhost", "127.0.0.1/32", "::1/128"])
        self.assertEqual(authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length, 0)

    def test_again(self) -> None:
        """Nothing happens before the last week; then both are made anew, with another authority."""
        _, ends = self.ensure()
        texts = self.texts()
        self.assertEqual(self.ensure(days=1), (False, ends))
        self.assertEqual(self.ensure(days=357), (False, ends))
        self.assertEqual(self.texts(), texts)
        self.assertEqual(self.ensure(days=358), (True, NOW + 358 * DAY + local.LIFE))
        self.assertFalse(set(texts) & set(self.texts()))
        issuers = {x509.load_pem_x509_certificate(text.encode()).issuer for text in (*texts, *self.texts())}
        self.assertEqual(len(issuers), 2)

    def test_one_of_the_two_is_not_enough(self) -> None:
        """Both are made anew; also when they are not of one making, or the key is open to others."""
        self.ensure()
        for spoil in (
            lambda: (self.directory / "ca.pem").unlink(),
            lambda: (self.directory / "localhost.pem").unlink(),
            lambda: (self.directory / "localhost.pem").chmod(0o644),
            lambda: (self.directory / "ca.pem").write_bytes(local.make_local_certificate(NOW)[1]),
        ):
            spoil()
            before = self.directory / "localhost.pem"
            text = before.read_text() if before.exists() else ""
            self.assertTrue(self.ensure()[0])
            self.assertNotEqual(before.read_text(), text)
            self.verify(x509.DNSName("localhost"))
            self.assertFalse(self.ensure()[0])

    def test_files_of_others_are_left_alone(self) -> None:
        """Whatever they hold."""
        root = Authority()
        for name, text in (
            ("localhost.pem", root.leaf("localhost").pem),
            ("localhost.pem", b"something else"),
            ("ca.pem", root.pem),
            ("ca.pem", b"something else"),
        ):
            self.ensure()
            path = self.directory / name
            ours = path.read_bytes()
            path.write_bytes(text)
            error = self.assertRaises(StartError, self.ensure)
            self.assertIn(f"{path} was not made by this command", str(error))
            self.assertEqual(path.read_bytes(), text)
            path.write_bytes(ours)

    def test_a_directory_that_cannot_be(self) -> None:
        """Told, with the reason."""
        self.directory.parent.mkdir()
        self.directory.write_text("a file")
        error = self.assertRaises(StartError, self.ensure)
        self.assertIn(f"cannot make a certificate in {self.directory}: File exists", str(error))
