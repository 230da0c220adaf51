"""
JA4, the fingerprint of a TLS client (FoxIO's technical_details/JA4.md; JA4 itself is under the BSD licence). Sans-I/O.

Two connections of one program have the same fingerprint, whatever they connect to; it says which library and settings
made a ClientHello, and nothing that a client could not imitate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

SERVER_NAME: Final = 0x0000
ALPN: Final = 0x0010

_VERSIONS: Final = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
}
_NOTHING: Final = "000000000000"


def ja4(
    legacy_version: int,
    versions: Iterable[int],
    cipher_suites: Iterable[int],
    extensions: Sequence[int],
    alpn: Sequence[bytes],
    signature_algorithms: Iterable[int],
) -> str:
    """
    Return the fingerprint of a ClientHello that came over TCP, ``t13d1516h2_8daaf6152771_e5627efa2ab1`` for example.

    :param versions: of the supported_versions extension; empty when there was none. :param extensions: their types in
        the order of the hello. :param alpn: protocols in their order.
    """
    offered = _real(versions)
    suites = sorted(_real(cipher_suites))
    kinds = _real(extensions)
    version = _VERSIONS.get(max(offered) if offered else legacy_version, "00")
    destination = "d" if SERVER_NAME in kinds else "i"
    counts = f"{min(len(suites), 99):02d}{min(len(kinds), 99):02d}"
    listed = sorted(kind for kind in kinds if kind not in (SERVER_NAME, ALPN))
    return (
        f"t{version}{destination}{counts}{_ends(alpn[0] if alpn else b'')}"
        f"_{_digest(_hex(suites)) if suites else _NOTHING}"
        f"_{_digest(_with_algorithms(listed, _real(signature_algorithms))) if listed else _NOTHING}"
    )


def is_grease(value: int) -> bool:
    """Say whether a number is one of those that clients add so that servers learn to ignore what they do not know."""
    # RFC 8701 section 2: 0x0A0A, 0x1A1A ... 0xFAFA
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def _real(values: Iterable[int]) -> list[int]:
    return [value for value in values if not is_grease(value)]


def _hex(values: Iterable[int]) -> str:
    return ",".join([f"{value:04x}" for value in values])


def _with_algorithms(extensions: list[int], algorithms: list[int]) -> str:
    return f"{_hex(extensions)}_{_hex(algorithms)}" if algorithms else _hex(extensions)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _ends(protocol: bytes) -> str:
    """Return the first and the last character of a protocol's name, or of its bytes in hex when one is neither."""
    if not protocol:
        return "00"
    ends = protocol[:1] + protocol[-1:]
    text = ends.decode("ascii") if ends.isalnum() else protocol.hex()
    return text[0] + text[-1]
