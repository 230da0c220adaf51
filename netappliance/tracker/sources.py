"""Everything that tells the tracker of connections: conntrack, sockets, and which of them is shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from netappliance.tracker.conntrack.ctnetlink import raw_tuple
from netappliance.tracker.conntrack.source import ConntrackSource
from netappliance.tracker.conntrack.table import Table
from netappliance.tracker.counting.hosts import Hosts
from netappliance.tracker.counting.places import Places
from netappliance.tracker.network import OWN, Network
from netappliance.tracker.sock_diag.inet_diag import Socket
from netappliance.tracker.sock_diag.socket_entry import both_ways
from netappliance.tracker.sock_diag.socket_table import SocketTable
from netappliance.tracker.sock_diag.socket_tracking import ISource, SocketTracking
from netappliance.tracker.source_choice import ORDER, UNCHOSEN, Chosen, NotTracking, choose

if TYPE_CHECKING:
    from netappliance.tracker.section import TrackerSection


class Sources:
    """
    The sources of one tracker.

    :ivar chosen: where connections come from, and why. :ivar conntrack, connections: conntrack and its table.
    :ivar sockets: this host's sockets; read besides conntrack for what only they know.
    :ivar source, table, places: those of the chosen one.
    :param clock: monotonic seconds. :param own_ports: local ports of our own pages.
    :param network: the namespace that they look at. :param name: of that namespace, empty for our own.
    """

    _log = Logger()

    def __init__(
        self,
        section: TrackerSection,
        reactor: Any,
        clock: Callable[[], float],
        own_ports: frozenset[int],
        network: Network = OWN,
        name: str = "",
    ) -> None:
        self.section = section
        self.network = network
        self.name = name
        self.chosen: Chosen = UNCHOSEN
        self.connections = Table(self._make_places())
        self.conntrack = ConntrackSource(
            self.connections, reactor, clock, section.receive_buffer, network.open_netfilter
        )
        self.sockets = SocketTracking(section, self._make_places(), reactor, clock, network, own_ports, self.began)
        self.source: ISource = self.conntrack
        self.table: Table | SocketTable = self.connections
        self.places = self.connections.places

    def start(self) -> None:
        """Start the chosen source, or choose one; the log says what cannot be seen."""
        wanted = self.section.source if self.chosen is UNCHOSEN else self.chosen.source
        if self.name and wanted not in (*ORDER, "sockets"):
            wanted = "auto"  # plug-ins tell of our own namespace
        starters = {
            "conntrack": partial(self._start_conntrack, wanted),
            "sock_diag": partial(self.sockets.start, "sock_diag"),
        }
        if not self.name:  # /proc/net is that of our own namespace
            starters["proc"] = partial(self.sockets.start, "proc")
            starters.setdefault(wanted, partial(self.sockets.start, wanted))  # a plug-in's
        chosen = choose(wanted, starters)
        if chosen.source == "none":
            self._log.warn("[tracker] cannot see the connections of {where}: {why}", where=self.where, why=chosen.words)
        elif self.chosen is UNCHOSEN:
            self.chosen = chosen
            self._log.info(
                "[tracker] connections of {where} come from {source}: {why}",
                where=self.where,
                source=chosen.source,
                why=chosen.words,
            )
            self._show()

    @property
    def where(self) -> str:
        """The namespace, for the log."""
        return f"namespace {self.name}" if self.name else "this host"

    def reconsider(self, now: float) -> None:
        """Take conntrack after all, when it was left because the kernel tracked nothing and it does so now."""
        if self.chosen.reason != "not_tracking":
            return
        try:
            fill = self.network.table_fill()
            if fill is None or not fill[0]:
                return
            self._start_conntrack("conntrack")
        except OSError as problem:
            self._log.warn("[tracker] conntrack does not start: {why}", why=problem.strerror)
            return
        self._log.info("[tracker] connections of {where} come from conntrack from now on", where=self.where)
        tracking = self.sockets
        tracking.qualities.traffic = False
        tracking.table.clear(now)
        # counters go on where those of the sockets have come to
        for key, totals in tracking.places.totals.items():
            self.connections.places.totals_of(*key).add(totals)
        self.connections.adopted += tracking.table.adopted
        self.connections.unobserved += tracking.table.unobserved
        told = self.source
        self.conntrack.count_on(
            events=told.events,
            lost=told.lost,
            malformed=told.malformed,
            resyncs=told.resyncs,
            refused=told.refused,
        )
        self.source, self.table, self.places = self.conntrack, self.connections, self.connections.places
        self.chosen = Chosen("conntrack", "best", "the kernel tracks connections now")

    def began(self, found: Socket) -> float | None:
        """Return when conntrack says that a socket's connection began: monotonic seconds; None when it does not."""
        if not self.conntrack.up:
            return None
        for way in both_ways(found):
            slot = self.connections.slots.get(raw_tuple(way), -1)
            known = self.connections.connection(slot) if slot >= 0 else None
            if known is not None:
                return known.since
        return None

    def stop(self) -> None:
        """Close every socket; nothing of the kernel's is changed."""
        self.conntrack.stop()
        self.sockets.stop()

    def check(self, now: float) -> None:
        """Let every source look for losses and for what is due. Call once a second."""
        if self.source is self.conntrack:
            self.conntrack.check_loss()
        self.sockets.check(now)

    def look_around(self, now: float) -> None:
        """Read what may change behind our back: the host's addresses, and the wall clock."""
        self.connections.wall_offset = time.time() - now
        try:
            local = self.network.local_addresses()
        except OSError as problem:
            self._log.warn(
                "[tracker] cannot read the addresses of {where}: {why}", where=self.where, why=problem.strerror
            )
            local = None
        for places in (self.connections.places, self.sockets.places):
            if local is not None:
                places.set_local(local)
            places.rank(now)

    def _make_places(self) -> Places:
        section = self.section
        return Places(Hosts(section.max_hosts, section.keep_s), section.ignore, section.groups)

    def _start_conntrack(self, wanted: str) -> None:
        try:
            self.conntrack.start()
        except OSError:
            self.conntrack.stop()
            raise
        enabled = self.section.enable and not self.name
        fill = self.network.table_fill()
        if wanted == "auto" and not enabled and fill is not None and not fill[0]:
            self.conntrack.stop()
            raise NotTracking("the kernel tracks no connection")

    def _show(self) -> None:
        """Let what the chosen source knows be what is shown, and read sockets for what only they know."""
        tracking = self.sockets
        if tracking.source is not None:
            self.source, self.table, self.places = tracking.source, tracking.table, tracking.places
            if self.section.source != "sockets":
                self._log.warn(
                    "[tracker] it sees TCP sockets of {where} only: nothing forwarded, no UDP, no NAT", where=self.where
                )
            return
        tracking.qualities.traffic = False
        if self.section.longterm or self.section.tcp_info or self.section.max_cgroups:
            names = ("sock_diag",) if self.name else ("sock_diag", "proc")
            if choose("sockets", {name: partial(tracking.start, name) for name in names}).source == "none":
                self._log.warn(
                    "[tracker] cannot see the sockets of {where}: no long-lived connections, no TCP_INFO",
                    where=self.where,
                )
