"""Which OCSP responses are stapled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates import files
from netappliance.tls.certificates.credential import Credential
from netappliance.tls.certificates.directory import CertificateSet, prepare
from netappliance.tls.certificates.ocsp import check_response
from netappliance.tls.certificates.parsing import parse_credential
from netappliance.tls.certificates.refusals import Reason, Refused
from tests.certificates import Authority, Credentials, Key, make_key, self_signed, write_private

HOUR = timedelta(hours=1)
ROOT = Authority("root of the tests")
ISSUER = Authority("issuer", issuer=Authority("between", issuer=ROOT))
LEAF = ISSUER.leaf("a.test")


class Responder(NamedTuple):
    """Who signs responses."""

    certificate: x509.Certificate
    key: Key | Ed25519PrivateKey


def response(
    leaf: Credentials = LEAF,
    *,
    issuer: Authority = ISSUER,
    signer: Authority | Credentials | Responder | None = None,
    shown: Sequence[x509.Certificate] = (),
    starts: timedelta = -HOUR,
    ends: timedelta | None = HOUR,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
) -> bytes:
    """Return what a responder says. :param signer: the issuer unless given. :param shown: certificates in it."""
    now = datetime.fromtimestamp(time.time(), timezone.utc)
    signer = signer or issuer
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf.certificate,
        issuer=issuer.certificate,
        algorithm=SHA1(),
        cert_status=status,
        this_update=now + starts,
        next_update=None if ends is None else now + ends,
        revocation_time=now - HOUR if revoked else None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
    if shown:
        builder = builder.certificates(list(shown))
    algorithm = None if isinstance(signer.key, Ed25519PrivateKey) else SHA256()
    return builder.sign(signer.key, algorithm).public_bytes(Encoding.DER)


def responder(
    issuer: Authority = ISSUER,
    *,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.OCSP_SIGNING,
    ends: timedelta = HOUR,
    key: Key | Ed25519PrivateKey | None = None,
) -> Responder:
    """Return whom an authority lets sign for it."""
    key = key or make_key()
    now = datetime.fromtimestamp(time.time(), timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "responder")])
    builder = x509.CertificateBuilder(subject_name=name, issuer_name=issuer.name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - 2 * HOUR).not_valid_after(now + ends)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return Responder(builder.sign(issuer.key, SHA256()), key)


CREDENTIAL = parse_credential("a.pem", LEAF.pem)


class ResponseTests(SynchronousTestCase):
    """check_response."""

    def refused(self, data: bytes, *words: str, credential: Credential = CREDENTIAL, now: float | None = None) -> None:
        """It is, with these words."""
        error = self.assertRaises(Refused, check_response, data, credential, time.time() if now is None else now)
        self.assertEqual(error.reason, Reason.OCSP)
        for word in words:
            self.assertIn(word, error.why)

    def test_good(self) -> None:
        """Signed by the issuer, or by its responder."""
        helper = responder()
        for data in (response(), response(signer=helper, shown=[helper.certificate])):
            staple = check_response(data, CREDENTIAL, time.time())
            self.assertEqual(staple.response, data)
            self.assertLess(abs(staple.next_update - time.time() - 3600), 60)

    def test_rsa(self) -> None:
        """Authorities with such keys."""
        issuer = Authority("rsa", kind="rsa")
        leaf = issuer.leaf("a.test")
        credential = parse_credential("a.pem", leaf.pem + issuer.pem)
        check_response(response(leaf, issuer=issuer), credential, time.time())

    def test_times(self) -> None:
        """Of the future, run out, without end; the responder's clock may be a little ahead."""
        data = response()
        single = ocsp.load_der_ocsp_response(data)
        assert single.next_update_utc is not None
        begins, ends = single.this_update_utc.timestamp(), single.next_update_utc.timestamp()
        for now in (begins - 300, begins, ends - 1):
            self.assertEqual(check_response(data, CREDENTIAL, now).next_update, ends)
        self.refused(data, "not valid before", now=begins - 301)
        self.refused(data, "ran out on", now=ends)
        self.refused(response(ends=None), "nextUpdate")

    def test_of_another_certificate(self) -> None:
        """Of this issuer, or of another one that gave the same number."""
        self.refused(response(ISSUER.leaf("a.test")), "not about the certificate in a.pem")
        self.refused(response(issuer=Authority("issuer")), "not about the certificate in a.pem")

    def test_statuses_that_are_not_good(self) -> None:
        """They are told, not stapled."""
        self.refused(response(status=ocsp.OCSPCertStatus.REVOKED), "revoked")
        self.refused(response(status=ocsp.OCSPCertStatus.UNKNOWN), "unknown")

    def test_signers(self) -> None:
        """A stranger, a leaf of the issuer's, a responder whose time is over, or of another authority."""
        self.refused(response(signer=Authority("stranger")), "signed neither")
        self.refused(response(signer=LEAF, shown=[LEAF.certificate]), "signed neither")
        for helper in (
            responder(purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
            responder(ends=-HOUR),
            responder(Authority("issuer")),
        ):
            self.refused(response(signer=helper, shown=[helper.certificate]), "signed neither")

    def test_the_life_of_a_responders_certificate(self) -> None:
        """From its first second to its last."""
        helper = responder(ends=HOUR / 2)
        data = response(signer=helper, shown=[helper.certificate], starts=-5 * HOUR)
        begins, ends = helper.certificate.not_valid_before_utc, helper.certificate.not_valid_after_utc
        for moment in (begins, ends):
            check_response(data, CREDENTIAL, moment.timestamp())
        for moment in (begins - timedelta(seconds=1), ends + timedelta(seconds=1)):
            self.refused(data, "signed neither", now=moment.timestamp())

    def test_a_responder_whose_signatures_nobody_checks(self) -> None:
        """Ed25519 is no algorithm of the web's certificates."""
        key = Ed25519PrivateKey.generate()
        certificate = responder(key=key).certificate
        self.refused(response(signer=Responder(certificate, key), shown=[certificate]), "signed neither")

    def test_errors_and_garbage(self) -> None:
        """Of the responder; no DER."""
        busy = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        self.refused(busy.public_bytes(Encoding.DER), "an error of the responder (try_later)")
        self.refused(b"", "cannot be read")
        self.refused(b"-----BEGIN", "expected an OCSP response in DER")

    def test_without_the_issuer(self) -> None:
        """There is nothing to check it with; a certificate that is its own issuer needs none."""
        alone = parse_credential("b.pem", Credentials(LEAF.certificate, LEAF.key).pem)
        self.refused(response(), "b.pem does not hold the issuer's certificate", credential=alone)
        own = parse_credential("c.pem", self_signed("a.test").pem)
        self.refused(response(), "not about", credential=own)

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, len(response()) - 20), st.integers(0, 255))
    def test_a_changed_octet_is_refused_or_changes_nothing(self, at: int, put: int) -> None:
        """Never another error."""
        data = response()
        changed = data[:at] + bytes((put,)) + data[at + 1 :]
        try:
            check_response(changed, CREDENTIAL, time.time())
        except Refused:
            return
        good, seen = ocsp.load_der_ocsp_response(data), ocsp.load_der_ocsp_response(changed)
        self.assertEqual(good.tbs_response_bytes, seen.tbs_response_bytes)


