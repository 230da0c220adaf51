"""The pools of all clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netappliance.clusters.cluster import Cluster
from netappliance.dataplane.plane import DataPlane
from netappliance.dataplane.transport import Connect, connect
from netappliance.http.backends.pool import BackendPool


class BackendPools(Mapping[str, BackendPool]):
    """
    One pool for each cluster that a listener has asked for, which all listeners share; by the cluster's name.

    :param connect: begins the connections.
    """

    def __init__(self, plane: DataPlane, connect: Connect = connect) -> None:
        self._plane = plane
        self._connect = connect
        self._pools: dict[str, BackendPool] = {}

    def pool(self, cluster: Cluster) -> BackendPool:
        """Return the pool of a cluster; the first who asks makes it."""
        found = self._pools.get(cluster.name)
        if found is None:
            found = self._pools[cluster.name] = BackendPool(
                cluster, self._plane.poller, self._plane.timers, self._connect
            )
        return found

    def __getitem__(self, name: str) -> BackendPool:
        return self._pools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)
