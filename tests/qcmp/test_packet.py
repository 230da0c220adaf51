"""The ping: its wire format."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.qcmp.packet import Ping, QcmpError, Refusal, Reply, decode

times = st.integers(-(2**63), 2**63 - 1)


class PacketTests(SynchronousTestCase):
    """Quilkin's bytes."""

    def test_the_bytes_are_those_of_the_description(self) -> None:
        """17 and 33 of them."""
        ping = bytes.fromhex("514c4b4e 00 00 0009 2a 0000000000000005")
        reply = bytes.fromhex("514c4b4e 00 01 0019 2a 0000000000000005 0000000000000007 0000000000000008")
        self.assertEqual((Ping(42, 5).encode(), Reply(42, 5, 7, 8).encode()), (ping, reply))
        self.assertEqual((decode(ping), decode(reply)), (Ping(42, 5), Reply(42, 5, 7, 8)))
        self.assertEqual(Reply(42, 5, 7, 8).round_trip_ns(20), 14)

    def test_each_refusal_has_its_reason(self) -> None:
        """A closed set."""
        good = Ping(1, 2).encode()
        for data, refusal in (
            (b"", Refusal.NO_MAGIC),
            (b"QLKM" + good[4:], Refusal.NO_MAGIC),
            (good[:6], Refusal.LENGTH),
            (good[:4] + b"\1" + good[5:], Refusal.VERSION),
            (good[:5] + b"\2" + good[6:], Refusal.TYPE),
            (good + b"x", Refusal.LENGTH),
            (good[:-1], Refusal.LENGTH),
            (good[:7] + b"\x0a" + good[8:], Refusal.LENGTH),
        ):
            self.assertEqual(self.assertRaises(QcmpError, decode, data).refusal, refusal, data)

    @settings(deadline=None, max_examples=150)
    @given(st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda tail: b"QLKN" + tail)))
    def test_any_bytes_are_a_packet_or_refused(self, data: bytes) -> None:
        """And a packet encodes to the same bytes."""
        try:
            self.assertEqual(decode(data).encode(), data)
        except QcmpError:
            pass

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, 255), times, times, times)
    def test_packets_round_trip(self, nonce: int, sent: int, received: int, replied: int) -> None:
        """Every value of every field."""
        for packet in (Ping(nonce, sent), Reply(nonce, sent, received, replied)):
            self.assertEqual(decode(packet.encode()), packet)
