"""Encrypted destinations."""

from __future__ import annotations

import base64
import struct
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from tests.udp.filters.support import BACKENDS, build, datagram

KEY = bytes(range(32))


class DecryptorTests(SynchronousTestCase):
    """Encrypted destinations."""

    NONCE = bytes(12)
    PLAIN = bytes([10, 0, 0, 2]) + struct.pack(">H", 7)

    def build(self, cipher: str) -> Any:
        """With the key above."""
        key = base64.b64encode(KEY).decode()
        return build(f"kind = decryptor\nkey = {key}\ncipher = {cipher}\ndata_key = d\nnonce_key = n")

    def test_both_ciphers_find_the_backend(self) -> None:
        """Quilkin's stream cipher, and the AEAD."""
        stream = Cipher(ChaCha20(KEY, bytes(4) + self.NONCE), mode=None).encryptor().update(self.PLAIN)
        for cipher, data in (
            ("chacha20", stream),
            ("chacha20_poly1305", ChaCha20Poly1305(KEY).encrypt(self.NONCE, self.PLAIN, None)),
        ):
            given_ = datagram(d=data, n=self.NONCE)
            self.assertIsNone(self.build(cipher).read(given_))
            self.assertEqual(given_.destinations, (BACKENDS[1],))

    def test_a_changed_ciphertext_is_noticed_or_leads_to_no_stranger(self) -> None:
        """The AEAD refuses it; with the stream cipher it still reaches no address but a backend's."""
        data = bytearray(ChaCha20Poly1305(KEY).encrypt(self.NONCE, self.PLAIN, None))
        data[0] ^= 1
        self.assertEqual(self.build("chacha20_poly1305").read(datagram(d=bytes(data), n=self.NONCE)), Drop.BAD_PAYLOAD)
        stream = bytearray(Cipher(ChaCha20(KEY, bytes(4) + self.NONCE), mode=None).encryptor().update(self.PLAIN))
        stream[0] ^= 1
        self.assertEqual(self.build("chacha20").read(datagram(d=bytes(stream), n=self.NONCE)), Drop.NO_MATCH)

    def test_wrong_lengths_and_types_are_dropped(self) -> None:
        """Nothing raises."""
        for metadata in ({}, {"d": b"", "n": b""}, {"d": b"x" * 6, "n": b"x" * 11}, {"d": 1, "n": 2}):
            given_ = datagram()
            given_.metadata = metadata
            self.assertEqual(self.build("chacha20_poly1305").read(given_), Drop.NO_TOKEN)
        self.assertRaises(ValueError, build, "kind = decryptor\nkey = YWJj")
