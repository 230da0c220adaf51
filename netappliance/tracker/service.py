"""The tracker as a service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from netappliance.tracker import sockets
from netappliance.tracker.conntrack.enable import TrackingRule
from netappliance.tracker.conntrack.event_log import event_log
from netappliance.tracker.conntrack.table import Table
from netappliance.tracker.counting.names import Names, reverse_lookup
from netappliance.tracker.counting.places import Places
from netappliance.tracker.namespaces import Namespaces
from netappliance.tracker.sock_diag.socket_table import SocketTable
from netappliance.tracker.sock_diag.socket_tracking import ISource
from netappliance.tracker.sources import Sources

if TYPE_CHECKING:
    from netappliance.tracker.section import TrackerSection

RANK_S = 5.0
"""How often hosts are ranked and this host's own addresses read (seconds)."""

RETRY_S = 30.0
"""How often a source that failed is tried again (seconds)."""


class TrackerService(Service):
    """
    Starts without rights too: then the log says what it cannot see.

    :ivar sources: conntrack, sockets, and which of them is shown: ``source``, ``table``, ``places``.
    :ivar namespaces: other ones, each with sources of its own.
    :ivar tracking: the kernel tracks connections, as far as we can tell.
    :ivar names: of remote hosts, or None.
    :ivar event_log: lines of conntrack's events, or None.
    :param clock: monotonic seconds. :param own_ports: local ports of our own pages.
    """

    _log = Logger()

    def __init__(
        self,
        section: TrackerSection,
        reactor: Any,
        clock: Callable[[], float],
        own_ports: frozenset[int] = frozenset(),
    ) -> None:
        self.section = section
        self.sources = Sources(section, reactor, clock, own_ports)
        self.namespaces = Namespaces(section, reactor, clock)
        self.event_log = event_log(section, self.sources.connections, reactor.callLater, clock)
        self.names = Names(reverse_lookup(reactor)) if section.names else None
        self.rule = TrackingRule()
        self.tracking = True
        self._clock = clock
        self._reconciled = self._ranked = self._tried = 0.0
        self._tick = LoopingCall(self._each_second)
        self._tick.clock = reactor

    @property
    def source(self) -> ISource:
        """The source that is shown."""
        return self.sources.source

    @property
    def table(self) -> Table | SocketTable:
        """Its connections."""
        return self.sources.table

    @property
    def places(self) -> Places:
        """Where they are counted."""
        return self.sources.places

    def hosts(self) -> list[tuple[str, list[int]]]:
        """
        Return (label, gauges) of the remote ends to show, those of other namespaces behind the namespace's name.

        Those that share a name are one.
        """
        shown: dict[str, list[int]] = {}
        for prefix, places in self._all_places():
            for host in places.hosts.series():
                label = prefix + (host.label if self.names is None else self.names.label(host))
                before = shown.get(label)
                gauges = host.gauges
                shown[label] = gauges if before is None else [a + b for a, b in zip(before, gauges, strict=True)]
        return list(shown.items())

    def _all_places(self) -> Iterator[tuple[str, Places]]:
        yield "", self.places
        for namespace in self.namespaces:
            if namespace.sources is not None:
                yield f"{namespace.name}/", namespace.sources.places

    def now(self) -> float:
        """Return the appliance's monotonic seconds."""
        return self._clock()

    def privilegedStartService(self) -> None:
        """Open the event log."""
        super().privilegedStartService()
        if self.event_log is not None:
            self.event_log.privilegedStartService()

    def startService(self) -> None:
        """Subscribe to events and read the table."""
        super().startService()
        if self.event_log is not None:
            self.event_log.startService()
        self._look_around()
        self._try_source()
        self.namespaces.check(self._clock())
        self._tick.start(1.0, now=False).addErrback(
            lambda failure: self._log.failure("[tracker] its periodic task ended", failure=failure)
        )

    def stopService(self) -> None:
        """Close the sockets and remove our rule; nothing of the kernel's table of connections is changed."""
        if self._tick.running:
            self._tick.stop()
        self.rule.stop()
        self.sources.stop()
        self.namespaces.stop()
        if self.event_log is not None:
            self.event_log.stopService()
        super().stopService()

    def _try_source(self) -> None:
        self._tried = self._clock()
        if not self.source.up:
            self._reconciled = self._tried
            self.sources.start()
            if self.event_log is not None and not self.sources.conntrack.up:
                self._log.warn("[tracker] event_log: there are no events without conntrack")
        if self.section.enable:  # after the subscription: who begins before it may never have events
            self.rule.start()
        self._check_tracking()

    def _check_tracking(self) -> None:
        """Say when the kernel stops or begins to track connections."""
        if self.section.source not in ("auto", "conntrack"):
            return
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
        self.sources.look_around(now)
        if self.names is not None:
            self.names.refresh([host for _, places in self._all_places() for host in places.hosts.shown], now)

    def _each_second(self) -> None:
        now = self._clock()
        self.namespaces.check(now)
        if now - self._ranked >= RANK_S:
            self._look_around()
            self.sources.reconsider(now)
        self._check_tracking()
        missing = not self.source.up or (self.section.enable and not self.rule.active)
        if missing and now - self._tried >= RETRY_S:
            self._try_source()
        self.sources.check(now)
        if self.source.up and now - self._reconciled >= self.section.reconcile_s:
            self._reconciled = now
            self.source.resync()
