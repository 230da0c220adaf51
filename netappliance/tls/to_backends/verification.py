"""
Whether a backend is who it should be, and how handshakes with backends end, in words of a closed set. Pure.

Chains are verified by OpenSSL, names by service-identity (RFC 9525).
"""

from __future__ import annotations

import errno
import ipaddress
import re
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL.SSL import X509VerificationCodes as Codes
from service_identity.cryptography import extract_patterns
from service_identity.exceptions import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity

Identity = DNS_ID | IPAddress_ID

#: how a handshake may end; docs/metrics.md says what each means
OK: Final = "ok"
EXPIRED: Final = "expired"
NOT_YET_VALID: Final = "not_yet_valid"
SELF_SIGNED: Final = "self_signed"
UNTRUSTED: Final = "untrusted"
WRONG_NAME: Final = "wrong_name"
BAD_CERTIFICATE: Final = "bad_certificate"
REFUSED: Final = "refused"
PROTOCOL: Final = "protocol"
CLOSED: Final = "closed"
TIMEOUT: Final = "timeout"
_OF_CERTIFICATES = (EXPIRED, NOT_YET_VALID, SELF_SIGNED, UNTRUSTED, WRONG_NAME, BAD_CERTIFICATE)
RESULTS = (OK, *_OF_CERTIFICATES, REFUSED, PROTOCOL, CLOSED, TIMEOUT)

#: names of a certificate that a log line repeats
_SHOWN_NAMES = 5
_NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")

_UNTRUSTED = frozenset(
    (
        Codes.ERR_UNABLE_TO_GET_ISSUER_CERT,
        Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
        Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN,
        Codes.ERR_CERT_UNTRUSTED,
    )
)
#: X509_V_ERR_* -> its name as words
_WORDS = {
    value: name.removeprefix("ERR_").replace("_", " ").lower()
    for name, value in vars(Codes).items()
    if name.startswith("ERR_")
}


def service_identity(host: str) -> Identity:
    """
    Return what a certificate must be for.

    :param host: an IP address, or a host name in lower case without a final dot.
    :raises ValueError: it is neither.
    """
    try:
        return IPAddress_ID(str(ipaddress.ip_address(host)))
    except ValueError:
        pass
    # a number is an old way to write an address
    if not _NAME.fullmatch(host) or re.fullmatch(r"[\d._]+", host):
        raise ValueError("a host name (international ones as xn--) or an IP address")
    return DNS_ID(host)


def sent_name(host: str) -> bytes | None:
    """Return the server name to ask for (RFC 6066 section 3): none for an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.encode("ascii") if host else None
    return None


def judge_chain(code: int, depth: int, certificate: x509.Certificate) -> tuple[str, str]:
    """
    Return the result that an error of OpenSSL's verification means, and a sentence.

    :param code: X509_V_ERR_*. :param depth: of the certificate at fault; 0 = the backend's own.
    """
    whose = "its certificate" if depth == 0 else f"the certificate of its issuer {shown_name(certificate.subject)}"
    if code == Codes.ERR_CERT_HAS_EXPIRED:
        return EXPIRED, f"{whose} expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
    if code == Codes.ERR_CERT_NOT_YET_VALID:
        return NOT_YET_VALID, f"{whose} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC on"
    if code == Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return SELF_SIGNED, f"{whose} is self-signed and not among those that are trusted"
    if code in _UNTRUSTED:
        return UNTRUSTED, f"{whose} is from an authority that is not trusted: {shown_name(certificate.issuer)}"
    return BAD_CERTIFICATE, f"{whose} is not acceptable: {_WORDS.get(code, f'X509_V_ERR {code}')}"


def judge_name(certificate: x509.Certificate, identity: Identity, host: str) -> tuple[str, str] | None:
    """
    Return the result and a sentence when a certificate is not for ``identity``, which is that of ``host``.

    :raises Exception: the certificate is malformed.
    """
    patterns = extract_patterns(certificate)
    try:
        verify_service_identity(patterns, [identity], [])
    except CertificateError:
        return WRONG_NAME, f"its certificate is not for {host}: it has no subjectAltName"
    except VerificationError:
        return WRONG_NAME, f"its certificate is not for {host} but for {_names(certificate)}"
    return None


def judge_failure(error: OSError) -> tuple[str, str]:
    """
    Return the result that a failed handshake means, and a sentence.

    :param error: EPROTO with OpenSSL's words, ETIMEDOUT, or another where the connection broke or ended.
    """
    words = str(error.strerror)
    if error.errno == errno.ETIMEDOUT:
        return TIMEOUT, "it did not finish the handshake in time"
    if error.errno != errno.EPROTO:
        return CLOSED, f"it ended the connection during the handshake ({words})"
    if "alert" in words and "protocol version" not in words:
        return REFUSED, f"it refused the handshake ({words})"
    return PROTOCOL, f"the handshake failed ({words})"


def _names(certificate: x509.Certificate) -> str:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return printable(", ".join(names[:_SHOWN_NAMES]) + more)


def shown_name(name: x509.Name) -> str:
    """Return the common name, or all of a name that has none, for a log line."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return printable(str(found[0].value) if found else name.rfc4514_string())


def printable(text: str) -> str:
    """Return what a peer wrote as one line of bounded length."""
    text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return text if len(text) <= 200 else text[:200] + "..."
