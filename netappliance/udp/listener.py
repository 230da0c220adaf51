"""One bound UDP socket: receives in batches, and hands each datagram to the proxy."""

from __future__ import annotations

from typing import Final

from netappliance.config.values import Endpoint
from netappliance.dataplane.datagrams import ANCILLARY_SIZE, kernel_drops, listen_udp, reply_from
from netappliance.dataplane.sockets import peer_address
from netappliance.errors import cannot_listen
from netappliance.udp.proxy import UdpProxy
from netappliance.udp.session import LocalSocket


class UdpListener(LocalSocket):
    """Receives for a proxy."""

    #: datagrams in one turn
    BUDGET: Final = 64

    def __init__(self, proxy: UdpProxy, endpoint: Endpoint) -> None:
        super().__init__()
        self.endpoint = endpoint
        # with filters every datagram must go through them, whatever session its client has
        self._flows = self.affinity if proxy.direct else {}
        self._open = False
        self._proxy = proxy
        self._wildcard = endpoint.host in ("", "0.0.0.0", "::")  # noqa: S104 - compared

    def open(self) -> None:
        """
        Bind.

        :raises StartError: names the section, the endpoint and what the kernel said.
        """
        section, endpoint = self._proxy.section, self.endpoint
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
        self._proxy.poller.add(self.socket.fileno(), self._told if self._wildcard else self._bound, level=True)

    def stop(self) -> None:
        """Close; live sessions cannot be answered any more."""
        if self._open:
            self._open = False
            self._proxy.poller.close(self.socket)

    def kernel_drops(self) -> int:
        """Datagrams that the kernel dropped because we were too slow."""
        return kernel_drops(self.socket) if self._open else 0

    def crashed(self) -> None:
        """A bug that one datagram woke must not lose the listener."""

    def _bound(self, mask: int) -> None:
        """The fast path: all datagrams were sent to our one address."""
        proxy = self._proxy
        receive, buffer, flows = self.socket.recvfrom_into, proxy.buffer, self._flows
        view, most = proxy.view, proxy.max_datagram_size
        for _ in range(self.BUDGET):
            try:
                size, source = receive(buffer)
            except BlockingIOError:
                return
            except OSError:
                proxy.totals.rx_errors += 1
                continue
            session = flows.get(source)
            if session is not None and size <= most:
                session.forward(view[:size])
                continue
            self.raw_client = source
            self.client = peer_address(source)
            proxy.received(self, size)

    def _told(self, mask: int) -> None:
        """On a wildcard address: each datagram says where it was sent to."""
        proxy = self._proxy
        receive, buffers = self.socket.recvmsg_into, [proxy.buffer]
        for _ in range(self.BUDGET):
            try:
                size, ancillary, _flags, source = receive(buffers, ANCILLARY_SIZE)
            except BlockingIOError:
                return
            except OSError:
                proxy.totals.rx_errors += 1
                continue
            self.raw_client = source
            self.client = peer_address(source)
            self.reply_ancillary = reply_from(ancillary)
            proxy.received(self, size)
