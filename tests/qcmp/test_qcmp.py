"""The ping: wire format, rate, real round trip."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import values
from netappliance.qcmp.packet import Ping, QcmpError, Refusal, Reply, decode
from netappliance.qcmp.section import QcmpSection
from netappliance.qcmp.service import QcmpService
from tests.integration.support import ProxyTestCase, free_ports

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
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


class CommandTests(ProxyTestCase):
    """A real service and the command."""

    def test_the_command_measures_a_service_of_ours(self) -> None:
        """Three answers; and none from a port where nobody listens."""

        port, nobody = free_ports(2)
        proxy = self.proxy(f"[qcmp p]\nlisten = udp:{port}\n")
        command = [sys.executable, "-m", "netappliance", "qcmp-ping", "-a", "3", "-t", "2"]
        done = subprocess.run(
            [*command, f"127.0.0.1:{port}"], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        self.assertEqual((done.returncode, done.stdout.count(" ms\n")), (0, 4), done.stderr)
        self.assertEqual(proxy.metric("qcmp_packets_total", kind="valid"), 3)
        done = subprocess.run(
            [*command, f"127.0.0.1:{nobody}"], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        self.assertEqual((done.returncode, done.stdout.count("no answer")), (1, 3))
