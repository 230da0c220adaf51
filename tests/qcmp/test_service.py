"""The ping: answers and their rate."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import values
from netappliance.qcmp.packet import Ping, Reply
from netappliance.qcmp.section import QcmpSection
from netappliance.qcmp.service import QcmpService


class ServiceTests(SynchronousTestCase):
    """Answers without sockets."""

    def setUp(self) -> None:
        section = QcmpSection(name="p", listen=values.datagram_endpoints("udp:0"), max_packets=2.0)
        ticks = iter(range(1000, 2000))
        poller: Any = None  # nothing is received here
        self.service = QcmpService(section, poller, lambda: next(ticks))

    def test_a_ping_is_answered_with_the_servers_times(self) -> None:
        """Received, then sent."""
        self.assertEqual(self.service.answer(Ping(7, 5).encode(), "192.0.2.1", 0.0), Reply(7, 5, 1000, 1001).encode())

    def test_the_rate_of_a_client_is_limited_and_others_are_not_concerned(self) -> None:
        """A spoofed flood is no amplifier."""
        answers = [self.service.answer(Ping(1, 1).encode(), "192.0.2.1", 0.0) for _ in range(5)]
        self.assertEqual(sum(answer is not None for answer in answers), 2)
        self.assertIsNotNone(self.service.answer(Ping(1, 1).encode(), "192.0.2.2", 0.0))
        self.assertEqual((self.service.packets["limited"], self.service.packets["valid"]), (3, 3))

    def test_replies_and_noise_are_counted_and_not_answered(self) -> None:
        """Two services must not talk to each other for ever."""
        self.assertIsNone(self.service.answer(Reply(1, 2, 3, 4).encode(), "192.0.2.1", 0.0))
        self.assertIsNone(self.service.answer(b"hello", "192.0.2.1", 0.0))
        self.assertEqual((self.service.packets["unsupported"], self.service.packets["invalid"]), (1, 1))
        self.assertEqual(self.service.errors, {"no_magic": 1})
