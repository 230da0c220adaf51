"""The TCP reverse proxy of one ``[tcp NAME]`` section."""

from __future__ import annotations

from socket import SocketType
from typing import TYPE_CHECKING

from netappliance.clusters.cluster import Cluster
from netappliance.config.values import Endpoint
from netappliance.dataplane.listener import ListenOptions, StartSession
from netappliance.dataplane.listener_service import StreamService
from netappliance.dataplane.plane import DataPlane
from netappliance.sessions.session import Address
from netappliance.tcp.server_names import ServerNames
from netappliance.tcp.session import TcpSession
from netappliance.tcp.terms import TcpTerms
from netappliance.tls.server import TlsServer

if TYPE_CHECKING:
    from netappliance.tcp.section import TcpSection


class SharedAddresses(dict[Endpoint, ServerNames[TcpTerms]]):
    """Who serves which server names, for each address that sections with ``sni`` listen on."""


class TcpService(StreamService):
    """
    Listens, and gives every accepted connection a session towards the cluster.

    The first section with ``sni`` on an address, in the order of the file, listens there for those that share it.

    :ivar terms: of its sessions.
    """

    def __init__(
        self,
        section: TcpSection,
        cluster: Cluster,
        plane: DataPlane,
        options: ListenOptions,
        shared: SharedAddresses,
        tls: TlsServer | None = None,
    ) -> None:
        totals = plane.sessions.declare("tcp", section.name, section.cluster)
        self.terms = TcpTerms(section, cluster, plane, totals, tls)
        self._names: dict[Endpoint, ServerNames[TcpTerms]] = {}
        mine = []
        for endpoint in section.listen:
            # port 0 is another port for each
            names = shared.get(endpoint) if section.sni and (endpoint.port or endpoint.path) else None
            if names is None:
                mine.append(endpoint)
            if section.sni:
                if names is None:
                    names = shared[endpoint] = self._names[endpoint] = ServerNames()
                names.add(section.sni, self.terms)
        super().__init__("tcp", section, plane, options, section.cluster, mine)

    def starter(self, endpoint: Endpoint) -> StartSession:
        """Return what begins a session, which on a shared address belongs to a section that its ClientHello chooses."""
        terms, names = self.terms, self._names.get(endpoint)
        if names is None:
            return self.start_session

        def start(sock: SocketType, client: Address, local: Address) -> None:
            TcpSession(terms, sock, client, local, names).start()

        return start

    def start_session(self, sock: SocketType, client: Address, local: Address) -> None:
        """Begin one that belongs to this section."""
        TcpSession(self.terms, sock, client, local).start()
