"""The tracker as a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from netappliance.tracker import sockets
from netappliance.tracker.hosts import Hosts
from netappliance.tracker.source import ConntrackSource
from netappliance.tracker.table import Table

if TYPE_CHECKING:
    from netappliance.appliance import Appliance
    from netappliance.tracker.section import TrackerSection


class TrackerService(Service):
    """Starts without rights too: then ``up`` is 0 and the log says what it cannot see."""

    _log = Logger()

    def __init__(self, section: TrackerSection, appliance: Appliance) -> None:
        self.section = section
        self.table = Table(Hosts((), section.ignore, section.max_hosts, section.keep_s))
        self.source = ConntrackSource(self.table, appliance.reactor, appliance.clock, section.receive_buffer)
        self.up = False
        self._clock = appliance.clock
        self._reconciled = 0.0
        self._tick = LoopingCall(self._each_second)
        self._tick.clock = appliance.reactor

    def startService(self) -> None:
        """Subscribe to events and read the table."""
        super().startService()
        self.table.hosts.local = sockets.local_addresses()
        self._reconciled = self._clock()
        try:
            self.source.start()
        except OSError as problem:
            self.source.stop()
            self._log.warn(
                "[tracker] cannot see the kernel's connections ({why}); it needs CAP_NET_ADMIN and ctnetlink",
                why=problem.strerror,
            )
            return
        self.up = True
        fill = sockets.table_fill()
        if fill is not None and not fill[0]:
            self._log.warn("[tracker] the kernel tracks no connection now; it does so once a ruleset asks for it")
        self._tick.start(1.0, now=False)

    def stopService(self) -> None:
        """Close the sockets; nothing of the kernel's table is changed."""
        if self._tick.running:
            self._tick.stop()
        self.source.stop()
        self.up = False
        super().stopService()

    def _each_second(self) -> None:
        now = self._clock()
        try:
            self.source.check_loss()
            if now - self._reconciled >= self.section.reconcile_s:
                self._reconciled = now
                self.table.hosts.set_local(sockets.local_addresses())
                self.source.resync()
        except OSError as problem:
            self._log.warn("[tracker] cannot read the kernel's table: {why}", why=problem.strerror)
        self.table.hosts.expire(now)
