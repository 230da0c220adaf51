"""A certificate with its chain and its private key. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey
Kind = Literal["ecdsa", "rsa"]


@dataclass(frozen=True, slots=True)
class Staple:
    """
    An OCSP response for a certificate (RFC 6960).

    :ivar response: in DER. :ivar next_update: when it runs out, in seconds since 1970.
    """

    response: bytes
    next_update: float


@dataclass(frozen=True, slots=True, eq=False)
class Credential:
    """
    What one file of the directory holds. Two are the same only if they are one object: a context made for one is kept
    as long as it is.

    :ivar file: name in the directory, with .pem. :ivar certificate: the leaf. :ivar chain: from the leaf's issuer
        upwards, without the leaf. :ivar kind: of the key. :ivar fingerprint: SHA-256 of the leaf, in hexadecimal.
    :ivar names: DNS names in lower case, without a final dot; a wildcard begins with ``*.`` and stands for one label.
    :ivar addresses: IP addresses in their usual form (RFC 5952). :ivar not_before, not_after: seconds since 1970.
    """

    file: str
    certificate: Certificate
    chain: tuple[Certificate, ...]
    private_key: PrivateKey
    kind: Kind
    fingerprint: str
    names: tuple[bytes, ...]
    addresses: frozenset[bytes]
    not_before: float
    not_after: float
    staple: Staple | None = None

    @property
    def name(self) -> str:
        """The file's name without its extension: how metrics and log lines call it."""
        return self.file.removesuffix(".pem")

    def is_called(self, word: str) -> bool:
        """Say whether that is its file's name, with or without .pem."""
        return word in (self.file, self.name)

    def valid_at(self, now: float) -> bool:
        """Say whether it is within its time. :param now: seconds since 1970."""
        return self.not_before <= now <= self.not_after

    def ocsp_response(self, now: float) -> bytes | None:
        """Return the OCSP response to staple, or None where there is none, or it ran out. :param now: as above."""
        staple = self.staple
        return None if staple is None or now >= staple.next_update else staple.response
