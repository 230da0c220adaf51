"""Where a connection is counted: its remote end, its direction, its group. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from netappliance.tracker.conntrack.ctnetlink import TCP, Ends, ends, port_offset, without_port
from netappliance.tracker.counting.hosts import OTHER, Host, Hosts, Ignore, network_range
from netappliance.tracker.counting.totals import Totals, protocol_name

Place = tuple[Host, Totals]
CACHE = 32768
"""Places remembered by tuple without the client's port; they are all forgotten when there are more."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PORT = re.compile(r"(.*(?:\]|[^:\]]))\s*:\s*(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Group:
    """``networks`` are (first, last) packed addresses of the remote end; ``port`` is the service's, 0 for any."""

    name: str
    networks: tuple[tuple[bytes, bytes], ...]
    port: int

    def matches(self, packed: bytes, port: int) -> bool:
        """True when a connection with that remote end and service port belongs to the group."""
        if self.port and self.port != port:
            return False
        for low, high in self.networks:  # noqa: SIM110 - a generator costs more than the rest
            if len(low) == len(packed) and low <= packed <= high:
                return True
        return False


def group_rule(line: str) -> Group:
    """
    Read ``NAME = CIDR[,CIDR...][:PORT]``; an IPv6 network before a port stands in brackets.

    :raises ValueError: with what was expected.
    """
    name, equals, where = (part.strip() for part in line.partition("="))
    if not equals or not _NAME.fullmatch(name) or name == OTHER:
        raise ValueError("NAME = CIDR[,CIDR...][:PORT], the name of letters, digits, _ . - and not 'other'")
    port = 0
    last = where.rpartition(",")[2]
    if last.count(":") == 1 or "]" in last:
        match = _PORT.fullmatch(where)
        if match is None or not 0 < int(match[2]) < 65536:
            raise ValueError(f"a port from 1 to 65535 at the end of group {name!r}")
        where, port = match[1], int(match[2])
    try:
        networks = tuple(network_range(each.strip().strip("[]")) for each in where.split(","))
    except ValueError:
        raise ValueError(f"networks like 10.0.0.0/8 or [2001:db8::/32]:443 in group {name!r}") from None
    return Group(name, networks, port)


class Places:
    """
    Finds the place of a connection.

    The remote end is the seed's: original destination of what we open, original source of what is opened to us
    (never with its ephemeral port), the real backend of what we forward. The service's port is the remote end's, and of
    what is opened to us the original destination's. Remote ends that ``ignore`` names are counted nowhere that shows.

    :ivar totals: (group, direction, protocol) -> Totals; a closed set.
    """

    def __init__(self, hosts: Hosts, ignore: Iterable[Ignore], groups: Iterable[Group]) -> None:
        self.hosts = hosts
        self.groups = tuple(groups)
        self.totals: dict[tuple[str, str, str], Totals] = {}
        self.local: frozenset[bytes] = frozenset()
        self._ignore = tuple(ignore)
        self._cache: dict[bytes, Place] = {}
        self._ways: dict[bytes, Place] = {}
        self._places: dict[Place, Place] = {}
        self._no_host = Host("")
        self._ignored = {tcp: (self._no_host, Totals("", "", "tcp" if tcp else "other")) for tcp in (True, False)}
        for group in self.groups:
            for direction in ("in", "out"):
                self.totals_of(group.name, direction, "tcp")

    def set_local(self, local: frozenset[bytes]) -> None:
        """Take the packed addresses of this host as they are now; known connections keep their place."""
        if local != self.local:
            self.local = local
            self._cache.clear()
            self._ways.clear()

    def rank(self, now: float) -> None:
        """Let the hosts be ranked, and remember no place of a forgotten one."""
        if self.hosts.rank(now):
            self._forget()

    def _forget(self) -> None:
        self._cache.clear()
        self._ways.clear()
        self._places.clear()

    def find(self, orig: bytes, reply: bytes, translated: int, now: float) -> Place:
        """Return the place of a connection by its raw tuples; ``reply`` matters only where it is ``translated``."""
        key = without_port(orig)
        if translated:
            key += reply[: port_offset(orig) + 4]
        return self._cache.get(key) or self._remember(self._cache, key, self.place_of(ends(orig), ends(reply), now))

    def find_all(self, ways: list[bytes], now: float) -> list[Place]:
        """
        Return the places of connections of port protocols, none translated.

        :param ways: packed source and destination, the destination's port (2 octets), the protocol (1 octet).
        """
        found = list(map(self._ways.get, ways))
        if all(found):
            return cast("list[Place]", found)
        return [
            self._ways.get(way) or self._find_way(way, now) if place is None else place
            for way, place in zip(ways, found, strict=True)
        ]

    def _find_way(self, way: bytes, now: float) -> Place:
        wide = len(way) // 2 - 1
        source, destination, protocol = way[:wide], way[wide:-3], way[-1]
        port = way[-3] << 8 | way[-2]
        if self._is_local(source):
            place = self._place(destination, port, "out", port, protocol, now)
        elif self._is_local(destination):
            place = self._place(source, 0, "in", port, protocol, now)
        else:
            place = self._place(destination, port, "forward", port, protocol, now)
        return self._remember(self._ways, way, place)

    def _remember(self, cache: dict[bytes, Place], key: bytes, place: Place) -> Place:
        if len(cache) >= CACHE:
            self._forget()
        place = cache[key] = self._places.setdefault(place, place)
        return place

    def is_ignored(self, place: Place) -> bool:
        """True when the connection is one that nobody wants to see."""
        return not place[1].group

    def remote(self, orig: Ends, reply: Ends) -> tuple[bytes, int, str]:
        """Return packed address and port of the remote end (0 for a client's), and the direction."""
        if self._is_local(orig.source):
            return orig.destination, orig.destination_port, "out"
        if self._is_local(orig.destination):
            return orig.source, 0, "in"
        if self._is_local(reply.source):
            return reply.destination, 0, "in"
        return reply.source, reply.source_port, "forward"

    def group_of(self, packed: bytes, port: int) -> str:
        """Return the name of the first group that matches, or ``other``."""
        for group in self.groups:
            if group.matches(packed, port):
                return group.name
        return OTHER

    def _is_local(self, packed: bytes) -> bool:
        return packed in self.local or (len(packed) == 4 and packed[0] == 127)

    def place_of(self, orig: Ends | None, reply: Ends | None, now: float) -> Place:
        """Return the place of a connection by its decoded tuples (None: of no known family)."""
        if orig is None or reply is None:
            return self._ignored[False]
        packed, port, direction = self.remote(orig, reply)
        return self._place(packed, port, direction, orig.destination_port, orig.protocol, now)

    def _place(self, packed: bytes, port: int, direction: str, service: int, protocol: int, now: float) -> Place:
        """Return the place of a connection by its remote end and the port that it was opened to."""
        tcp = protocol == TCP
        for rule in self._ignore:
            if rule(packed, port):
                return self._ignored[tcp]
        group = self.group_of(packed, service if direction == "in" else port)
        host = self.hosts.find(packed, port, now) if tcp else self._no_host
        return host, self.totals_of(group, direction, protocol_name(protocol))

    def totals_of(self, group: str, direction: str, protocol: str) -> Totals:
        """Return the totals of one key, made at first use."""
        key = (group, direction, protocol)
        found = self.totals.get(key)
        if found is None:
            found = self.totals[key] = Totals(group, direction, protocol)
        return found
