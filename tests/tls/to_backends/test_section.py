"""``tls`` of a cluster: its words, and the files that they name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.to_backends.context import MAX_FILE
from netappliance.tls.to_backends.section import backend_tls, check_backend_tls
from tests.certificates import Authority, self_signed, write_private

ROOT = Authority("the root")


class ParseTests(SynchronousTestCase):
    """The text of the key."""

    def test_nothing_is_no_tls(self) -> None:
        """As are all clusters without the key."""
        self.assertIsNone(backend_tls(""))

    def test_verify_alone_trusts_the_systems_authorities(self) -> None:
        """And looks for the backend's own name."""
        parsed = backend_tls("verify")
        assert parsed is not None
        self.assertTrue(parsed.verify)
        self.assertEqual(parsed.name, "")
        settings = parsed.settings
        self.assertEqual((settings.ca, settings.cert, settings.key, settings.alpn), ("", "", "", ()))
        self.assertEqual(settings.min_tls, "1.2")

    def test_every_option(self) -> None:
        """In any order; names as certificates have them."""
        parsed = backend_tls("verify key=k.pem name=API.Example.org. ca=ca.pem cert=c.pem alpn=h2,http/1.1 min_tls=1.3")
        assert parsed is not None
        self.assertEqual(parsed.name, "api.example.org")
        settings = parsed.settings
        self.assertEqual((settings.ca, settings.cert, settings.key), ("ca.pem", "c.pem", "k.pem"))
        self.assertEqual((settings.alpn, settings.min_tls), (("h2", "http/1.1"), "1.3"))

    def test_a_key_may_be_beside_its_certificate(self) -> None:
        """In one file, as in a directory of certificates."""
        parsed = backend_tls("verify cert=both.pem")
        assert parsed is not None
        self.assertEqual(parsed.settings.key, "both.pem")

    def test_insecure_is_a_word(self) -> None:
        """It can ask for a name, and show a certificate."""
        parsed = backend_tls("insecure name=a.test cert=c.pem")
        assert parsed is not None
        self.assertFalse(parsed.verify or parsed.settings.verify)
        self.assertEqual(parsed.name, "a.test")

    def test_what_is_expected_instead(self) -> None:
        """Each refusal says it."""
        for text, expected in (
            ("yes", "verify | insecure, then options; or nothing"),
            ("verfy", "did you mean 'verify'"),
            ("name=a.test", "verify | insecure"),
            ("verify a.test", "options name=, ca="),
            ("verify nam=a.test", "did you mean 'name'"),
            ("verify name=a.test name=b.test", "name= only once"),
            ("verify name=", "a host name"),
            ("verify name=exämple.org", "xn--"),
            ("verify name=*.example.org", "a host name"),
            ("verify name=1234", "a host name"),
            ("verify ca=", "a path in ca="),
            ("verify key=k.pem", "cert= beside key="),
            ("insecure ca=ca.pem", "no ca= after insecure"),
            ("verify min_tls=1.1", "1.2 | 1.3 in min_tls="),
            ("verify alpn=", "printable ASCII"),
            ("verify alpn=h2,,http/1.1", "printable ASCII"),
        ):
            with self.subTest(text):
                error = self.assertRaises(ValueError, backend_tls, text)
                self.assertIn(expected, str(error))

    @given(st.text(alphabet="verify insecure=namecalp\x00\n1.é,", max_size=60))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        """Never another error."""
        try:
            parsed = backend_tls(text)
        except ValueError as error:
            self.assertTrue(str(error))
        else:
            self.assertEqual(parsed is None, not text)


