"""The section of the filter decryptor."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.udp.filters.metadata import metadata_key


def key_bytes(text: str) -> bytes:
    """32 bytes in base64."""
    key = values.base64_bytes(text)
    if len(key) != 32:
        raise ValueError("base64 of 32 bytes")
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptorSection:
    """Chooses the backend whose address was captured in encrypted form; anything else is dropped."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="decryptor", example="decryptor")
    key: bytes = option(
        key_bytes, required=True, unit="base64", doc="32 bytes.", example="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    )
    cipher: str = option(
        values.choice("chacha20_poly1305", "chacha20"),
        "chacha20_poly1305",
        doc="chacha20 (Quilkin's) does not notice a changed ciphertext; chacha20_poly1305 does.",
    )
    data_key: str = option(
        metadata_key, "quilkin.dev/capture", unit="name", doc="Metadata key of the encrypted address (6 or 18 bytes)."
    )
    nonce_key: str = option(metadata_key, "quilkin.dev/nonce", unit="name", doc="Metadata key of the nonce (12 bytes).")
