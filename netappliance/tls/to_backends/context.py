"""The OpenSSL context of connections to one cluster's backends, and the files that it is made from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from netappliance.tls.contexts import CIPHERS
from netappliance.tls.to_backends.attempt import verified

Read = TypeVar("Read")

#: bytes of one file; the certificates of all public authorities are a quarter of it
MAX_FILE = 1024 * 1024
#: one signature with 8192 bits would hold up all other traffic for 15 ms
MAX_RSA_BITS = 4096
_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_KEY_BEGINS = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """
    What a context is made from.

    :ivar verify: chains of certificates must lead to an authority of ``ca``. :ivar ca: path of a PEM file; empty = the
        system's authorities. :ivar cert, key: paths of PEM files of our own certificate with its chain, and of its key;
        empty = none. :ivar alpn: protocols offered, in the order of preference. :ivar min_tls: 1.2 or 1.3.
    """

    verify: bool
    ca: str
    cert: str
    key: str
    alpn: tuple[str, ...]
    min_tls: str


def client_context(settings: ClientSettings) -> SSL.Context:
    """
    Make the context.

    :raises ValueError: which files cannot be used, and why; all of them at once.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(_VERSIONS[settings.min_tls])
    context.set_cipher_list(CIPHERS.encode())
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # each backend keeps the one session that it is given
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if settings.alpn:
        context.set_alpn_protos([protocol.encode("ascii") for protocol in settings.alpn])
    context.set_verify(SSL.VERIFY_PEER if settings.verify else SSL.VERIFY_NONE, verified)
    wrong: list[str] = []
    if settings.verify and settings.ca:
        _trust(context, settings.ca, wrong)
    elif settings.verify:
        context.set_default_verify_paths()
    if settings.cert:
        _identify(context, settings, wrong)
    if wrong:
        raise ValueError("; ".join(wrong))
    return context


def _trust(context: SSL.Context, path: str, wrong: list[str]) -> None:
    authorities = _usable("ca", path, lambda: _certificates(_read(path)), wrong)
    store = context.get_cert_store()
    if authorities is None or store is None:
        return
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    # whatever the operator names is trusted: an intermediate authority, or a backend's own certificate
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)


def _identify(context: SSL.Context, settings: ClientSettings, wrong: list[str]) -> None:
    chain = _usable("cert", settings.cert, lambda: _certificates(_read(settings.cert)), wrong)
    key = _usable("key", settings.key, lambda: _private_key(_read(settings.key, private=True)), wrong)
    if chain is None or key is None:
        return
    if chain[0].public_key() != key.public_key():
        wrong.append(f"key={settings.key}: not the key of the (first) certificate in {settings.cert}")
        return
    try:
        context.use_certificate(chain[0])
        for certificate in chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(key)
    except (SSL.Error, TypeError):
        wrong.append(f"cert={settings.cert}: OpenSSL refuses the certificate or its key as too weak or unknown")


def _usable(option: str, path: str, read: Callable[[], Read], wrong: list[str]) -> Read | None:
    """Return what was read; else None, having noted what is wrong."""
    try:
        return read()
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = str(error)
    wrong.append(f"{option}={path}: {why}")
    return None


def _read(path: str, *, private: bool = False) -> bytes:
    with Path(path).open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o7777
        if private and mode & 0o077:
            raise ValueError(f"open to others (mode {mode:04o}; expected 0600)")
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"more than {MAX_FILE} bytes")
    return data


def _certificates(data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ValueError("no certificates in PEM") from None


def _private_key(data: bytes) -> Any:
    # what stands before it may be its certificate
    for block in data.split(_KEY_BEGINS)[1:]:
        kind, _, _ = block.partition(b"-----")
        if kind.endswith(b"PRIVATE KEY"):
            try:
                key = load_pem_private_key(_KEY_BEGINS + block, None)
            except TypeError:
                raise ValueError("a private key with a passphrase (expected none)") from None
            except ValueError:
                break
            if isinstance(key, RSAPrivateKey) and key.key_size > MAX_RSA_BITS:
                raise ValueError(f"an RSA key of {key.key_size} bits (expected at most {MAX_RSA_BITS})")
            return key
    raise ValueError("no private key in PEM")
