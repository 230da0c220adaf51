"""The UDP session proxy of one ``[udp NAME]`` section."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from netappliance.dataplane.listener_service import ListenerService
from netappliance.udp.listener import UdpListener
from netappliance.udp.proxy import UdpProxy

if TYPE_CHECKING:
    from netappliance.clusters.cluster import Cluster
    from netappliance.dataplane.plane import DataPlane
    from netappliance.udp.section import UdpSection

_log = Logger()


class UdpService(ListenerService):
    """
    Listens; the rest is the proxy's.

    :param filters: (name, filter) in order.
    """

    def __init__(
        self, section: UdpSection, cluster: Cluster, plane: DataPlane, filters: Sequence[tuple[str, Any]]
    ) -> None:
        self.name = f"udp {section.name}"
        self.proxy = UdpProxy(section, cluster, plane, filters, self._filter_failed, time.perf_counter)
        self.listeners: list[UdpListener] = [UdpListener(self.proxy, endpoint) for endpoint in section.listen]

    def stopService(self) -> None:
        """Open no new sessions; the sockets stay for the live ones until the last has ended."""
        super().stopService()
        self.proxy.draining = True
        self.proxy.table.when_empty(self._close_listeners)

    def _close_listeners(self) -> None:
        for listener in self.listeners:
            listener.stop()

    def _filter_failed(self, name: str, error: BaseException) -> None:
        _log.failure(
            "[{service}] filter {name} raised; the datagram is dropped, and it is counted from now on",
            failure=Failure(error),
            service=self.name,
            name=name,
        )
