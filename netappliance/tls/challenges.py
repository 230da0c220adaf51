"""Answers to tls-alpn-01 challenges (RFC 8737): a certificate that proves a name, shown to nobody but its authority."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL

from netappliance.tls.certificates.selection import Served

#: the application protocol that an authority offers, and no other (section 4)
PROTOCOL: Final = b"acme-tls/1"
#: id-pe-acmeIdentifier (section 6.1)
IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
#: how long a certificate is good; nobody looks
_LIFE: Final = timedelta(days=1)


class TlsAlpnChallenges:
    """
    The names whose proof is under way.

    :ivar answered_total: handshakes that were given one.
    """

    def __init__(self) -> None:
        self.answered_total = 0
        #: name -> (token, key authorization, what is shown)
        self._proofs: dict[bytes, tuple[str, str, Served]] = {}

    def present(self, name: str, token: str, key_authorization: str) -> None:
        """Answer the challenge of a name from now on."""
        self._proofs[name.encode()] = token, key_authorization, Served(())

    def withdraw(self, name: str, token: str) -> None:
        """Answer it no more; a later one of the same name stays."""
        if self._proofs.get(name.encode(), ("",))[0] == token:
            del self._proofs[name.encode()]

    def find(self, server_name: bytes) -> Served | None:
        """Return what is shown to a client that offers :data:`PROTOCOL` alone; None = no such proof is under way."""
        found = self._proofs.get(server_name)
        if found is None:
            return None
        _, key_authorization, served = found
        if served.context is None:
            # made when it is asked for: a hundred at once would keep the reactor
            served.context = _context(server_name.decode(), key_authorization)
        self.answered_total += 1
        return served


def _context(name: str, key_authorization: str) -> SSL.Context:
    certificate, key = challenge_certificate(name, key_authorization)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.set_alpn_select_callback(lambda _connection, _theirs: PROTOCOL)
    return context


def challenge_certificate(name: str, key_authorization: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """
    Return the certificate of RFC 8737 section 3, with its key.

    Self-signed, for this one name, with the digest of the key authorization in a critical extension.
    """
    digest = hashlib.sha256(key_authorization.encode()).digest()
    # an OCTET STRING in DER (section 3)
    identifier = x509.UnrecognizedExtension(IDENTIFIER, b"\x04\x20" + digest)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, PROTOCOL.decode())])
    now = datetime.now(timezone.utc)  # noqa: TID251 - certificates are made for the time of the wall clock
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(identifier, critical=True)
    )
    return builder.sign(key, SHA256()), key
