"""
The destination, encrypted by whoever hands out the servers.

``chacha20`` is Quilkin's format: a stream cipher without authentication, so a client who knows one plaintext can flip
bits and aim at another address. ``chacha20_poly1305`` is an AEAD (RFC 8439): what was not made with the key is dropped.
Use that one. In both modes only an address of the cluster's own backends is ever sent to.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from mypy_extensions import mypyc_attr

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.sessions.session import Address
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.metadata import metadata_key


def key_bytes(text: str) -> bytes:
    """32 bytes in base64."""
    key = values.base64_bytes(text)
    if len(key) != 32:
        raise ValueError("base64 of 32 bytes")
    return key


@mypyc_attr(native_class=False)
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


class Decryptor(DatagramFilter):
    """The plaintext is an IPv4 or IPv6 address and a port, big-endian."""

    def __init__(self, section: DecryptorSection) -> None:
        self._section = section
        self._aead = ChaCha20Poly1305(section.key)

    def read(self, datagram: Datagram) -> Drop | None:
        """Decrypt, find the backend, choose it."""
        data = datagram.metadata.get(self._section.data_key)
        nonce = datagram.metadata.get(self._section.nonce_key)
        if not isinstance(data, bytes) or not isinstance(nonce, bytes) or len(nonce) != 12:
            return Drop.NO_TOKEN
        address = self._decrypt(data, nonce)
        if address is None:
            return Drop.BAD_PAYLOAD
        for backend in datagram.backends:
            if backend.sockaddr[:2] == address:
                datagram.destinations = (backend,)
                return None
        return Drop.NO_MATCH

    def _decrypt(self, data: bytes, nonce: bytes) -> Address | None:
        if self._section.cipher == "chacha20":
            # the cipher's own nonce is a 32-bit block counter, from 0, and the 96-bit nonce
            cipher = Cipher(ChaCha20(self._section.key, bytes(4) + nonce), mode=None).decryptor()
            plain = cipher.update(data)
        else:
            try:
                plain = self._aead.decrypt(nonce, data, None)
            except InvalidTag:
                return None
        if len(plain) not in (6, 18):
            return None
        return str(ipaddress.ip_address(plain[:-2])), int.from_bytes(plain[-2:], "big")


def make(section: DecryptorSection, resources: Resources) -> Decryptor:
    """Build it."""
    return Decryptor(section)
