"""The tracker as a service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from netappliance.tracker import sockets
from netappliance.tracker.enable import TrackingRule
from netappliance.tracker.hosts import Hosts
from netappliance.tracker.places import Places
from netappliance.tracker.source import ConntrackSource
from netappliance.tracker.table import Table

if TYPE_CHECKING:
    from netappliance.appliance import Appliance
    from netappliance.tracker.section import TrackerSection

RANK_S = 5.0
"""How often hosts are ranked and this host's own addresses read (seconds)."""

RETRY_S = 30.0
"""How often a source that failed is tried again (seconds)."""


class TrackerService(Service):
    """
    Starts without rights too: then ``source.up`` is False and the log says what it cannot see.

    :ivar tracking: the kernel tracks connections, as far as we can tell.
    """

    _log = Logger()

    def __init__(self, section: TrackerSection, appliance: Appliance) -> None:
        self.section = section
        self.places = Places(Hosts(section.max_hosts, section.keep_s), section.ignore, section.groups)
        self.table = Table(self.places)
        self.source = ConntrackSource(self.table, appliance.reactor, appliance.clock, section.receive_buffer)
        self.rule = TrackingRule()
        self.tracking = True
        self._clock = appliance.clock
        self._reconciled = self._ranked = self._tried = 0.0
        self._tick = LoopingCall(self._each_second)
        self._tick.clock = appliance.reactor

    def startService(self) -> None:
        """Subscribe to events and read the table."""
        super().startService()
        self._look_around()
        self._try_source()
        self._tick.start(1.0, now=False)

    def stopService(self) -> None:
        """Close the sockets and remove our rule; nothing of the kernel's table of connections is changed."""
        if self._tick.running:
            self._tick.stop()
        self.rule.stop()
        self.source.stop()
        super().stopService()

    def _try_source(self) -> None:
        self._tried = self._clock()
        try:
            if not self.source.up:
                self._reconciled = self._tried
                self.source.start()
        except OSError as problem:
            self.source.stop()
            self._log.warn(
                "[tracker] cannot see the kernel's connections ({why}); it needs CAP_NET_ADMIN and ctnetlink",
                why=problem.strerror,
            )
        if self.section.enable:  # after the subscription: who begins before it may never have events
            self.rule.start()
        self._check_tracking()

    def _check_tracking(self) -> None:
        """Say when the kernel stops or begins to track connections."""
        fill = sockets.table_fill()
        tracking = self.rule.active or (fill is not None and fill[0] > 0)
        if tracking != self.tracking:
            self.tracking = tracking
            if tracking:
                self._log.info("[tracker] the kernel tracks connections")
            elif not self.section.enable:
                self._log.warn(
                    "[tracker] the kernel tracks no connection: no ruleset asks for it, nor does [tracker] enable"
                )

    def _look_around(self) -> None:
        """Read what may change behind our back: the host's addresses, and the wall clock."""
        self._ranked = now = self._clock()
        self.table.wall_offset = time.time() - now
        try:
            self.places.set_local(sockets.local_addresses())
        except OSError as problem:
            self._log.warn("[tracker] cannot read this host's addresses: {why}", why=problem.strerror)
        self.places.rank(now)

    def _each_second(self) -> None:
        now = self._clock()
        if now - self._ranked >= RANK_S:
            self._look_around()
            self._check_tracking()
        missing = not self.source.up or (self.section.enable and not self.rule.active)
        if missing and now - self._tried >= RETRY_S:
            self._try_source()
        if not self.source.up:
            return
        self.source.check_loss()
        if now - self._reconciled >= self.section.reconcile_s:
            self._reconciled = now
            self.source.resync()
