"""Compression, and bombs."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from netappliance.udp.filters.compress import compress, decompress, read_varint, write_varint
from tests.udp.filters.support import build, datagram


class CompressTests(SynchronousTestCase):
    """Both formats."""

    @settings(deadline=None, max_examples=60)
    @given(st.sampled_from(["snappy", "lz4"]), st.binary(max_size=3000))
    def test_compression_round_trips(self, mode: str, payload: bytes) -> None:
        """Both formats."""
        self.assertEqual(decompress(mode, compress(mode, payload)), payload)

    def test_a_bomb_is_dropped_before_it_is_unpacked(self) -> None:
        """A preamble that announces more than a datagram, in both formats; and sizes that are not what comes."""
        for mode, size in (("snappy", 1 << 31), ("lz4", 65508)):
            filter_ = build(f"kind = compress\nmode = {mode}\non_read = decompress")
            self.assertEqual(filter_.read(datagram(write_varint(size) + b"\0" * 50)), Drop.BAD_PAYLOAD)
        filter_ = build("kind = compress\nmode = lz4\non_read = decompress")
        lying = write_varint(60000) + compress("lz4", b"abc")[1:]
        self.assertEqual(filter_.read(datagram(lying)), Drop.BAD_PAYLOAD)
        self.assertEqual(read_varint(write_varint(65507), 3), (65507, 3))

    def test_numbers_of_variable_length(self) -> None:
        """Seven bits an octet, the lowest first; what is cut or too long is refused."""
        for number, data in (
            (0, b"\0"),
            (1, b"\x01"),
            (127, b"\x7f"),
            (128, b"\x80\x01"),
            (300, b"\xac\x02"),
            (16383, b"\xff\x7f"),
            (16384, b"\x80\x80\x01"),
            (65507, b"\xe3\xff\x03"),
        ):
            self.assertEqual(write_varint(number), data)
            self.assertEqual(read_varint(data + b"rest", 3), (number, len(data)))
        self.assertEqual(read_varint(b"\x81\x01", 2), (129, 2))
        self.assertEqual(str(self.assertRaises(ValueError, read_varint, b"\x80\x80\x01", 2)), "too long")
        for data in (b"", b"\x80", b"\x80\x80"):
            self.assertEqual(str(self.assertRaises(ValueError, read_varint, data, 3)), "cut")

    def test_known_blocks(self) -> None:
        """The wire formats, as other programs write them."""
        for mode, block in (("snappy", b"\x05\x10hello"), ("lz4", b"\x05\x50hello")):
            self.assertEqual(decompress(mode, block), b"hello")
            self.assertEqual(compress(mode, b"hello"), block)

    def test_announcements_that_are_longer_than_they_must_be(self) -> None:
        """Five octets in snappy, as its own library takes; three in LZ4, which hold more than a datagram has."""
        self.assertEqual(decompress("snappy", b"\x85\x80\x80\x80\0\x10hello"), b"hello")
        self.assertEqual(decompress("lz4", b"\x85\x80\0\x50hello"), b"hello")
        for mode, announced in (("snappy", b"\x85\x80\x80\x80\x80\0"), ("lz4", b"\x85\x80\x80\0")):
            refused = self.assertRaises(ValueError, decompress, mode, announced + b"\x50hello")
            self.assertEqual(str(refused), "too long")

    def test_sizes_up_to_a_datagram_are_believed(self) -> None:
        """65 507 octets; one more is refused for its announcement, whatever the block holds."""
        for mode in ("snappy", "lz4"):
            self.assertEqual(len(decompress(mode, compress(mode, b"x" * 65507))), 65507)
            full = datagram(compress(mode, b"x" * 65507))
            self.assertIsNone(build(f"kind = compress\nmode = {mode}\non_read = decompress").read(full))
            self.assertEqual(len(full.payload), 65507)
            error = self.assertRaises(ValueError, decompress, mode, compress(mode, b"x" * 65508))
            self.assertEqual(str(error), "too large")
        short = self.assertRaises(ValueError, decompress, "lz4", write_varint(9) + compress("lz4", b"abc")[1:])
        self.assertEqual(str(short), "another size than announced")

    def test_both_sides_and_what_they_count(self) -> None:
        """Octets that came out, by the direction of the codec."""
        filter_ = build("kind = compress\nmode = lz4\non_read = compress\non_write = decompress")
        first = datagram(b"a" * 1000)
        self.assertIsNone(filter_.read(first))
        self.assertEqual(decompress("lz4", first.payload), b"a" * 1000)
        size = len(first.payload)
        second = datagram(first.payload)
        self.assertIsNone(filter_.write(second))
        self.assertEqual(second.payload, b"a" * 1000)
        filter_.read(datagram(b"a" * 1000))
        self.assertEqual(filter_.figures(), {"compressed_bytes": 2 * size, "decompressed_bytes": 1000})
        self.assertEqual(filter_.write(datagram(b"\xff")), Drop.BAD_PAYLOAD)
        idle = build("kind = compress")
        self.assertEqual((idle.read(first), idle.write(first), len(first.payload)), (None, None, size))
        self.assertEqual(idle.figures(), {"compressed_bytes": 0, "decompressed_bytes": 0})

    def test_what_compressing_makes_larger_than_a_datagram_is_dropped(self) -> None:
        """Noise does not shrink."""
        noise = random.Random(5).randbytes(65507)
        for mode in ("snappy", "lz4"):
            filter_ = build(f"kind = compress\nmode = {mode}\non_read = compress")
            self.assertEqual(filter_.read(datagram(noise)), Drop.TOO_LARGE)
