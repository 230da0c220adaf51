"""What a NAME.pem may hold, and what it is refused for."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates import parsing
from netappliance.tls.certificates.credential import Credential, Staple
from netappliance.tls.certificates.parsing import parse_credential
from netappliance.tls.certificates.refusals import Reason, Refused
from tests.certificates import Authority, Credentials, Key, self_signed

ROOT = Authority("root of the tests")
BETWEEN = Authority("between", issuer=ROOT)
LOWEST = Authority("lowest", issuer=BETWEEN)
LEAF = LOWEST.leaf("a.test", "*.b.test", "10.0.0.1", "2001:db8::1")


#: openssl req -x509 -sha1, and x509 -req -sha1: what cryptography does not sign any more
OLD_LEAF = b"""\
-----BEGIN CERTIFICATE-----
MIIBBjCBrgIBAjAJBgcqhkjOPQQBMA4xDDAKBgNVBAMMA29sZDAgFw0yNjExMjEy
MTExMzNaGA8yMTI2MTAyODIxMTEzM1owETEPMA0GA1UEAwwGYS50ZXN0MFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAEOjAs/KDGBvODpD7haI1ykKD2gyV7Wr+t2/iF
eQGSq7MhSXbCrOcy3fCwp6zSF2Q0de3mHP8MlFIShD433osj9jAJBgcqhkjOPQQB
A0gAMEUCICla3YBs3dPDpVyZXLUqbg9Y3TtnwBtT+9ZU41PYxgtDAiEAzTftJRLL
5qhQsa3nQ54mshoK93SybLLfHOAvbp0TLqc=
-----END CERTIFICATE-----
"""
OLD_ROOT = b"""\
-----BEGIN CERTIFICATE-----
MIIBcDCCARigAwIBAgIUBbMRl0JkaP5N5DT8SBwFC73dWh0wCQYHKoZIzj0EATAO
MQwwCgYDVQQDDANvbGQwIBcNMjYxMTIxMjExMTMzWhgPMjEyNjEwMjgyMTExMzNa
MA4xDDAKBgNVBAMMA29sZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAiWQVXs
dNpfGzXhvmiww2E8q0L9POmydb9GD7LYLsJzj4WWXSXi+Uq21StXltxZvZ6R0rAE
JrBR8bsTk1utvyOjUzBRMB0GA1UdDgQWBBQgYMkBXAvrHl4l+xVcIZDq/47M9jAf
BgNVHSMEGDAWgBQgYMkBXAvrHl4l+xVcIZDq/47M9jAPBgNVHRMBAf8EBTADAQH/
MAkGByqGSM49BAEDRwAwRAIgR4iwp3AmpKAWs2m2fCgN5zS2upxKWGIUM1v6P8O+
GOYCIAf2j/jDKf/e1uOvUv1LsN8z8F0e/DYc8A0obKBx9ZLF
-----END CERTIFICATE-----
"""


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as text."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def two_common_names() -> Credentials:
    """Return a certificate whose subject has two of them; the last one is the most specific."""
    leaf = ROOT.leaf("a.test")
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("first.test", "second.test")]
    builder = x509.CertificateBuilder(subject_name=x509.Name(names), issuer_name=ROOT.name)
    builder = builder.public_key(leaf.key.public_key()).serial_number(7)
    builder = builder.not_valid_before(leaf.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(leaf.certificate.not_valid_after_utc)
    return Credentials(builder.sign(ROOT.key, SHA256()), leaf.key)


class Refusals(SynchronousTestCase):
    """Asserts what a text is refused for."""

    def refused(self, data: bytes, reason: Reason, *words: str) -> None:
        """It is, for this reason, with these words."""
        error = self.assertRaises(Refused, parse_credential, "a.pem", data)
        self.assertEqual(error.reason, reason, error.why)
        for word in words:
            self.assertIn(word, error.why)


class AcceptedTests(SynchronousTestCase):
    """What becomes a credential."""

    def check(self, data: bytes, leaf: Credentials = LEAF) -> Credential:
        """It has the leaf, its chain and its key."""
        found = parse_credential("a.pem", data)
        self.assertEqual(found.certificate, leaf.certificate)
        self.assertEqual(found.chain, leaf.chain)
        self.assertEqual(found.private_key.private_numbers(), leaf.key.private_numbers())
        return found

    def test_all_that_is_known_of_it(self) -> None:
        """Names, addresses, times, kind."""
        found = self.check(LEAF.pem)
        self.assertEqual((found.file, found.name, found.kind), ("a.pem", "a", "ecdsa"))
        self.assertEqual(found.names, (b"a.test", b"*.b.test"))
        self.assertEqual(found.addresses, {b"10.0.0.1", b"2001:db8::1"})
        self.assertEqual(found.not_after, LEAF.certificate.not_valid_after_utc.timestamp())
        self.assertEqual(found.not_before, LEAF.certificate.not_valid_before_utc.timestamp())
        self.assertRegex(found.fingerprint, "^[0-9a-f]{64}$")

    def test_any_order_of_key_and_leaf(self) -> None:
        """The leaf is the certificate of the key."""
        chain = pem(*LEAF.chain)
        leaf = pem(LEAF.certificate)
        self.check(LEAF.key_pem + leaf + chain)
        self.check(leaf + LEAF.key_pem + chain)
        self.check(chain + leaf + LEAF.key_pem)
        self.check(chain + LEAF.key_pem + leaf)

    def test_the_leaf_repeated_in_the_chain_is_dropped(self) -> None:
        """Wherever."""
        leaf = pem(LEAF.certificate)
        self.check(LEAF.pem + leaf)
        self.check(leaf + pem(LEAF.chain[0]) + leaf + pem(LEAF.chain[1]) + LEAF.key_pem)

    def test_the_root_may_end_the_chain(self) -> None:
        """It is the issuer of the last."""
        found = parse_credential("a.pem", LEAF.pem + ROOT.pem)
        self.assertEqual(found.chain, (*LEAF.chain, ROOT.certificate))

    def test_comments_line_ends_and_parameters(self) -> None:
        """As openssl and others write them; the last line may have no end."""
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        self.check(b"subject=CN = a.test\n" + parameters + LEAF.pem + b"the end\n")
        self.check(LEAF.pem.replace(b"\n", b"\r\n"))
        self.check(LEAF.pem.rstrip(b"\n"))

    def test_forms_of_keys(self) -> None:
        """PKCS #8 and the older form of each kind; the three curves; the sizes between the limits."""
        keys: list[Key] = [ec.generate_private_key(curve()) for curve in parsing.CURVES]
        for key in (*keys, rsa.generate_private_key(65537, 3072)):
            leaf = ROOT.leaf("a.test", key=key)
            for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
                text = key.private_bytes(Encoding.PEM, form, NoEncryption())
                found = self.check(text + pem(leaf.certificate), leaf)
                self.assertEqual(found.kind, "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa")

    def test_an_expired_one_is_a_credential(self) -> None:
        """That it has expired is said elsewhere."""
        day = timedelta(days=1)
        leaf = ROOT.leaf("a.test", starts=-2 * day, ends=-day)
        found = self.check(leaf.pem, leaf)
        self.assertFalse(found.valid_at(found.not_after + 1))
        self.assertTrue(found.valid_at(found.not_after))
        self.assertFalse(found.valid_at(found.not_before - 1))

    def test_the_common_name_counts_only_without_other_names(self) -> None:
        """Where it is the name of a host."""
        self.assertEqual(parse_credential("a.pem", ROOT.leaf(common_name="A.test").pem).names, (b"a.test",))
        self.assertEqual(parse_credential("a.pem", ROOT.leaf(common_name="My server").pem).names, ())
        self.assertEqual(parse_credential("a.pem", two_common_names().pem).names, (b"second.test",))
        self.assertEqual(parse_credential("a.pem", ROOT.leaf("b.test", common_name="a.test").pem).names, (b"b.test",))
        self.assertEqual(parse_credential("a.pem", ROOT.leaf("10.0.0.1", common_name="a.test").pem).names, ())

    def test_self_signed(self) -> None:
        """Is its own issuer, and has no chain."""
        leaf = self_signed("a.test", kind="rsa")
        self.assertEqual(self.check(leaf.pem, leaf).chain, ())


