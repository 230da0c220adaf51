"""Host names of backends, resolved again and again without blocking."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.logger import Logger
from zope.interface import implementer

from netappliance.clusters.cluster import Cluster

_log = Logger()

#: seconds after which a question without any answer is asked again; name services give up sooner
GIVE_UP_S = 120.0


@implementer(IResolutionReceiver)
class _Resolution:
    """Collects the addresses of one name, then tells the cluster."""

    def __init__(self, resolver: ResolverService, cluster: Cluster, host: str, port: int) -> None:
        self._resolver = resolver
        self._cluster = cluster
        self._host = host
        self._port = port
        self._found: list[tuple[int, tuple[str, int]]] = []
        #: seconds that it is out, counted in rounds: the reactor's clock may leap
        self.age_s = 0.0

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Called by Twisted."""

    def addressResolved(self, address: IAddress) -> None:
        """Called by Twisted for each address."""
        if isinstance(address, IPv4Address):
            self._found.append((socket.AF_INET, (address.host, self._port)))
        elif isinstance(address, IPv6Address):
            self._found.append((socket.AF_INET6, (address.host, self._port)))

    def resolutionComplete(self) -> None:
        """Called by Twisted at the end; no address at all is a failure."""
        if self._resolver.finished(self, (self._cluster.name, self._host, self._port)):
            self._resolver.resolved(self._cluster, self._host, self._port, self._found)


class ResolverService(Service):
    """
    Resolves the names of all clusters at start and every ``resolve_interval``.

    An answer without addresses is a failure: counted by the cluster, logged once until the next success, and the last
    good addresses stay. A name whose answer is still out is not asked for again, so that a hanging name service piles
    up nothing.
    """

    name = "resolver"

    def __init__(self, clusters: Mapping[str, Cluster], reactor: Any) -> None:
        self.clusters = clusters
        self._reactor = reactor
        self._calls: dict[str, Any] = {}
        self._failing: set[tuple[str, str]] = set()
        #: the one question that is out for each (cluster, host, port)
        self._asked: dict[tuple[str, str, int], _Resolution] = {}

    def startService(self) -> None:
        """Begin; names are asked for at once."""
        super().startService()
        for name in self.clusters:
            self._resolve(name)

    def stopService(self) -> None:
        """Ask no more; answers under way are ignored."""
        super().stopService()
        for call in self._calls.values():
            if call.active():
                call.cancel()
        self._calls.clear()
        self._asked.clear()

    def finished(self, resolution: _Resolution, place: tuple[str, str, int]) -> bool:
        """Book an answer; False for one that comes after its question was given up, or after a stop."""
        if self._asked.get(place) is not resolution:
            return False
        del self._asked[place]
        return True

    def _resolve(self, name: str) -> None:
        cluster = self.clusters[name]
        hosts = sorted({(entry.host, entry.port) for entry in cluster.section.backends if not entry.family})
        if not hosts:
            return
        self._calls[name] = self._reactor.callLater(cluster.section.resolve_interval_s, self._resolve, name)
        for host, port in hosts:
            place = (name, host, port)
            under_way = self._asked.get(place)
            if under_way is not None:
                under_way.age_s += cluster.section.resolve_interval_s
                if under_way.age_s < GIVE_UP_S:
                    continue
            receiver = self._asked[place] = _Resolution(self, cluster, host, port)
            self._reactor.nameResolver.resolveHostName(receiver, host, port, [IPv4Address, IPv6Address])

    def resolved(self, cluster: Cluster, host: str, port: int, found: Iterable[tuple[int, tuple[str, int]]]) -> None:
        """Take over an answer; sorted, so that the order of a rotating answer does not look like a change."""
        if not self.running:
            return
        addresses = tuple(sorted(set(found)))
        place = (cluster.name, host)
        if addresses:
            self._failing.discard(place)
            cluster.resolved({f"{host}:{port}": addresses})
            return
        cluster.resolve_failures_total += 1
        if place not in self._failing:
            self._failing.add(place)
            _log.warn(
                "cluster {cluster}: {host} does not resolve; the last good addresses stay",
                cluster=cluster.name,
                host=host,
            )
