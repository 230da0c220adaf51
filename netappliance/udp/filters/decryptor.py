"""
The destination, encrypted by whoever hands out the servers.

``chacha20`` is Quilkin's format: a stream cipher without authentication, so a client who knows one plaintext can flip
bits and aim at another address. ``chacha20_poly1305`` is an AEAD (RFC 8439): what was not made with the key is dropped.
Use that one. In both modes only an address of the cluster's own backends is ever sent to.
"""

from __future__ import annotations

import ipaddress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from netappliance.sessions.session import Address
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.decryptor import DecryptorSection


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
