"""
Whether an OCSP response may be stapled to a certificate (RFC 6960, RFC 5019). Pure.

It has to be about this certificate, say that it is good, be valid now, and be signed by the certificate's issuer or by
whom the issuer has entrusted with it: a client that gets another one ends the handshake.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from netappliance.tls.certificates.credential import Credential, Staple
from netappliance.tls.certificates.refusals import Reason, Refused

#: seconds that the responder's clock may be ahead of ours
SKEW_S = 300.0


def check_response(data: bytes, credential: Credential, now: float) -> Staple:
    """
    Judge a response.

    :param data: in DER. :param now: seconds since 1970.
    :raises Refused: says why.
    """
    try:
        response = ocsp.load_der_ocsp_response(data)
        status = response.response_status
        if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise _refused(f"is an error of the responder ({status.name.lower()})")
        single = _about(response, credential)
        next_update = _validity(single, now)
        _check_signature(response, _issuer(credential), now)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(f"cannot be read: {error} (expected an OCSP response in DER)") from error
    return Staple(data, next_update)


def _refused(why: str) -> Refused:
    return Refused(Reason.OCSP, why)


def _issuer(credential: Credential) -> x509.Certificate:
    leaf = credential.certificate
    if credential.chain:
        return credential.chain[0]
    if leaf.issuer == leaf.subject:
        return leaf
    raise _refused(f"cannot be checked: {credential.file} does not hold the issuer's certificate")


def _about(response: ocsp.OCSPResponse, credential: Credential) -> ocsp.OCSPSingleResponse:
    leaf, issuer = credential.certificate, _issuer(credential)
    for single in response.responses:
        if single.serial_number == leaf.serial_number:
            asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, single.hash_algorithm).build()
            if (asked.issuer_name_hash, asked.issuer_key_hash) == (single.issuer_name_hash, single.issuer_key_hash):
                return single
    raise _refused(f"is not about the certificate in {credential.file}")


def _validity(single: ocsp.OCSPSingleResponse, now: float) -> float:
    status = single.certificate_status
    if status is not ocsp.OCSPCertStatus.GOOD:
        raise _refused(f"says that the certificate is {status.name.lower()}")
    begins, ends = single.this_update_utc, single.next_update_utc
    if ends is None:
        raise _refused("does not say until when it is valid (nextUpdate)")
    if begins.timestamp() > now + SKEW_S:
        raise _refused(f"is not valid before {begins:%Y-%m-%d %H:%M} UTC")
    if now >= ends.timestamp():
        raise _refused(f"ran out on {ends:%Y-%m-%d %H:%M} UTC")
    return ends.timestamp()


def _check_signature(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: float) -> None:
    if not any(_signed_by(response, each) for each in _signers(response, issuer, now)):
        raise _refused("is signed neither by the certificate's issuer nor by a responder of the issuer's")


def _signers(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: float) -> Iterator[x509.Certificate]:
    """Yield the issuer, and the certificates in the response that it has made for responders (RFC 6960, 4.2.2.2)."""
    yield issuer
    moment = datetime.fromtimestamp(now, timezone.utc)
    for certificate in response.certificates:
        try:
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            certificate.verify_directly_issued_by(issuer)
        except (x509.ExtensionNotFound, InvalidSignature, TypeError, ValueError):
            continue
        within = certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc
        if within and ExtendedKeyUsageOID.OCSP_SIGNING in usage:
            yield certificate


def _signed_by(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True
