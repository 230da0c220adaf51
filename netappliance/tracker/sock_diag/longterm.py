"""
How many connections are long-lived, by local port: what tcp_established_exporter shows, by true age. Sans-I/O.

A connection's age is that of its socket (its cookie is never used again), from when it was first seen, from what its
silence proves, or from the kernel's connection tracking where that has time stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from netappliance.tracker.counting.hosts import OTHER
from netappliance.tracker.sock_diag.inet_diag import ESTABLISHED, Socket
from netappliance.tracker.sock_diag.socket_entry import SocketEntry
from netappliance.tracker.sock_diag.socket_table import V4, V6, SocketTable

#: labels: (port, tcp_version)
Series = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LongTermRules:
    """
    What counts.

    :ivar duration_s: the least age. :ivar ports: local ports; empty = those that listen. :ivar every_port: those that
        do not listen too. :ivar own_ports: never counted. :ivar versions: of IP, as bits (v4-mapped is V4).
    :ivar max_ports: ports with series of their own; the rest is ``other``.
    """

    duration_s: float
    ports: frozenset[int] = frozenset()
    every_port: bool = False
    own_ports: frozenset[int] = frozenset()
    versions: int = V4 | V6
    max_ports: int = 200


class LongTerm:
    """
    Counts by port and version of IP; a port that listens, or has been asked for, shows its zeros.

    :param began: gives the monotonic time at which a socket's connection began where something knows better than the
        socket table, else None; asked only about sockets that seem too young.
    """

    def __init__(self, rules: LongTermRules, began: Callable[[Socket], float | None] = lambda _: None) -> None:
        self.rules = rules
        self._began = began

    def count(self, table: SocketTable, now: float) -> dict[Series, int]:
        """Return the number of long-lived connections by (port, tcp_version)."""
        rules = self.rules
        wanted = rules.ports or (None if rules.every_port else table.listening.keys())
        old: dict[tuple[int, int], int] = {}
        for entry in table.entries.values():
            if entry.state != ESTABLISHED or not entry.counted:
                continue
            found = entry.socket
            port = found.source_port
            if port in rules.own_ports or not (wanted is None or port in wanted or self._accepted(entry)):
                continue
            version = V4 if len(found.source) == 4 else V6
            if not version & rules.versions:
                continue
            if now - entry.since >= rules.duration_s or self._is_older(found, now):
                old[port, version] = old.get((port, version), 0) + 1
        return self._within_budget(old, self._zeros(table))

    def total(self, table: SocketTable, now: float) -> int:
        """Return the number of all long-lived connections."""
        return sum(self.count(table, now).values())

    def _accepted(self, entry: SocketEntry) -> bool:
        """Its listener may be gone, or have handed its port to a successor."""
        return entry.inbound and not self.rules.ports

    def _is_older(self, found: Socket, now: float) -> bool:
        began = self._began(found)
        return began is not None and now - began >= self.rules.duration_s

    def _zeros(self, table: SocketTable) -> Iterable[tuple[int, int]]:
        rules = self.rules
        offered = dict.fromkeys(rules.ports, V4 | V6) or table.listening
        for port, versions in sorted(offered.items()):
            if port not in rules.own_ports:
                for version in (V4, V6):
                    if versions & version & rules.versions:
                        yield port, version

    def _within_budget(self, old: dict[tuple[int, int], int], zeros: Iterable[tuple[int, int]]) -> dict[Series, int]:
        shown: dict[Series, int] = {}
        ports: set[int] = set()
        for port, version in (*zeros, *sorted(old, key=lambda key: -old[key])):
            if port not in ports and len(ports) >= self.rules.max_ports:
                label = OTHER
            else:
                ports.add(port)
                label = str(port)
            series = label, "4" if version == V4 else "6"
            shown[series] = shown.get(series, 0) + old.pop((port, version), 0)
        return shown
