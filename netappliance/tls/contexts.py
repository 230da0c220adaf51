"""OpenSSL's contexts for connections that end here: versions, ciphers, certificates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from OpenSSL import SSL
from OpenSSL._util import lib

from netappliance.tls.keys import GROUPS, TlsKeys

#: https://wiki.mozilla.org/Security/Server_Side_TLS, intermediate, without those of finite fields
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
#: OpenSSL's SSL_OP_PRIORITIZE_CHACHA, which pyOpenSSL does not name: a client whose favourite is ChaCha20 has no
#: instructions for AES, and gets its wish
_PRIORITIZE_CHACHA = 1 << 21
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE | _PRIORITIZE_CHACHA


def server_context(keys: TlsKeys) -> SSL.Context:
    """
    Make a context without a certificate.

    :raises ValueError: OpenSSL refuses a setting, or ``client_ca`` cannot be used; says why.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    minimum = "1.3" if keys.tls_profile == "modern" else keys.min_tls
    context.set_min_proto_version(_VERSIONS[minimum])
    context.set_options(_OPTIONS)
    # idle connections hold no buffers for records
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(CIPHERS.encode())
    # sessions are kept by clients, in tickets
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"netappliance")
    set_groups(context, keys.groups)
    if keys.alpn:
        context.set_alpn_select_callback(_alpn_choice(keys.protocols))
    if keys.client_ca:
        _ask_for_certificates(context, keys)
    return context


def set_groups(context: SSL.Context, groups: Iterable[str]) -> None:
    """
    Set the groups of the key exchange, by the names of :data:`netappliance.tls.keys.GROUPS`.

    :raises ValueError: this OpenSSL has none of them.
    """
    known = [GROUPS[group] for group in groups]
    while known:
        if lib.SSL_CTX_set1_curves_list(context._context, ":".join(known).encode()) == 1:  # noqa: SLF001 - no other way
            return
        lib.ERR_clear_error()
        unknown = [group for group in known if not _has_group(group)]
        known = [group for group in known if group not in unknown]
        if not unknown:
            break
    raise ValueError("the OpenSSL here has none of these groups")


def _has_group(group: str) -> bool:
    trial = SSL.Context(SSL.TLS_SERVER_METHOD)
    known: bool = lib.SSL_CTX_set1_curves_list(trial._context, group.encode()) == 1  # noqa: SLF001 - no other way
    lib.ERR_clear_error()
    return known


def _alpn_choice(ours: Sequence[bytes]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    def choose(_: SSL.Connection, theirs: list[bytes]) -> Any:
        return next((protocol for protocol in ours if protocol in theirs), SSL.NO_OVERLAPPING_PROTOCOLS)

    return choose


def _ask_for_certificates(context: SSL.Context, keys: TlsKeys) -> None:
    try:
        context.load_verify_locations(keys.client_ca)
        context.load_client_ca(os.fsencode(keys.client_ca))
    except SSL.Error:
        raise ValueError(f"no certificates (PEM) can be read from {keys.client_ca}") from None
    mode = SSL.VERIFY_PEER
    if keys.client_certificate == "required":
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode)
