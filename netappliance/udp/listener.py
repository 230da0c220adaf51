"""One bound UDP socket: receives in batches, and hands each datagram to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netappliance.config.values import Endpoint
from netappliance.dataplane.datagrams import ANCILLARY_SIZE, Ancillary, kernel_drops, listen_udp, reply_from
from netappliance.dataplane.sockets import peer_address
from netappliance.errors import cannot_listen
from netappliance.sessions.session import Address

if TYPE_CHECKING:
    from socket import SocketType

    from netappliance.udp.service import UdpService
    from netappliance.udp.session import UdpSession


class UdpListener:
    """
    :ivar affinity: kernel address of a client -> its first session here. :ivar client, raw_client: who sent the
        datagram that is being handled. :ivar reply_ancillary: how to answer it.
    """

    #: datagrams in one turn
    BUDGET = 64

    def __init__(self, service: UdpService, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.address: Address = ("", 0)
        self.client: Address = ("", 0)
        self.raw_client: Any = None
        self.reply_ancillary: Ancillary = []
        self.socket: SocketType
        self.affinity: dict[Any, UdpSession] = {}
        # with filters every datagram must go through them, whatever session its client has
        self._flows = self.affinity if service.direct else {}
        self._open = False
        self._service = service
        self._wildcard = endpoint.host in ("", "0.0.0.0", "::")  # noqa: S104 - compared

    def open(self) -> None:
        """
        Bind.

        :raises StartError: names the section, the endpoint and what the kernel said.
        """
        section, endpoint = self._service.section, self.endpoint
        try:
            self.socket = listen_udp(
                endpoint.host,
                endpoint.port,
                receive_buffer=section.receive_buffer,
                send_buffer=section.send_buffer,
            )
        except OSError as error:
            raise cannot_listen(f"[udp {section.name}]", endpoint.text, error) from None
        self._open = True
        self.address = peer_address(self.socket.getsockname())

    def start(self) -> None:
        """Begin to receive."""
        self._service.poller.add(self.socket.fileno(), self._told if self._wildcard else self._bound, level=True)

    def stop(self) -> None:
        """Close; live sessions cannot be answered any more."""
        if self._open:
            self._open = False
            self._service.poller.close(self.socket)

    def kernel_drops(self) -> int:
        """Datagrams that the kernel dropped because we were too slow."""
        return kernel_drops(self.socket) if self._open else 0

    def crashed(self) -> None:
        """A bug that one datagram woke must not lose the listener."""

    def _bound(self, mask: int) -> None:
        """The fast path: all datagrams were sent to our one address."""
        service = self._service
        receive, buffer, flows = self.socket.recvfrom_into, service.buffer, self._flows
        view, most = service.view, service.max_datagram_size
        for _ in range(self.BUDGET):
            try:
                size, source = receive(buffer)
            except BlockingIOError:
                return
            except OSError:
                service.totals.rx_errors += 1
                continue
            session = flows.get(source)
            if session is not None and size <= most:
                session.forward(view[:size])
                continue
            self.raw_client = source
            self.client = peer_address(source)
            service.received(self, size)

    def _told(self, mask: int) -> None:
        """On a wildcard address: each datagram says where it was sent to."""
        service = self._service
        receive, buffers = self.socket.recvmsg_into, [service.buffer]
        for _ in range(self.BUDGET):
            try:
                size, ancillary, _flags, source = receive(buffers, ANCILLARY_SIZE)
            except BlockingIOError:
                return
            except OSError:
                service.totals.rx_errors += 1
                continue
            self.raw_client = source
            self.client = peer_address(source)
            self.reply_ancillary = reply_from(ancillary)
            service.received(self, size)
