"""The listener when the host runs out of something."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from socket import SocketType
from tempfile import mkdtemp
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import values
from netappliance.dataplane.listener import ListenOptions, StreamListener
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.errors import StartError
from netappliance.sessions.admission import Admission
from netappliance.sessions.session import Address
from netappliance.sessions.table import ListenerTotals
from tests.dataplane.test_relay import FakeReactor


class FakeSocket:
    """A listening socket whose accepts follow a script of errors and connections; these are the kernel's."""

    family, type, proto = socket.AF_INET, socket.SOCK_STREAM, 0

    def __init__(self, script: list[int | None]) -> None:
        self.script = script
        self.accepts = 0

    def _accept(self) -> tuple[int, Any]:
        self.accepts += 1
        if not self.script:
            raise BlockingIOError
        code = self.script.pop(0)
        if code is not None:
            raise OSError(code, os.strerror(code))
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours.detach(), ("192.0.2.1", self.accepts)

    def fileno(self) -> int:
        """None of the kernel's."""
        return -1


class ListenerTests(SynchronousTestCase):
    """Errors of accept(2)."""

    def setUp(self) -> None:
        reactor: Any = FakeReactor()
        self.reactor = reactor
        self.poller = Poller(self.reactor, self.reactor.seconds)
        self.timers = TimerWheel(0.0)
        self.started: list[tuple[SocketType, Address]] = []
        self.totals = ListenerTotals()

    def make(self, script: list[int | None], limit: int = 100, queue: int = 10) -> StreamListener:
        """A listener with a scripted socket."""
        made = StreamListener(
            "[tcp a]",
            values.stream_endpoint("tcp:0"),
            ListenOptions(queue_limit=queue, queue_timeout_s=5.0),
            poller=self.poller,
            timers=self.timers,
            admission=Admission(limit),
            totals=self.totals,
            start_session=lambda sock, client, local: self.started.append((sock, client)),
        )
        made._sock = FakeSocket(script)  # type: ignore[assignment]
        made._accepting = True
        self.addCleanup(self.give_back)
        return made

    def give_back(self) -> None:
        """Close what is open."""
        for connection, _ in self.started:
            connection.close()
        self.started.clear()

    def at(self, now: float) -> None:
        """Let time pass."""
        self.reactor.advance(now - self.reactor.seconds())
        self.timers.advance(self.poller.tick())
        self.reactor.advance(0)

    def test_out_of_descriptors_pauses_and_goes_on(self) -> None:
        """No busy loop while paused, and the waiting connection is served afterwards."""
        for code in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            listener = self.make([None, code, None])
            listener.on_ready(1)
            sock: Any = listener._sock
            accepts = sock.accepts
            listener.on_ready(1)
            listener.on_ready(1)
            self.assertEqual((listener.paused, sock.accepts, len(self.started)), (True, accepts, 1))
            self.at(self.reactor.seconds() + 0.3)
            self.assertEqual((listener.paused, len(self.started)), (False, 2))
            self.give_back()

    def test_a_connection_that_went_away_is_skipped(self) -> None:
        """ECONNABORTED belongs to one client only."""
        listener = self.make([errno.ECONNABORTED, errno.EPROTO, None])
        listener.on_ready(1)
        self.assertEqual((listener.paused, len(self.started)), (False, 1))

    def test_the_budget_leaves_the_rest_for_the_next_turn(self) -> None:
        """A flood of connections does not starve the sessions that are there."""
        listener = self.make([None] * (StreamListener.BUDGET + 5))
        listener.on_ready(1)
        self.assertEqual(len(self.started), StreamListener.BUDGET)
        self.reactor.step()
        self.assertEqual(len(self.started), StreamListener.BUDGET + 5)

    def test_waiting_connections_age_out_without_further_events(self) -> None:
        """The timer wheel does it."""
        listener = self.make([None] * 3, limit=1)
        listener.on_ready(1)
        self.assertEqual(len(listener.queue), 2)
        self.at(5.5)
        self.assertEqual((len(listener.queue), self.totals.rejected), (0, {"queue_timeout": 2}))

    def test_a_busy_address_is_named(self) -> None:
        """StartError says section, endpoint and why."""
        path = Path(mkdtemp()) / "taken"
        path.write_text("no socket")
        listener = self.make([])
        listener.endpoint = values.stream_endpoint(f"unix:{path}")
        error = self.assertRaises(StartError, listener.open)
        self.assertEqual(str(error), f"[tcp a] listen: cannot listen on unix:{path}: File exists")
