"""The TCP reverse proxy of one ``[tcp NAME]`` section."""

from __future__ import annotations

from socket import SocketType
from typing import TYPE_CHECKING

from twisted.application.service import Service

from netappliance.dataplane.listener import StreamListener
from netappliance.sessions.session import Address
from netappliance.tcp.proxy_protocol import ProxyHeader, encode_v1, encode_v2, parse_header
from netappliance.tcp.session import TcpSession

if TYPE_CHECKING:
    from netappliance.appliance import Appliance
    from netappliance.tcp.section import TcpSection


class TcpService(Service):
    """Listens, and gives every accepted connection a session towards the cluster."""

    def __init__(self, section: TcpSection, appliance: Appliance) -> None:
        self.name = section.name
        self.section = section
        self.poller = appliance.poller
        self.timers = appliance.timers
        self.table = appliance.sessions
        self.admission = appliance.admission
        self.cluster = appliance.clusters[section.cluster]
        self.retries = self.cluster.section.retries
        self.connect_timeout_s = self.cluster.section.connect_timeout_s
        self.idle_timeout_s = section.idle_timeout_s
        self.header_timeout_s = section.proxy_protocol_timeout_s
        self.expects_header = section.proxy_protocol in ("expect", "relay")
        self.totals = self.table.declare("tcp", section.name, section.cluster)
        self.listeners = [
            StreamListener(
                f"[tcp {section.name}]",
                endpoint,
                appliance.listen_options(section.backlog, reuse_port=section.reuse_port),
                poller=self.poller,
                timers=self.timers,
                admission=self.admission,
                totals=self.totals,
                start_session=self._session_starter(index),
            )
            for index, endpoint in enumerate(section.listen)
        ]
        appliance.register_listeners("tcp", section.name, self.listeners)

    def _session_starter(self, index: int):  # type: ignore[no-untyped-def]
        def start(sock: SocketType, client: Address) -> None:
            TcpSession(self, sock, client, self.listeners[index].address).start()

        return start

    def privilegedStartService(self) -> None:
        """Bind, while the process may still bind to low ports."""
        super().privilegedStartService()
        for listener in self.listeners:
            listener.open()

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for listener in self.listeners:
            listener.start()

    def stopService(self) -> None:
        """Stop accepting; live sessions are drained by the appliance."""
        super().stopService()
        for listener in self.listeners:
            listener.stop()

    def parse_header(self, data: bytes) -> tuple[ProxyHeader, int] | None:
        """Parse the PROXY header at the start of ``data``: (header, its length), or None when more is needed."""
        return parse_header(data)

    def first_bytes(self, session: TcpSession, header: ProxyHeader | None) -> bytes:
        """What goes to the backend before the client's bytes: the PROXY header that the section asks for."""
        mode = self.section.proxy_protocol
        if mode in ("none", "expect"):
            return b""
        if mode == "relay" and header is not None:
            return header.raw
        encode = encode_v1 if mode == "send_v1" else encode_v2
        return encode(session.client, session.local)
