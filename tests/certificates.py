"""Certificates for tests: authorities, and leaves of every kind that they sign."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Kind = Literal["ecdsa", "rsa"]

#: from when and until when certificates are good, from now, unless told otherwise
STARTED = timedelta(days=-1)
ENDS = timedelta(days=90)


def make_key(kind: Kind = "ecdsa") -> Key:
    """Return a new P-256 or 2048 bit RSA key."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def write_private(path: Path | str, data: bytes) -> str:
    """Write a file that only its owner reads (mode 0600); return its path."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
    return str(path)


@dataclass(frozen=True)
class Credentials:
    """
    A certificate with its key.

    :ivar chain: the authorities between the certificate and the root, its issuer first.
    """

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def chain_pem(self) -> bytes:
        """The certificate and its chain, as servers send them."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.certificate, *self.chain))

    @property
    def key_pem(self) -> bytes:
        """The key (PKCS #8), not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def pem(self) -> bytes:
        """Chain and key."""
        return self.chain_pem + self.key_pem

    def write(self, path: Path | str) -> str:
        """Write chain and key to one file of mode 0600; return its path."""
        return write_private(path, self.pem)


class Authority:
    """
    A root, or an intermediate authority when it has an ``issuer``.

    :ivar certificate: its own.
    """

    def __init__(
        self,
        name: str = "authority of the tests",
        *,
        issuer: Authority | None = None,
        kind: Kind = "ecdsa",
        starts: timedelta = STARTED,
        ends: timedelta = ENDS * 10,
    ) -> None:
        self.key = make_key(kind)
        self.issuer = issuer
        self.name = _subject(name)
        signer = self if issuer is None else issuer
        builder = _builder(self.name, signer.name, self.key, signer.key, starts, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        self.certificate = builder.sign(signer.key, SHA256())

    @property
    def pem(self) -> bytes:
        """The certificate, for those who trust it."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What a server sends behind a certificate of this authority: intermediates, without the root."""
        return () if self.issuer is None else (self.certificate, *self.issuer.chain)

    def write(self, path: Path | str) -> str:
        """Write the certificate to a file; return its path."""
        Path(path).write_bytes(self.pem)
        return str(path)

    def leaf(
        self,
        *names: str,
        kind: Kind = "ecdsa",
        key: Key | None = None,
        starts: timedelta = STARTED,
        ends: timedelta = ENDS,
        client: bool = False,
        common_name: str = "",
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> Credentials:
        """
        Sign a certificate.

        :param names: DNS names, wildcards and IP addresses of its subjectAltName; none = no such extension.
        :param key: an existing one instead of a new one of this kind. :param client: it proves who clients are, not
            servers. :param common_name: the first name unless given. :param extensions: further ones, not critical.
        """
        key = make_key(kind) if key is None else key
        subject = _subject(common_name or (names[0] if names else "leaf"))
        builder = _builder(subject, self.name, key, self.key, starts, ends)
        builder = _with_leaf_extensions(builder, names, client, extensions)
        return Credentials(builder.sign(self.key, SHA256()), key, self.chain)


def self_signed(*names: str, kind: Kind = "ecdsa", starts: timedelta = STARTED, ends: timedelta = ENDS) -> Credentials:
    """Return a leaf that is its own issuer."""
    key = make_key(kind)
    subject = _subject(names[0] if names else "leaf")
    builder = _with_leaf_extensions(_builder(subject, subject, key, key, starts, ends), names, False, ())
    return Credentials(builder.sign(key, SHA256()), key)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, issuer_key: Key, starts: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(signer, critical=False)
    )


def _with_leaf_extensions(
    builder: x509.CertificateBuilder, names: Sequence[str], client: bool, extensions: Sequence[x509.ExtensionType]
) -> x509.CertificateBuilder:
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
