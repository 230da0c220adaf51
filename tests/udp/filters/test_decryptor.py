"""Encrypted destinations."""

from __future__ import annotations

import base64
import ipaddress
import struct
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
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

    def test_ipv6_backends(self) -> None:
        """18 octets; by address and port."""
        home = ("2001:db8::5", 7777)
        target = Backend(BackendSection("six", *home), 10, (*home, 0, 0), "six")
        plain = ipaddress.ip_address(home[0]).packed + struct.pack(">H", home[1])
        for answer, port in ((None, 7777), (Drop.NO_MATCH, 7776)):
            plain = plain[:16] + struct.pack(">H", port)
            given_ = datagram(d=ChaCha20Poly1305(KEY).encrypt(self.NONCE, plain, None), n=self.NONCE)
            given_.backends = (*BACKENDS, target)
            self.assertEqual(self.build("chacha20_poly1305").read(given_), answer)
            self.assertEqual(given_.destinations, None if answer else (target,))

    def test_plaintexts_that_are_no_address(self) -> None:
        """Neither 6 nor 18 octets."""
        for length in (0, 5, 7, 17, 19):
            for cipher, data in (
                ("chacha20", bytes(length)),
                ("chacha20_poly1305", ChaCha20Poly1305(KEY).encrypt(self.NONCE, bytes(length), None)),
            ):
                found = self.build(cipher).read(datagram(d=data, n=self.NONCE))
                self.assertEqual(found, Drop.BAD_PAYLOAD, (cipher, length))

    def test_the_nonce_has_12_octets(self) -> None:
        """And both values are bytes."""
        data = ChaCha20Poly1305(KEY).encrypt(self.NONCE, self.PLAIN, None)
        for metadata in (
            *({"d": data, "n": bytes(11)}, {"d": data, "n": bytes(13)}, {"d": data, "n": "x" * 12}),
            *({"d": data.hex(), "n": self.NONCE}, {"n": self.NONCE}, {"d": data}),
        ):
            given_ = datagram()
            given_.metadata = metadata
            self.assertEqual(self.build("chacha20_poly1305").read(given_), Drop.NO_TOKEN)

    def test_keys_have_32_octets(self) -> None:
        """In base64."""
        for length in (31, 33):
            key = base64.b64encode(bytes(length)).decode()
            self.assertIn(
                "base64 of 32 bytes", str(self.assertRaises(ValueError, build, f"kind = decryptor\nkey = {key}"))
            )
