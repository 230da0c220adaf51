"""Timestamp and debug."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

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
