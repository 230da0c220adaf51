"""The TCP reverse proxy of one ``[tcp NAME]`` section."""

from __future__ import annotations

from socket import SocketType
from typing import TYPE_CHECKING

from netappliance.dataplane.listener_service import StreamService
from netappliance.sessions.session import Address
from netappliance.tcp.proxy_protocol import ProxyHeader, encode_v1, encode_v2, parse_header
from netappliance.tcp.session import TcpSession

if TYPE_CHECKING:
    from netappliance.process.appliance import Appliance
    from netappliance.tcp.section import TcpSection


class TcpService(StreamService):
    """Listens, and gives every accepted connection a session towards the cluster."""

    def __init__(self, section: TcpSection, appliance: Appliance) -> None:
        super().__init__("tcp", section, appliance, section.cluster)
        self.section = section
        self.cluster = appliance.clusters[section.cluster]
        self.retries = self.cluster.section.retries
        self.connect_timeout_s = self.cluster.section.connect_timeout_s
        self.idle_timeout_s = section.idle_timeout_s
        self.header_timeout_s = section.proxy_protocol_timeout_s
        self.expects_header = section.proxy_protocol in ("expect", "relay")

    def start_session(self, sock: SocketType, client: Address, local: Address) -> None:
        """Begin."""
        TcpSession(self, sock, client, local).start()

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
