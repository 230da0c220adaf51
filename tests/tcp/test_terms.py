"""What sessions of a [tcp] section send their backends first."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.cluster import Cluster
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.dataplane.plane import DataPlane
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.proxy_protocol import HeaderReader, encode_v1, encode_v2
from netappliance.sessions.admission import Admission
from netappliance.sessions.table import ListenerTotals, SessionTable
from netappliance.tcp.terms import TcpTerms

CLIENT, LOCAL = ("192.0.2.7", 4711), ("198.51.100.1", 443)


def terms(keys: str) -> TcpTerms:
    """Return those of a section with these keys."""
    text = f"[cluster c]\nbackends = 127.0.0.1:1\nretries = 7\n[tcp t]\nlisten = tcp:1\ncluster = c\n{keys}\n"
    configuration = load(text, "t.ini", section_kinds())
    [section], [cluster] = configuration.sections("tcp"), configuration.sections("cluster")
    reactor: Any = Clock()
    plane = DataPlane(Poller(reactor, reactor.seconds), TimerWheel(0.0), SessionTable(reactor.seconds), Admission(1))
    return TcpTerms(section, Cluster(cluster, random.Random(0)), plane, ListenerTotals())


class TermsTests(SynchronousTestCase):
    """By ``proxy_protocol``."""

    def test_each_mode_sends_and_expects_its_header(self) -> None:
        """A relayed one goes on as it came."""
        came = encode_v2(("2001:db8::7", 1), ("2001:db8::1", 2))
        reader = HeaderReader()
        reader.feed(came)
        for mode, expects, first in (
            ("none", False, b""),
            ("expect", True, b""),
            ("relay", True, came),
            ("send_v1", False, encode_v1(CLIENT, LOCAL)),
            ("send_v2", False, encode_v2(CLIENT, LOCAL)),
        ):
            made = terms(f"proxy_protocol = {mode}")
            self.assertEqual(made.expects_header, expects, mode)
            self.assertEqual(made.first_bytes(CLIENT, LOCAL, reader.header), first, mode)

    def test_timeouts_and_attempts_are_those_of_section_and_cluster(self) -> None:
        """Seconds."""
        made = terms("idle_timeout = 9s\nproxy_protocol_timeout = 2s")
        self.assertEqual((made.idle_timeout_s, made.header_timeout_s), (9.0, 2.0))
        self.assertEqual((made.connect_timeout_s, made.retries, made.name), (3.0, 7, "t"))
