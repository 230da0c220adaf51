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


@implementer(IResolutionReceiver)
class _Resolution:
    """Collects the addresses of one name, then tells the cluster."""

    def __init__(self, resolver: ResolverService, cluster: Cluster, host: str, port: int) -> None:
        self._resolver = resolver
        self._cluster = cluster
        self._host = host
        self._port = port
        self._found: list[tuple[int, tuple[str, int]]] = []

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
        self._resolver.resolved(self._cluster, self._host, self._port, self._found)


class ResolverService(Service):
    """
    Resolves the names of all clusters at start and every ``resolve_interval``.

    An answer without addresses is a failure: counted by the cluster, logged once until the next success, and the last
    good addresses stay.
    """

    name = "resolver"

    def __init__(self, clusters: Mapping[str, Cluster], reactor: Any) -> None:
        self.clusters = clusters
        self._reactor = reactor
        self._calls: dict[str, Any] = {}
        self._failing: set[tuple[str, str]] = set()

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

    def _resolve(self, name: str) -> None:
        cluster = self.clusters[name]
        hosts = sorted({(entry.host, entry.port) for entry in cluster.section.backends if not entry.family})
        if not hosts:
            return
        self._calls[name] = self._reactor.callLater(cluster.section.resolve_interval_s, self._resolve, name)
        for host, port in hosts:
            receiver = _Resolution(self, cluster, host, port)
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
