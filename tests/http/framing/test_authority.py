"""What is remembered of the hosts that peers name."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.authority import Authorities


class AuthoritiesTests(SynchronousTestCase):
    """Values and their verdicts; which values are hosts is tested with requests."""

    def test_a_value_is_judged_once(self) -> None:
        """Good or bad, the second answer is the first one."""
        known = Authorities()
        for value in (b"a.example:80", b"a b"):
            self.assertIs(known[value], known[value])
        self.assertEqual(dict(known), {b"a.example:80": (b"a.example", 80), b"a b": None})

    def test_the_memory_is_bounded(self) -> None:
        """4096 values of at most 300 octets, then it begins anew."""
        known = Authorities()
        for length, kept in ((300, 1), (301, 1)):
            self.assertIsNone(known[b"a" * length])
            self.assertEqual(len(known), kept)
        for number in range(4095):
            self.assertEqual(known[b"%d" % number], (b"%d" % number, 0))
        self.assertEqual(len(known), 4096)
        self.assertEqual(known[b"one.more"], (b"one.more", 0))
        self.assertEqual(list(known), [b"one.more"])
