"""What the tracker knows of this host's sockets: a table, its source, and what is counted from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

from netappliance.config.plugins import find
from netappliance.interfaces import IConnectionSource
from netappliance.tracker.counting.places import Places
from netappliance.tracker.network import Network
from netappliance.tracker.section import TrackerSection
from netappliance.tracker.sock_diag.cgroup_walk import CgroupWalk
from netappliance.tracker.sock_diag.cgroups import Cgroups
from netappliance.tracker.sock_diag.inet_diag import Socket
from netappliance.tracker.sock_diag.longterm import LongTerm, LongTermRules
from netappliance.tracker.sock_diag.quality import Qualities
from netappliance.tracker.sock_diag.socket_source import ProcSource, SocketSource
from netappliance.tracker.sock_diag.socket_table import V4, V6, SocketTable

RETRY_S = 30.0
"""How often a source that has stopped by itself is started again (seconds)."""


class ISource(Protocol):
    """What every source has; see :class:`netappliance.interfaces.IConnectionSource`."""

    @property
    def up(self) -> bool:
        """It works."""

    @property
    def lost(self) -> int:
        """What the kernel dropped for want of buffer."""

    @property
    def malformed(self) -> int:
        """Messages that were garbage."""

    @property
    def resyncs(self) -> int:
        """Complete readings."""

    @property
    def refused(self) -> int:
        """Readings that failed."""

    @property
    def events(self) -> int:
        """What came besides readings."""

    @property
    def dump_secs(self) -> float:
        """How long the last reading took."""

    def start(self) -> None:
        """:raises OSError: it does not work here."""

    def stop(self) -> None:
        """Close everything."""

    def check_loss(self) -> bool:
        """Do what is due; return whether something was lost. Called once a second."""

    def resync(self) -> None:
        """Read everything anew."""


class SocketTracking:
    """
    Sockets of one network namespace.

    :ivar table: what is known. :ivar source: who tells; None while nobody does. :ivar longterm: counts the long-lived.
    :ivar cgroups: traffic by control group, :ivar cgroup_walk: and what finds their names.
    :param network: the namespace. :param own_ports: local ports that are the tracker's own.
    :param began: see :class:`netappliance.tracker.sock_diag.longterm.LongTerm`.
    """

    _log = Logger()

    def __init__(
        self,
        section: TrackerSection,
        places: Places,
        reactor: Any,
        clock: Callable[[], float],
        network: Network,
        own_ports: frozenset[int] = frozenset(),
        began: Callable[[Socket], float | None] = lambda _: None,
    ) -> None:
        self.section = section
        self.places = places
        self.qualities = Qualities()
        self.table = SocketTable(places, self.qualities, notices=True, ephemeral=(32768, 60999))
        self.source: ISource | None = None
        self.cgroups = Cgroups(section.max_cgroups)
        self.cgroup_walk = CgroupWalk(self.cgroups, section.cgroup_root, self._living_cgroups)
        if section.max_cgroups:
            self.table.cgroups = self.cgroups
        rules = LongTermRules(
            section.longterm_duration_s,
            section.longterm_ports or frozenset(),
            section.longterm_ports is None,
            own_ports,
            sum({"4": V4, "6": V6}[version] for version in set(section.longterm_versions)),
            section.max_hosts,
        )
        self.longterm = LongTerm(rules, began)
        self._name = ""
        self._tried = 0.0
        self._network = network
        self._reactor = reactor
        self._clock = clock

    def start(self, name: str) -> None:
        """
        Start the source of that name: ``sock_diag``, ``proc`` or a plug-in's.

        :raises OSError: it does not work here.
        """
        self._tried = self._clock()
        if self.source is None or self._name != name:
            self.table.notices = name == "sock_diag"
            self.table.ephemeral = self._network.ephemeral_ports()
            source = self._make(name)
        else:
            source = self.source  # its counters go on
        try:
            source.start()
        except OSError:
            source.stop()
            raise
        self.source, self._name = source, name

    def _make(self, name: str) -> ISource:
        section = self.section
        source: ISource
        if name == "sock_diag":
            source = SocketSource(
                self.table,
                self._reactor,
                self._clock,
                section.receive_buffer,
                section.socket_interval_s,
                self._network.open_diag,
            )
        elif name == "proc":
            source = ProcSource(self.table, self._reactor, self._clock, section.socket_interval_s)
        else:
            source = find(IConnectionSource, name).make(self.table, self._reactor, self._clock, section)
        return source

    def check(self, now: float) -> None:
        """Do what is due. Call once a second."""
        if self.source is not None:
            if not self.source.up and now - self._tried >= RETRY_S:
                self._start_again()
            self.source.check_loss()
        if self.table.cgroups is not None:
            self.cgroup_walk.check(now)

    def _start_again(self) -> None:
        try:
            self.start(self._name)
        except OSError as problem:
            self._log.warn("[tracker] sockets cannot be read: {why}", why=problem.strerror or str(problem))

    def _living_cgroups(self) -> set[int]:
        return {entry.socket.cgroup for entry in self.table.entries.values()}

    def stop(self) -> None:
        """Close everything; what was counted stays."""
        if self.source is not None:
            self.source.stop()
