"""The keys that every section which ends TLS has: ``[https NAME]`` and ``[tcp NAME]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option

#: key exchange groups by the names that operators know, in OpenSSL's words
GROUPS = {
    "X25519MLKEM768": "X25519MLKEM768",
    "SecP256r1MLKEM768": "SecP256r1MLKEM768",
    "X25519": "X25519",
    "P-256": "prime256v1",
    "P-384": "secp384r1",
    "P-521": "secp521r1",
}


def _protocol(text: str) -> bytes:
    if not re.fullmatch(r"[\x21-\x2b\x2d-\x7e]{1,255}", text):
        raise ValueError("a protocol's name such as http/1.1 (RFC 7301)")
    return text.encode()


def _file_name(text: str) -> str:
    if "/" in text or "\n" in text or (text and not text.endswith(".pem")):
        raise ValueError("the name of a .pem file of the directory, or nothing")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsKeys:
    """How TLS is ended."""

    certificates: str = option(
        values.text,
        "var/tls",
        unit="directory",
        doc="TLS: holds NAME.pem files of mode 0600, each with a certificate, its chain and its key; chosen by the "
        "name that the client asks for. Files that change are taken up at once; docs/operations.md has the rules.",
    )
    default_certificate: str = option(
        _file_name,
        unit="file",
        doc="TLS: what clients get that ask for no name, or for one that no certificate has; empty = the first file "
        "in the order of names.",
        example="www.pem",
    )
    alpn: tuple[bytes, ...] = option(
        values.list_of(_protocol),
        "http/1.1",
        unit="protocols",
        doc="TLS: application protocols that are served, the favourite first (ALPN); http/1.1 stands for http/1.0 "
        "too. A client that offers others only is refused by [https]; [tcp] goes on without one. Empty = the extension "
        "is ignored.",
    )
    min_tls: str = option(values.choice("1.2", "1.3"), "1.2", doc="TLS: the oldest version that is spoken.")
    tls_profile: str = option(
        values.choice("intermediate", "modern"),
        "intermediate",
        doc="TLS: Mozilla's recommendation for ciphers; modern = TLS 1.3 only.",
    )
    groups: tuple[str, ...] = option(
        values.list_of(values.choice(*GROUPS)),
        "X25519MLKEM768, X25519, P-256, P-384",
        unit="groups",
        doc="TLS: groups of the key exchange, the favourite first. Those that the OpenSSL here does not have are left "
        "out.",
    )
    client_ca: str = option(
        values.text,
        unit="file",
        doc="TLS: certificates (PEM) of the authorities that clients' certificates are checked with; empty = clients "
        "are asked for none.",
    )
    client_certificate: str = option(
        values.choice("required", "optional"),
        "required",
        doc="TLS: whether a client without a certificate is refused, where there is a client_ca.",
    )
    handshake_timeout_s: float = option(
        values.positive_duration,
        "10s",
        key="handshake_timeout",
        unit="duration",
        doc="TLS: how long the handshake may take (or, with sni, the ClientHello), from accept or from the end of the "
        "PROXY header.",
    )
    ticket_lifetime_s: float = option(
        values.positive_duration,
        "12h",
        key="ticket_lifetime",
        unit="duration",
        doc="TLS: how long the key of session tickets is used; then a new one is made, and sessions of the old one are "
        "resumed no more.",
    )
    ja4: bool = option(
        values.boolean, "no", doc="TLS: note the client's fingerprint (JA4) in the access log, and for filters."
    )

    @property
    def protocols(self) -> tuple[bytes, ...]:
        """All that clients may choose, the favourite first."""
        elder = (b"http/1.0",) if b"http/1.1" in self.alpn and b"http/1.0" not in self.alpn else ()
        return self.alpn + elder
