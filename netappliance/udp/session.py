"""One conversation between a client address and a backend, with a connected socket of its own."""

from __future__ import annotations

import errno
from socket import SocketType
from typing import TYPE_CHECKING, Any

from netappliance.clusters.backend import Backend
from netappliance.dataplane.datagrams import Ancillary
from netappliance.dataplane.sockets import peer_address
from netappliance.sessions.reasons import INTERNAL, Cause, CloseReason, Phase, Side
from netappliance.sessions.session import Session
from netappliance.udp.datagram import Drop

if TYPE_CHECKING:
    from netappliance.udp.listener import UdpListener
    from netappliance.udp.service import UdpService

IDLE = CloseReason(Side.PROXY, Phase.IDLE, Cause.TIMEOUT)
UNANSWERED = CloseReason(Side.BACKEND, Phase.DATA, Cause.TIMEOUT)
LIFETIME = CloseReason(Side.PROXY, Phase.DATA, Cause.TIMEOUT)
REQUESTS = CloseReason(Side.CLIENT, Phase.DATA, Cause.LIMIT)
RESPONSES = CloseReason(Side.BACKEND, Phase.DATA, Cause.LIMIT)
EVICTED = CloseReason(Side.PROXY, Phase.DATA, Cause.LIMIT)
REFUSED = CloseReason(Side.BACKEND, Phase.DATA, Cause.RST)

_BUSY = (errno.EAGAIN, errno.ENOBUFS)


class UdpSession(Session):
    """
    Created when the filter chain has chosen a backend; its key is (listener, client, backend).

    :ivar listening: where the client spoke to. :ivar raw_client: the client's address as the kernel wants it for
        ``sendto``. :ivar reply_ancillary: control messages that make the
        reply leave from the address the client spoke to; empty on a listener bound to one address.
    :ivar metadata: what the read side of the chain left behind last.
    """

    __slots__ = (
        "_closed",
        "_service",
        "listening",
        "metadata",
        "raw_client",
        "recv_into",
        "reply_ancillary",
        "send",
        "sock",
        "timer_slot",
        "verified",
    )

    backend: Backend

    def __init__(self, service: UdpService, listener: UdpListener, backend: Backend, sock: SocketType) -> None:
        super().__init__("udp", service.section.name, listener.client, listener.address, service.poller.now)
        self.cluster = service.cluster.name
        self.backend = backend
        self.backend_address = peer_address(backend.sockaddr)
        self.state = "open"
        self.timer_slot = 0
        self.metadata: dict[str, Any] = {}
        self.raw_client = listener.raw_client
        self.reply_ancillary: Ancillary = listener.reply_ancillary
        self.listening = listener
        self.sock = sock
        self.send = sock.send
        self.recv_into = sock.recv_into
        #: the client spoke again after a reply, so its address is its own
        self.verified = False
        self._service = service
        self._closed = False

    def forward(self, payload: bytes | memoryview) -> None:
        """Send one datagram to the backend."""
        service = self._service
        try:
            self.send(payload)
        except OSError as error:
            self._send_failed(error)
            return
        self.tx_packets += 1
        self.tx_bytes += len(payload)
        self.last_active = service.poller.now
        if self.rx_packets:
            self.verified = True
        if service.max_requests and self.tx_packets >= service.max_requests and not service.max_responses:
            self.close(REQUESTS)

    def _send_failed(self, error: OSError) -> None:
        service = self._service
        if error.errno in _BUSY:
            service.drop("read", Drop.SEND_BUFFER_FULL)
            return
        service.totals.tx_errors += 1
        service.drop("read", Drop.SOCKET_ERROR)
        if error.errno == errno.ECONNREFUSED:
            self.refused()

    def on_ready(self, mask: int) -> None:
        """A datagram of the backend, or an ICMP error; one for each event, for the registration is level-triggered."""
        service = self._service
        try:
            size = self.recv_into(service.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            service.totals.rx_errors += 1
            if error.errno == errno.ECONNREFUSED:
                self.refused()
            return
        self.rx_packets += 1
        self.rx_bytes += size
        self.last_active = service.poller.now
        service.reply(self, size)
        if service.max_responses and self.rx_packets >= service.max_responses:
            self.close(RESPONSES)

    def refused(self) -> None:
        """The backend's host says that nobody listens there: the session ends, and others are chosen for a while."""
        self._service.cluster.marked_bad(self.backend, self._service.poller.now)
        self.close(REFUSED)

    def crashed(self) -> None:
        """A bug in a callback of ours."""
        self.close(INTERNAL)

    def on_timer(self, now: float) -> float:
        """A deadline may have come."""
        service = self._service
        ends = self.started + service.max_lifetime_s if service.max_lifetime_s else float("inf")
        silent = service.idle_timeout_s
        if not self.rx_packets and service.unanswered_timeout_s:
            silent = min(silent, service.unanswered_timeout_s)
        deadline = min(self.last_active + silent, ends)
        if now < deadline:
            return deadline
        if now >= ends:
            self.close(LIFETIME)
        elif silent < service.idle_timeout_s:
            self.close(UNANSWERED)
        else:
            self.close(IDLE)
        return 0.0

    def sockets(self) -> tuple[SocketType, ...]:
        """Return the one towards the backend."""
        return (self.sock,)

    def close(self, reason: CloseReason) -> None:
        """End it and give its descriptor back."""
        if self._closed:
            return
        self._closed = True
        self.state = "closed"
        service = self._service
        service.timers.cancel(self)
        service.poller.close(self.sock)
        service.forget(self)
        service.cluster.released(self.backend)
        service.table.closed(self, reason)
