"""The service of ``[demo]``."""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError

from netappliance.config.values import Endpoint
from netappliance.demo.echo import TcpEchoFactory, UdpEcho
from netappliance.demo.http import demo_site
from netappliance.demo.section import DemoSection
from netappliance.endpoints.listening import ListeningService
from netappliance.errors import StartError


class UdpListener(Service):
    """Listens for datagrams on one endpoint."""

    def __init__(self, endpoint: Endpoint, protocol: UdpEcho, max_datagram_bytes: int, reactor: Any) -> None:
        self.protocol = protocol
        self.port: Any = None
        self._endpoint = endpoint
        self._max = max_datagram_bytes
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        """
        Bind.

        :raises StartError: the address is busy or not ours.
        """
        endpoint = self._endpoint
        try:
            self.port = self._reactor.listenUDP(endpoint.port, self.protocol, endpoint.host, self._max)
        except (CannotListenError, OSError) as error:
            reason = getattr(error, "socketError", error)
            raise StartError(f"[demo] udp_echo: cannot listen on {endpoint.text}: {reason}") from error

    def startService(self) -> None:
        """Bind unless that is done."""
        super().startService()
        if self.port is None:
            self.privilegedStartService()

    def stopService(self) -> Deferred[Any]:
        """Close the socket."""
        super().stopService()
        port, self.port = self.port, None
        return maybeDeferred(port.stopListening if port is not None else lambda: None)


class DemoService(MultiService):
    """All demo backends."""

    MAX_DATAGRAM_BYTES = 65535

    def __init__(self, section: DemoSection, reactor: Any) -> None:
        super().__init__()
        self.setName("demo")
        self.http: list[ListeningService] = []
        self.tcp_echo: list[ListeningService] = []
        self.udp_echo: list[UdpListener] = []
        limits = {"max_connections": section.max_connections, "idle_timeout_s": section.idle_timeout_s}
        for endpoint in section.http:
            site = demo_site(_identity(endpoint), reactor=reactor, **limits)  # type: ignore[arg-type]
            self.http.append(ListeningService("demo", endpoint.text, site, reactor))
        for endpoint in section.tcp_echo:
            factory = TcpEchoFactory(clock=reactor, **limits)  # type: ignore[arg-type]
            self.tcp_echo.append(ListeningService("demo", endpoint.text, factory, reactor))
        for endpoint in section.udp_echo:
            self.udp_echo.append(UdpListener(endpoint, UdpEcho(), self.MAX_DATAGRAM_BYTES, reactor))
        for service in (*self.http, *self.tcp_echo, *self.udp_echo):
            service.setServiceParent(self)


def _identity(endpoint: Endpoint) -> str:
    return endpoint.path if endpoint.scheme == "unix" else f"{endpoint.host}:{endpoint.port}"