class RefusedTests(Refusals):
    """What does not."""

    def test_nothing_of_use(self) -> None:
        """No certificate, no key, neither."""
        self.refused(b"", Reason.NO_CERTIFICATE)
        self.refused(b"hello", Reason.NO_CERTIFICATE)
        self.refused(LEAF.key_pem, Reason.NO_CERTIFICATE)
        self.refused(LEAF.chain_pem, Reason.NO_KEY)

    def test_halves(self) -> None:
        """A file that is being written, cut anywhere: refused, or the whole leaf with a shorter chain."""
        text = LEAF.key_pem + LEAF.chain_pem
        whole = LEAF.key_pem + pem(LEAF.certificate)
        for cut in range(0, len(text) - 1, 7):
            if cut < len(whole) - 1:
                self.assertRaises(Refused, parse_credential, "a.pem", text[:cut])
        self.refused(text[: len(whole) - 40], Reason.MALFORMED, "no end")
        self.refused(text[40:], Reason.MALFORMED, "no beginning")

    def test_damaged_blocks(self) -> None:
        """What is inside of them, and their marks."""
        lines = LEAF.chain_pem.splitlines(keepends=True)
        self.refused(lines[0] + b"!!!!\n" + b"".join(lines[1:]) + LEAF.key_pem, Reason.MALFORMED, "certificate 1")
        self.refused(
            LEAF.chain_pem + lines[0] + b"AAAA\n-----END CERTIFICATE-----\n", Reason.MALFORMED, "certificate 4"
        )
        key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
        self.refused(LEAF.chain_pem + key, Reason.MALFORMED, "private key")
        self.refused(LEAF.pem.replace(b"END CERT", b"END CART", 1), Reason.MALFORMED, "CERTIFICATE", "no end")
        self.refused(LEAF.pem.replace(b"-----END CERTIFICATE-----\n", b"", 1), Reason.MALFORMED, "no end")
        self.refused(LEAF.pem + b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n", Reason.MALFORMED, "PKCS7")

    def test_certificates_that_the_library_half_reads(self) -> None:
        """It looks at version, names and extensions when they are asked for, and says so in many ways."""
        der = LEAF.certificate.public_bytes(Encoding.DER)
        for good, bad in (
            (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x19"),
            (b"\x0c\x06lowest", b"\x0c\x06low\xffst"),
            (b"\x0c\x06lowest", b"\x03\x06lowest"),
            (b"\x06\x03\x55\x1d\x11", b"\x06\x03\x55\x1d\x0f"),
        ):
            self.assertIn(good, der)
            changed = base64.encodebytes(der.replace(good, bad, 1))
            text = b"-----BEGIN CERTIFICATE-----\n" + changed + b"-----END CERTIFICATE-----\n"
            self.refused(text + LEAF.key_pem, Reason.MALFORMED, "certificate 1 cannot be read")

    def test_a_signature_of_an_unknown_kind(self) -> None:
        """What signs authorities some day: then the names have to do."""
        der = LEAF.certificate.public_bytes(Encoding.DER)
        changed = base64.encodebytes(der.replace(b"\xce\x3d\x04\x03\x02", b"\xce\x3d\x04\x03\x72"))
        text = b"-----BEGIN CERTIFICATE-----\n" + changed + b"-----END CERTIFICATE-----\n"
        found = parse_credential("a.pem", text + pem(*LEAF.chain) + LEAF.key_pem)
        self.assertEqual(len(found.chain), 2)

    def test_a_key_of_another_certificate(self) -> None:
        """Or of an authority in the chain and another leaf."""
        other = ROOT.leaf("a.test")
        self.refused(LEAF.chain_pem + other.key_pem, Reason.MISMATCH)
        renewed = ROOT.leaf("a.test", key=other.key)
        self.refused(other.pem + pem(renewed.certificate), Reason.MISMATCH, "several")

    def test_several_keys(self) -> None:
        """One file, one key; both kinds of a name are two files."""
        self.refused(LEAF.pem + LEAF.key_pem, Reason.SEVERAL_KEYS, "2 private keys")

    def test_encrypted_keys(self) -> None:
        """In both forms."""
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            key = LEAF.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
            self.refused(LEAF.chain_pem + key, Reason.ENCRYPTED_KEY, "passphrase")

    def test_weak_and_unknown_keys(self) -> None:
        """Each names what would do."""
        short = ROOT.leaf("a.test", key=rsa.generate_private_key(65537, 1024))
        expected = "(expected RSA from 2048 to 4096 bits, or ECDSA on P-256, P-384 or P-521)"
        self.refused(short.pem, Reason.WEAK, f"its RSA key has 1024 bits {expected}")
        curve = ROOT.leaf("a.test", key=ec.generate_private_key(ec.SECP256K1()))
        self.refused(curve.pem, Reason.WEAK, f"its key is on the curve secp256k1 {expected}")
        edwards = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.refused(LEAF.chain_pem + edwards, Reason.UNSUPPORTED, f"of the kind Ed25519 {expected}")

    def test_a_key_that_takes_too_long(self) -> None:
        """One signature with it would hold up all traffic."""
        p, q = (1 << 2999) + 1, (1 << 3000) + 1  # no primes, but nobody computes with them
        public = rsa.RSAPublicNumbers(65537, p * q)
        key = rsa.RSAPrivateNumbers(p, q, 5, 5, 5, 5, public).private_key(unsafe_skip_rsa_key_validation=True)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.refused(LEAF.chain_pem + text, Reason.UNSUPPORTED, "6000 bits", "4096")

    def test_chains_out_of_order(self) -> None:
        """Turned round, with a gap, with a stranger; the place and the expected name are said."""
        leaf, (lowest, between) = pem(LEAF.certificate) + LEAF.key_pem, LEAF.chain
        self.refused(
            leaf + pem(between, lowest),
            Reason.CHAIN_ORDER,
            "certificate 1 of the chain (CN=between) is not the issuer of the certificate of the key",
            "(expected CN=lowest: ",
        )
        self.refused(leaf + pem(lowest) + ROOT.pem, Reason.CHAIN_ORDER, "certificate 2", "CN=between")
        self.refused(LEAF.pem + Authority("stranger").pem, Reason.CHAIN_ORDER, "CN=stranger")
        self.refused(LEAF.pem + pem(lowest), Reason.CHAIN_ORDER)

    def test_an_issuer_of_the_same_name_with_another_key(self) -> None:
        """A renewed authority, and the certificate of the old one."""
        other = Authority("lowest", issuer=BETWEEN)
        self.refused(pem(LEAF.certificate, other.certificate) + LEAF.key_pem, Reason.CHAIN_ORDER, "not its key")

    def test_signed_with_sha_1(self) -> None:
        """Leaf or intermediate; the signature of a root nobody looks at."""
        self.refused(OLD_LEAF + OLD_ROOT, Reason.WEAK, "certificate 1 is signed with SHA1")
        leaf = LEAF.pem + OLD_ROOT
        self.refused(leaf, Reason.CHAIN_ORDER)

    def test_not_for_servers(self) -> None:
        """Clients refuse it; so do we, earlier."""
        self.refused(ROOT.leaf("a.test", client=True).pem, Reason.UNUSABLE, "serverAuth")

    def test_a_damaged_private_part(self) -> None:
        """Found by a signature that is tried."""
        made = self_signed("a.test", kind="rsa")
        assert isinstance(made.key, rsa.RSAPrivateKey)
        numbers = made.key.private_numbers()
        broken = rsa.RSAPrivateNumbers(
            numbers.p,
            numbers.q,
            numbers.d ^ 2,
            numbers.dmp1 ^ 2,
            numbers.dmq1 ^ 2,
            numbers.iqmp,
            numbers.public_numbers,
        ).private_key(unsafe_skip_rsa_key_validation=True)
        text = broken.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.refused(made.chain_pem + text, Reason.UNUSABLE, "damaged")

    def test_too_many(self) -> None:
        """Certificates of a file, names of a certificate."""
        self.refused(LEAF.pem + ROOT.pem * 20, Reason.TOO_LARGE, "16 certificates")
        names = [f"n{number}.test" for number in range(parsing.MAX_NAMES + 1)]
        self.refused(self_signed(*names).pem, Reason.TOO_LARGE, "1000 names")

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, len(LEAF.pem) - 1), st.binary(min_size=0, max_size=3))
    def test_a_changed_octet_is_refused_or_changes_nothing(self, at: int, put: bytes) -> None:
        """Never another error."""
        data = LEAF.pem[:at] + put + LEAF.pem[at + 1 :]
        try:
            found = parse_credential("a.pem", data)
        except Refused:
            return
        self.assertEqual(found.certificate.public_key(), LEAF.certificate.public_key())


class StapleTests(SynchronousTestCase):
    """The response of a credential."""

    def test_is_shown_while_it_is_valid(self) -> None:
        """Until nextUpdate."""
        plain = parse_credential("a.pem", LEAF.pem)
        self.assertIsNone(plain.ocsp_response(50.0))
        stapled = replace(plain, staple=Staple(b"response", 20.0))
        self.assertEqual([stapled.ocsp_response(now) for now in (19.9, 20.0)], [b"response", None])
