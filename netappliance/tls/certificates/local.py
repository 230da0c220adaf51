"""
A certificate for this host alone, to try HTTPS out: ``localhost.pem``, signed by an authority whose certificate is
``ca.pem``.

The authority's key is thrown away after its one signature, and it may vouch for nothing but this host: whoever trusts
``ca.pem`` trusts no more than the key in ``localhost.pem``. Both are made anew together.
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netappliance.errors import StartError
from netappliance.tls.certificates.directory import AUTHORITY
from netappliance.tls.certificates.files import read_file

LEAF = "localhost.pem"
ORGANIZATION = "netappliance on this host alone"
DNS_NAME, ADDRESSES = "localhost", ("127.0.0.1", "::1")
#: as long as clients accept at most (Apple: 398 days)
LIFE = timedelta(days=365)
#: what is left when both are made anew
RENEW_BEFORE = timedelta(days=7)


def ensure_local_certificate(directory: str, now: datetime) -> tuple[bool, datetime]:
    """
    See to it that there are both files, made by this function and valid for a week; the directory is made, too.

    :param now: in UTC.
    :return: whether they were made now; until when they are valid.
    :raises StartError: the files cannot be made, or there are others of these names.
    """
    folder = Path(directory)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ends = _good_until(folder, now)
        if ends is not None and ends - now > RENEW_BEFORE:
            return False, ends
        leaf, authority = make_local_certificate(now)
        # whoever serves the first trusts nothing; whoever trusts the second finds the first
        _write(folder / LEAF, leaf, 0o600)
        _write(folder / AUTHORITY, authority, 0o644)
    except OSError as error:
        raise StartError(f"cannot make a certificate in {directory}: {error.strerror or error}") from error
    return True, now + LIFE


def _good_until(folder: Path, now: datetime) -> datetime | None:
    """Return until when the files that are there can be used; None if they cannot, or are not there."""
    authority = _authority(folder / AUTHORITY)
    if not (folder / LEAF).exists():
        return None
    found = read_file(folder, LEAF, now.timestamp()).credential
    leaf = _certificate(folder / LEAF) if found is None else found.certificate
    if leaf is None or not _ours(leaf.issuer):
        raise StartError(f"{folder / LEAF} was not made by this command; it is left as it is")
    if found is None or authority is None:
        return None  # the key is open to others, or there is only one of the two
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError):
        return None
    return leaf.not_valid_after_utc


def _authority(path: Path) -> x509.Certificate | None:
    if not path.exists():
        return None
    certificate = _certificate(path)
    if certificate is None or not _ours(certificate.subject):
        raise StartError(f"{path} was not made by this command; it is left as it is")
    return certificate


def _certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        return None


def _ours(name: x509.Name) -> bool:
    return [each.value for each in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [ORGANIZATION]


def make_local_certificate(now: datetime) -> tuple[bytes, bytes]:
    """Return the texts of ``localhost.pem`` and ``ca.pem``. :param now: in UTC."""
    # a name of its own, so that a browser that trusts an older one takes neither for the other
    issuer = _name(f"local authority {secrets.token_hex(4)}")
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    networks = [x509.IPAddress(ip_network(address)) for address in ADDRESSES]
    constraints = x509.NameConstraints([x509.DNSName(DNS_NAME), *networks], None)
    authority = (
        _builder(issuer, issuer, issuer_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(constraints, critical=True)
        .sign(issuer_key, SHA256())
    )
    addresses = [x509.IPAddress(ip_address(address)) for address in ADDRESSES]
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    leaf = (
        _builder(_name(DNS_NAME), issuer, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DNS_NAME), *addresses]), critical=False)
        .add_extension(signer, critical=False)
        .sign(issuer_key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return leaf.public_bytes(Encoding.PEM) + private, authority.public_bytes(Encoding.PEM)


def _name(common: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION)
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Put a whole file in the place of what is there."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            os.fsync(stream.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
