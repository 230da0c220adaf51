"""Timestamp and debug."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from tests.udp.filters.support import build, datagram, logged


class SimpleTests(SynchronousTestCase):
    """Filters that look."""

    def test_timestamp_measures_ages_and_never_drops(self) -> None:
        """Eight bytes of seconds; the rest is ignored and counted."""
        filter_ = build("kind = timestamp\nmetadata_key = k")
        self.assertIsNone(filter_.read(datagram(k=struct.pack(">q", 998))))
        for value in (b"\0\0\0", "text", 7, [b"x"]):
            self.assertIsNone(filter_.read(datagram(k=value)))
        self.assertEqual((filter_.ages.count, filter_.ages.sum, filter_.ignored), (1, 2.0, 4))

    def test_debug_shows_payloads_harmlessly(self) -> None:
        """Escapes for a terminal stay escapes."""
        logged.clear()
        build("kind = debug\nid = here").read(datagram(b"\x1b[31m\n"))
        self.assertEqual(logged, ["here read ('192.0.2.1', 5000) 6 bytes: b'\\x1b[31m\\n'"])

    def test_ages_are_signed_and_both_ways(self) -> None:
        """A sender whose clock is ahead is younger than now."""
        filter_ = build("kind = timestamp\nmetadata_key = k")
        self.assertIsNone(filter_.write(datagram(k=struct.pack(">q", 1003))))
        self.assertIsNone(filter_.read(datagram(k=struct.pack(">q", -1))))
        self.assertEqual((filter_.ages.count, filter_.ages.sum), (2, 998.0))
        self.assertIsNone(filter_.read(datagram(k=b"\0" * 9)))
        self.assertEqual((filter_.ages.count, filter_.figures()), (2, {"ignored": 1}))
        bounds = [bound for bound, _ in filter_.ages.cumulative()]
        self.assertEqual(" ".join(bounds), "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 +Inf")

    def test_debug_shows_as_much_as_it_is_told_to(self) -> None:
        """The whole size, the first octets; the section's name unless it has an id."""
        logged.clear()
        filter_ = build("kind = debug\nmax_bytes = 2")
        self.assertIsNone(filter_.read(datagram(b"abc")))
        self.assertIsNone(filter_.write(datagram(b"")))
        self.assertEqual(
            logged,
            ["x read ('192.0.2.1', 5000) 3 bytes: b'ab'", "x write ('192.0.2.1', 5000) 0 bytes: b''"],
        )

    def test_drop_drops_and_pass_passes(self) -> None:
        """Both ways."""
        drop, pass_ = build("kind = drop"), build("kind = pass")
        self.assertEqual((drop.read(datagram()), drop.write(datagram())), (Drop.FILTERED, Drop.FILTERED))
        self.assertEqual((pass_.read(datagram()), pass_.write(datagram()), pass_.figures()), (None, None, {}))