class FileTests(SynchronousTestCase):
    """What the files hold is looked at before the start."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.ca = ROOT.write(self.folder / "ca.pem")
        self.client = ROOT.leaf("someone.test", client=True)

    def problems(self, text: str, hosts: tuple[tuple[str, str], ...] = (("a", "a.test"),)) -> list[str]:
        """Return the lines that the operator sees."""
        found = check_backend_tls("cluster c", backend_tls(text), hosts)
        return [problem.render("f.ini").replace(str(self.folder), "FOLDER") for problem in found]

    def path(self, name: str, data: bytes) -> str:
        """Write a private file."""
        return write_private(self.folder / name, data)

    def test_good_files(self) -> None:
        """Both kinds of keys, one file or two, with a chain."""
        between = Authority("between", issuer=ROOT, kind="rsa")
        for kind in ("ecdsa", "rsa"):
            leaf = between.leaf("someone.test", client=True, kind=kind)
            both = leaf.write(self.folder / "both.pem")
            cert, key = self.path("cert.pem", leaf.chain_pem), self.path("key.pem", leaf.key_pem)
            for text in (f"verify ca={self.ca} cert={both}", f"insecure cert={cert} key={key}"):
                self.assertEqual(self.problems(text), [])
        self.assertEqual(self.problems(""), [])

    def test_all_files_that_cannot_be_used_are_told_at_once(self) -> None:
        """With the option, the path and the reason."""
        garbage = self.path("garbage.pem", b"garbage")
        found = self.problems(f"verify ca={self.folder}/none.pem cert={self.folder} key={garbage}")
        (line,) = found
        self.assertTrue(line.startswith("f.ini: [cluster c] tls: a file that cannot be used (expected "))
        for part in (
            "ca=FOLDER/none.pem: No such file or directory;",
            "cert=FOLDER: Is a directory;",
            "key=FOLDER/garbage.pem: no private key in PEM)",
        ):
            self.assertIn(part, line)

    def test_a_key_that_others_read(self) -> None:
        """Is refused with its mode."""
        both = Path(self.client.write(self.folder / "both.pem"))
        for mode in (0o640, 0o604, 0o644, 0o660):
            both.chmod(mode)
            (found,) = self.problems(f"verify cert={both}")
            self.assertIn(f"key=FOLDER/both.pem: open to others (mode {mode:04o}; expected 0600)", found)
        both.chmod(0o400)
        self.assertEqual(self.problems(f"verify cert={both}"), [])

    def test_keys_that_are_not_the_certificates(self) -> None:
        """Another one, one with a passphrase, a broken one."""
        cert = self.path("cert.pem", self.client.chain_pem)
        other = self.path("other.pem", self_signed("a.test").key_pem)
        (found,) = self.problems(f"verify cert={cert} key={other}")
        self.assertIn("key=FOLDER/other.pem: not the key of the (first) certificate in FOLDER/cert.pem", found)
        encryption = BestAvailableEncryption(b"secret")
        locked = self.path("locked.pem", self.client.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        (found,) = self.problems(f"verify cert={cert} key={locked}")
        self.assertIn("a private key with a passphrase (expected none)", found)
        broken = self.path("broken.pem", self.client.key_pem.replace(b"M", b"N"))
        (found,) = self.problems(f"verify cert={cert} key={broken}")
        self.assertIn("key=FOLDER/broken.pem: no private key in PEM", found)

    def test_a_key_whose_signatures_take_too_long(self) -> None:
        """Everybody else would wait for them."""
        cert = self.path("cert.pem", self.client.chain_pem)
        long = rsa.generate_private_key(public_exponent=65537, key_size=4104)
        key = self.path("key.pem", long.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (found,) = self.problems(f"verify cert={cert} key={key}")
        self.assertIn("an RSA key of 4104 bits (expected at most 4096)", found)

    def test_what_is_no_certificate(self) -> None:
        """Empty, garbage, a key, too much."""
        for data in (b"", b"garbage", self.client.key_pem):
            (found,) = self.problems(f"verify ca={self.path('ca2.pem', data)}")
            self.assertIn("ca=FOLDER/ca2.pem: no certificates in PEM", found)
        (found,) = self.problems(f"verify ca={self.path('ca2.pem', ROOT.pem + bytes(MAX_FILE))}")
        self.assertIn(f"more than {MAX_FILE} bytes", found)

    def test_what_a_certificate_must_be_for_is_known(self) -> None:
        """A unix socket has no name of its own."""
        hosts = (("a", "a.test"), ("b", "127.0.0.1"), ("c", "::1"), ("d", ""), ("e", "1_0"))
        found = self.problems("verify", hosts)
        self.assertEqual(len(found), 2)
        self.assertIn("backend d is a unix socket", found[0])
        self.assertIn("name=HOST", found[0])
        self.assertIn("the host of backend e (got '1_0'", found[1])
        self.assertEqual(self.problems("verify name=a.test", hosts), [])
        self.assertEqual(self.problems("insecure", hosts), [])
