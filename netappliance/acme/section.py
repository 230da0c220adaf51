"""The ``[acme]`` section."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netappliance.acme.names import certificate_names
from netappliance.config import values
from netappliance.config.schema import option


def _directory(text: str) -> str:
    if not re.fullmatch(r"https://[^\s/?#@]+(/[^\s#]*)?", text):
        raise ValueError("a URL that begins with https://")
    return text


def _base64url(text: str) -> str:
    # RFC 8555 section 7.3.4; not repeated in the error, for it is a secret
    if not re.fullmatch(r"([A-Za-z0-9_-]{22,}={0,2})?", text) or len(text.rstrip("=")) % 4 == 1:
        raise ValueError("the key in base64url, as the authority gave it, or nothing")
    return text


def _profile(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", text):
        raise ValueError("the name of a profile of the authority, or nothing")
    return text


def _email(text: str) -> str:
    if text and not re.fullmatch(r"[^\s@,:]+@[^\s@,:]+", text):
        raise ValueError("one address such as hostmaster@example.org, or nothing")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeSection:
    """
    Certificates that are ordered and renewed by themselves, from an authority that speaks ACME (RFC 8555). Off unless
    the section is there; who writes it agrees to the authority's terms of service.
    """

    directory: str = option(
        _directory,
        "https://acme-v02.api.letsencrypt.org/directory",
        unit="URL",
        doc="The authority's directory. Each has an account of its own in the store.",
    )
    ca: str = option(
        values.text,
        unit="path",
        doc="PEM bundle that the directory's own certificate is checked with; empty = the system's.",
    )
    email: str = option(_email, unit="address", doc="Where the authority may write to; empty = none.")
    eab_key_id: str = option(
        values.text,
        unit="text",
        doc="External account binding, for authorities that want one: the identifier that they gave you.",
    )
    eab_secret: str = option(
        _base64url,
        unit="base64url",
        doc="The key (HMAC) that came with it; needed when the account is made.",
        secret=True,
    )
    names: tuple[tuple[str, ...], ...] = option(
        certificate_names,
        required=True,
        unit="names",
        doc="Certificates to keep: one a line, its names separated by spaces. The first one names its file.",
        example="example.org www.example.org",
    )
    profile: str = option(
        _profile,
        unit="name",
        doc="Which of the authority's kinds of certificates, such as Let's Encrypt's shortlived (six days); empty = "
        "its default.",
    )
    challenge: str = option(
        values.choice("http-01", "tls-alpn-01"),
        "http-01",
        doc="How names are proven: over HTTP on port 80, answered by every [http] section before its routes; or in a "
        "TLS handshake on port 443, answered by every section that ends TLS.",
    )
    key_type: str = option(
        values.choice("ecdsa", "rsa"),
        "ecdsa",
        doc="Keys of certificates: P-256, or RSA of 2048 bits. Each has a new one.",
    )
    store: str = option(
        values.text,
        "var/acme",
        unit="path",
        doc="Directory (mode 0700) of accounts and of NAME.pem, chain and key in one file (mode 0600). What an [https] "
        "section has as certificates.",
    )
    renew_before_s: float = option(
        values.duration,
        "0",
        key="renew_before",
        unit="duration",
        doc="How long before its end a certificate is renewed, at most half of its life, and up to a thirtieth of its "
        "life earlier, by chance. 0 = a third of its life.",
    )
    retry_interval_s: float = option(
        values.positive_duration,
        "10m",
        key="retry_interval",
        unit="duration",
        doc="Time to the next attempt after the first failure, give or take a fifth; doubled after each further one. "
        "Longer where the authority asks for it (Retry-After, at most a week). Kept over restarts.",
    )
    retry_max_s: float = option(
        values.positive_duration, "12h", key="retry_max", unit="duration", doc="The longest that doubling makes of it."
    )
    request_timeout_s: float = option(
        values.positive_duration,
        "30s",
        key="request_timeout",
        unit="duration",
        doc="How long the authority may be silent in one request.",
    )
    order_timeout_s: float = option(
        values.positive_duration,
        "5m",
        key="order_timeout",
        unit="duration",
        doc="Within which it must have validated the names and issued the certificate.",
    )
