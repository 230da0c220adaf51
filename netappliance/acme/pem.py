"""Certificates and keys as PEM: what is in force, whether an authority's answer is what was asked for, requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

#: common name of the certificates that stand there until the first one is issued
PLACEHOLDER = "netappliance placeholder"
PLACEHOLDER_LIFE = timedelta(days=365)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Held:
    """
    A certificate with its key.

    :ivar names: its DNS names. :ivar not_before, not_after: its life, in Unix seconds.
    :ivar placeholder: our own, self-signed one.
    """

    names: frozenset[str]
    not_before: float
    not_after: float
    placeholder: bool

    def covers(self, names: Sequence[str]) -> bool:
        """Say whether it is an authority's and has exactly these names."""
        return not self.placeholder and self.names == frozenset(names)


def read_pem(data: bytes) -> Held:
    """
    Look at a chain and its key in one text, leaf first.

    :raises ValueError: what is wrong with it.
    """
    try:
        chain = x509.load_pem_x509_certificates(data)
        key = load_pem_private_key(data, None)
        leaf = chain[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise ValueError(f"no chain with names and a key: {error}") from None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if leaf.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise ValueError("the key is not the certificate's")
    common = [str(each.value) for each in leaf.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return Held(
        frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName)),
        leaf.not_valid_before_utc.timestamp(),
        leaf.not_valid_after_utc.timestamp(),
        placeholder=common == [PLACEHOLDER],
    )


def issued_pem(chain: str, key: bytes, names: Sequence[str], now: float) -> tuple[bytes, Held]:
    """
    Put an authority's chain and our key into one text.

    :raises ValueError: the chain is not what was asked for.
    """
    data = chain.encode().strip() + b"\n" + key
    held = read_pem(data)
    if not held.covers(names):
        raise ValueError(f"the certificate's names are {', '.join(sorted(held.names)) or 'none'}")
    if held.not_after <= now:
        raise ValueError("the certificate has expired already")
    return data, held


def make_key(key_type: str) -> bytes:
    """Return a new private key: ``ecdsa`` (P-256) or ``rsa`` (2048 bits)."""
    key: Key = ec.generate_private_key(ec.SECP256R1())
    if key_type == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_request(key: bytes, names: Sequence[str]) -> bytes:
    """Return the PEM of a signing request (CSR) for names alone, no subject."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
    private = load_pem_private_key(key, None)
    assert isinstance(private, Key)
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


def make_placeholder(names: Sequence[str], now: float) -> bytes:
    """Return a self-signed certificate for the names, with its key, so that a listener has something to serve."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, PLACEHOLDER)])
    begin = datetime.fromtimestamp(now, timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - timedelta(hours=1))
        .not_valid_after(begin + PLACEHOLDER_LIFE)
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + private
