"""Probes on a reactor without a network."""

from __future__ import annotations

import socket

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.health.probes import HttpCheck


class ConnectionTests(SynchronousTestCase):
    """The connection of a check."""

    def test_a_check_leaves_no_line_in_the_log(self) -> None:
        """With hundreds of backends there would be nothing else in it."""
        reactor = MemoryReactorClock()
        check = HttpCheck()
        probe = check.probe(socket.AF_INET, ("10.0.0.1", 80), check.configure({"uri": "/"}), reactor, 5.0)
        ((_, _, factory, _, _),) = reactor.tcpClients
        with capturedLogs() as lines:
            factory.doStart()
            factory.doStop()
        self.assertEqual(lines, [])
        probe.cancel()
        self.failureResultOf(probe)