class FileTests(SynchronousTestCase):
    """NAME.ocsp beside NAME.pem."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        LEAF.write(self.directory / "a.pem")

    def prepared(self, previous: CertificateSet | None = None) -> CertificateSet:
        """Read the directory."""
        return prepare(str(self.directory), time.time(), previous)

    def test_is_stapled(self) -> None:
        """Others may read it."""
        data = response()
        (self.directory / "a.ocsp").write_bytes(data)
        (self.directory / "a.ocsp").chmod(0o644)
        found = self.prepared()
        self.assertEqual(found.credentials[0].ocsp_response(time.time()), data)
        self.assertIs(self.prepared(found).credentials[0], found.credentials[0])

    def test_a_bad_one_ends_no_start(self) -> None:
        """It is told; the certificate is served without."""
        for data, reason in ((b"", Reason.OCSP), (b"#" * (files.MAX_OCSP_BYTES + 1), Reason.TOO_LARGE)):
            (self.directory / "a.ocsp").write_bytes(data)
            found = self.prepared()
            self.assertIsNone(found.credentials[0].staple)
            self.assertEqual([(each.file, each.reason) for each in found.refusals], [("a.ocsp", reason)])

    def test_the_old_one_is_stapled_until_it_runs_out(self) -> None:
        """Where the new one is bad; not for another certificate."""
        (self.directory / "a.ocsp").write_bytes(response())
        before = self.prepared()
        (self.directory / "a.ocsp").write_bytes(b"half")
        after = self.prepared(before)
        self.assertIs(after.credentials[0], before.credentials[0])
        self.assertEqual([each.file for each in after.refusals], ["a.ocsp"])
        write_private(self.directory / "a.pem", ISSUER.leaf("a.test").pem)
        self.assertIsNone(self.prepared(after).credentials[0].staple)

    def test_a_removed_one_is_stapled_no_more(self) -> None:
        """It was taken away on purpose."""
        (self.directory / "a.ocsp").write_bytes(response())
        before = self.prepared()
        (self.directory / "a.ocsp").unlink()
        after = self.prepared(before)
        self.assertIsNone(after.credentials[0].staple)
        self.assertIsNot(after.credentials[0], before.credentials[0])
