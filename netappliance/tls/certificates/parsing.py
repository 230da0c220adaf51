"""
The text of one NAME.pem as a credential, or the reason why it is none. Pure.

Key and certificates may come in any order. The leaf is the certificate of the key, wherever it stands; the others, in
their order, are its chain: each is the issuer of the one before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netappliance.tls.certificates.credential import Credential, Kind, PrivateKey
from netappliance.tls.certificates.names import dns_name
from netappliance.tls.certificates.pem import pem_blocks
from netappliance.tls.certificates.refusals import Reason, Refused

#: certificates in one file, the leaf among them
MAX_CERTIFICATES = 16
#: DNS names and addresses of a certificate
MAX_NAMES = 1000
MIN_RSA_BITS = 2048
#: a signature with a longer one takes so long that it holds up all other traffic (8192 bits: 15 ms, 4096: 2 ms)
MAX_RSA_BITS = 4096
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

_KEYS = (b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY")
#: what `openssl ecparam -genkey` and its like write beside a key
_IGNORED = (b"EC PARAMETERS", b"DH PARAMETERS")
_EXPECTED_KEY = f"expected RSA from {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, or ECDSA on P-256, P-384 or P-521"


def parse_credential(file: str, data: bytes) -> Credential:
    """
    Read a file's text.

    :param file: its name, for the credential.
    :raises Refused: says why.
    """
    certificates: list[x509.Certificate] = []
    keys: list[bytes] = []
    for label, block in pem_blocks(data):
        if label == b"CERTIFICATE":
            certificates.append(_certificate(block, len(certificates) + 1))
        elif label in _KEYS:
            keys.append(block)
        elif label not in _IGNORED:
            raise Refused(Reason.MALFORMED, f"holds a block of {label.decode()} (expected certificates and a key)")
        if len(certificates) > MAX_CERTIFICATES:
            raise Refused(Reason.TOO_LARGE, f"holds more than {MAX_CERTIFICATES} certificates")
    if not certificates:
        raise Refused(Reason.NO_CERTIFICATE, "holds no certificate")
    kind, key = _private_key(keys)
    leaf, chain = _leaf_and_chain(certificates, key)
    _check_purpose(leaf)
    _check_signature(key)
    names, addresses = _names(leaf)
    return Credential(
        file=file,
        certificate=leaf,
        chain=chain,
        private_key=key,
        kind=kind,
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        names=names,
        addresses=addresses,
        not_before=leaf.not_valid_before_utc.timestamp(),
        not_after=leaf.not_valid_after_utc.timestamp(),
    )


def _certificate(block: bytes, number: int) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(block)
        # the library reads these when they are asked for
        certificate.public_key(), certificate.subject, certificate.issuer, certificate.extensions
    except UnsupportedAlgorithm as error:
        raise Refused(Reason.UNSUPPORTED, f"certificate {number} has a key of an unknown kind") from error
    except Exception as error:  # ValueError for the most part, others for some versions, names and extensions
        raise Refused(Reason.MALFORMED, f"certificate {number} cannot be read: {error}") from error
    algorithm = _hash_algorithm(certificate)
    if isinstance(algorithm, (hashes.SHA1, hashes.MD5)) and not _self_issued(certificate):
        name = algorithm.name.upper()
        raise Refused(Reason.WEAK, f"certificate {number} is signed with {name} (expected SHA-256 or better)")
    return certificate


def _hash_algorithm(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    """Return that of the signature; None where it is signed in a way without one, or unknown to the library."""
    try:
        return certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None


def _self_issued(certificate: x509.Certificate) -> bool:
    return certificate.issuer == certificate.subject


def _private_key(blocks: list[bytes]) -> tuple[Kind, PrivateKey]:
    if not blocks:
        raise Refused(Reason.NO_KEY, "holds no private key")
    if len(blocks) > 1:
        raise Refused(Reason.SEVERAL_KEYS, f"holds {len(blocks)} private keys (expected one)")
    try:
        # a full check of an RSA key takes up to 400 ms without letting other threads run; a signature is tried instead
        key = load_pem_private_key(blocks[0], None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise Refused(Reason.ENCRYPTED_KEY, "its private key has a passphrase (expected none)") from error
    except UnsupportedAlgorithm as error:
        raise Refused(Reason.UNSUPPORTED, f"its private key is of an unknown kind ({_EXPECTED_KEY})") from error
    except ValueError as error:
        raise Refused(Reason.MALFORMED, "its private key cannot be read (expected PEM, PKCS #8 or older)") from error
    if isinstance(key, rsa.RSAPrivateKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            weak = Reason.WEAK if key.key_size < MIN_RSA_BITS else Reason.UNSUPPORTED
            raise Refused(weak, f"its RSA key has {key.key_size} bits ({_EXPECTED_KEY})")
        return "rsa", key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, CURVES):
            raise Refused(Reason.WEAK, f"its key is on the curve {key.curve.name} ({_EXPECTED_KEY})")
        return "ecdsa", key
    kind = type(key).__name__.removesuffix("PrivateKey").strip("_")
    raise Refused(Reason.UNSUPPORTED, f"its private key is of the kind {kind} ({_EXPECTED_KEY})")


def _leaf_and_chain(
    certificates: list[x509.Certificate], key: PrivateKey
) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    ours = _spki(key)
    leaves = [each for each in certificates if _spki_of(each) == ours]
    if not leaves:
        raise Refused(Reason.MISMATCH, "its private key is that of none of its certificates")
    leaf = leaves[0]
    if any(each != leaf for each in leaves):
        raise Refused(Reason.MISMATCH, "its private key is that of several different certificates (expected one)")
    chain = tuple(each for each in certificates if each != leaf)
    below, name = leaf, "the certificate of the key"
    for number, issuer in enumerate(chain, 1):
        _check_issued(below, issuer, f"certificate {number} of the chain ({issuer.subject.rfc4514_string()})", name)
        below, name = issuer, f"certificate {number}"
    return leaf, chain


def _check_issued(below: x509.Certificate, issuer: x509.Certificate, name: str, below_name: str) -> None:
    expected = f"expected {below.issuer.rfc4514_string()}: each certificate is followed by its issuer"
    if below.issuer != issuer.subject:
        raise Refused(Reason.CHAIN_ORDER, f"{name} is not the issuer of {below_name} ({expected})")
    try:
        below.verify_directly_issued_by(issuer)
    except InvalidSignature as error:
        raise Refused(Reason.CHAIN_ORDER, f"{name} has the name of {below_name}'s issuer, but not its key") from error
    except (TypeError, ValueError, UnsupportedAlgorithm):
        pass  # signed in a way that this library does not know: the name has to do


def _spki(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _spki_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_signature(key: PrivateKey) -> None:
    """Refuse a key whose private part is not that of its public part."""
    data = b"a signature that is tried"
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            signature = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
            key.public_key().verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
            key.public_key().verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except Exception as error:  # whatever the numbers of a broken key lead to in the library
        raise Refused(Reason.UNUSABLE, "signatures of its private key are wrong: the key is damaged") from error


def _check_purpose(leaf: x509.Certificate) -> None:
    """Refuse what no client would take from a server (RFC 5280 section 4.2.1.12)."""
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is not None and not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(
        usage
    ):
        raise Refused(Reason.UNUSABLE, "its certificate is not for servers (extended key usage without serverAuth)")


def _names(leaf: x509.Certificate) -> tuple[tuple[bytes, ...], frozenset[bytes]]:
    alternative = _extension(leaf, x509.SubjectAlternativeName)
    if alternative is None:
        # the old way, for certificates without the extension (RFC 9525 does away with it)
        common = [str(each.value) for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        return _dns_names(common[-1:]), frozenset()
    if len(list(alternative)) > MAX_NAMES:
        raise Refused(Reason.TOO_LARGE, f"its certificate has more than {MAX_NAMES} names")
    addresses = frozenset(str(each).encode() for each in alternative.get_values_for_type(x509.IPAddress))
    return _dns_names(alternative.get_values_for_type(x509.DNSName)), addresses


def _dns_names(texts: Iterable[str]) -> tuple[bytes, ...]:
    found = (dns_name(text) for text in texts)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _extension(certificate: x509.Certificate, kind: type) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
