"""What all sessions of one ``[tcp NAME]`` section are served by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netappliance.clusters.cluster import Cluster
from netappliance.dataplane.plane import DataPlane
from netappliance.proxy_protocol import ProxyHeader, encode_v1, encode_v2
from netappliance.sessions.session import Address
from netappliance.sessions.table import ListenerTotals
from netappliance.tls.passing import Passing
from netappliance.tls.server import TlsServer

if TYPE_CHECKING:
    from netappliance.tcp.section import TcpSection


class TcpTerms:
    """
    Cluster, data plane, timeouts and PROXY headers of a section. Durations are seconds, 0 = none.

    :ivar name: of the section. :ivar totals: what ended sessions of the section leave behind.
    :ivar expects_header: clients begin with a PROXY header. :ivar sends_header: connections to backends do.
    :ivar tls: how the client's TLS is ended, None = its bytes pass as they are. :ivar passing: of TLS that is passed on
        by server name, None = all bytes are. :ivar opens: clients begin with a PROXY header, TLS or both.
    :ivar retries_connects: ``retry_on`` has connect.
    """

    def __init__(
        self,
        section: TcpSection,
        cluster: Cluster,
        plane: DataPlane,
        totals: ListenerTotals,
        tls: TlsServer | None = None,
    ) -> None:
        self.name = section.name
        self.cluster = cluster
        self.poller = plane.poller
        self.timers = plane.timers
        self.table = plane.sessions
        self.admission = plane.admission
        self.totals = totals
        self.retries = cluster.section.retries
        self.retries_connects = "connect" in cluster.section.retry_on
        self.connect_timeout_s = cluster.section.connect_timeout_s
        self.idle_timeout_s = section.idle_timeout_s
        self.header_timeout_s = section.proxy_protocol_timeout_s
        self.expects_header = section.expects_header
        self.tls = tls
        self.passing = Passing(section.tls_keys.handshake_timeout_s) if section.sni else None
        self.opens = self.expects_header or tls is not None or self.passing is not None
        self.notes_ja4 = section.tls_keys.ja4
        self.sends_header = section.proxy_protocol in ("relay", "send_v1", "send_v2")
        self._header_mode = section.proxy_protocol

    def first_bytes(self, client: Address, local: Address, header: ProxyHeader | None) -> bytes:
        """
        Return what goes to the backend before the client's bytes: the PROXY header that the section asks for.

        :param header: the client's, where one was expected.
        """
        mode = self._header_mode
        if mode in ("none", "expect"):
            return b""
        if mode == "relay" and header is not None:
            return header.raw
        encode = encode_v1 if mode == "send_v1" else encode_v2
        return encode(client, local)
