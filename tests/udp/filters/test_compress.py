"""Compression, and bombs."""

from __future__ import annotations

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
