"""The TCP reverse proxy of one ``[tcp NAME]`` section."""

from __future__ import annotations

from socket import SocketType
from typing import TYPE_CHECKING

from netappliance.clusters.cluster import Cluster
from netappliance.dataplane.listener import ListenOptions
from netappliance.dataplane.listener_service import StreamService
from netappliance.dataplane.plane import DataPlane
from netappliance.sessions.session import Address
from netappliance.tcp.session import TcpSession
from netappliance.tcp.terms import TcpTerms

if TYPE_CHECKING:
    from netappliance.tcp.section import TcpSection


class TcpService(StreamService):
    """Listens, and gives every accepted connection a session towards the cluster."""

    def __init__(self, section: TcpSection, cluster: Cluster, plane: DataPlane, options: ListenOptions) -> None:
        super().__init__("tcp", section, plane, options, section.cluster)
        self._terms = TcpTerms(section, cluster, plane, self.totals)

    def start_session(self, sock: SocketType, client: Address, local: Address) -> None:
        """Begin."""
        TcpSession(self._terms, sock, client, local).start()
