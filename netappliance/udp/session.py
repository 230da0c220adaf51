"""One conversation between a client address and a backend, with a connected socket of its own."""

from __future__ import annotations

import errno
from socket import SocketType
from typing import TYPE_CHECKING, Any, Final

from netappliance.clusters.backend import Backend
from netappliance.dataplane.datagrams import Ancillary
from netappliance.dataplane.sockets import peer_address
from netappliance.sessions.reasons import INTERNAL, Cause, CloseReason, Phase, Side
from netappliance.sessions.session import Address, Session
from netappliance.udp.datagram import Drop

if TYPE_CHECKING:
    from netappliance.clusters.cluster import Cluster
    from netappliance.dataplane.plane import DataPlane
    from netappliance.sessions.table import ListenerTotals
    from netappliance.udp.section import UdpSection

IDLE: Final = CloseReason(Side.PROXY, Phase.IDLE, Cause.TIMEOUT)
UNANSWERED: Final = CloseReason(Side.BACKEND, Phase.DATA, Cause.TIMEOUT)
LIFETIME: Final = CloseReason(Side.PROXY, Phase.DATA, Cause.TIMEOUT)
REQUESTS: Final = CloseReason(Side.CLIENT, Phase.DATA, Cause.LIMIT)
RESPONSES: Final = CloseReason(Side.BACKEND, Phase.DATA, Cause.LIMIT)
EVICTED: Final = CloseReason(Side.PROXY, Phase.DATA, Cause.LIMIT)
REFUSED: Final = CloseReason(Side.BACKEND, Phase.DATA, Cause.RST)

_BUSY: Final = (errno.EAGAIN, errno.ENOBUFS)


#: one more than the largest datagram, so that a larger one is noticed
_buffer = bytearray(65536)


class LocalSocket:
    """
    A bound socket as sessions see it: they leave from it towards their clients.

    :ivar address: what it is bound to. :ivar affinity: kernel address of a client -> its first session here.
    :ivar client, raw_client: who sent the datagram that is being handled, for us and for the kernel.
    :ivar reply_ancillary: how to answer it.
    """

    def __init__(self) -> None:
        self.socket: SocketType
        self.address: Address = ("", 0)
        self.client: Address = ("", 0)
        self.raw_client: Any = None
        self.reply_ancillary: Ancillary = []
        self.affinity: dict[Any, UdpSession] = {}


class SessionOwner:
    """
    The section that sessions belong to, as these see it. Durations are seconds, 0 = no limit, as with counts.

    :ivar totals: what ended sessions leave behind. :ivar buffer: receives every datagram; ``view`` looks at it.
    """

    def __init__(self, section: UdpSection, cluster: Cluster, plane: DataPlane) -> None:
        self.name = section.name
        self.cluster = cluster
        self.poller = plane.poller
        self.timers = plane.timers
        self.table = plane.sessions
        self.totals: ListenerTotals = plane.sessions.declare("udp", section.name, section.cluster)
        self.buffer = _buffer
        self.view = memoryview(_buffer)
        self.max_requests = section.requests
        self.max_responses = section.responses
        self.max_lifetime_s = section.max_lifetime_s
        self.idle_timeout_s = section.idle_timeout_s
        self.unanswered_timeout_s = section.unanswered_timeout_s

    def drop(self, direction: str, reason: Drop) -> None:
        """Count a dropped datagram."""
        key = (direction, reason.value)
        self.totals.drops[key] = self.totals.drops.get(key, 0) + 1

    def reply(self, session: UdpSession, size: int) -> None:
        """A datagram of ``size`` bytes from the session's backend is in the buffer."""
        raise NotImplementedError

    def forget(self, session: UdpSession) -> None:
        """A session ended."""
        raise NotImplementedError


class UdpSession(Session):
    """
    Created when the filter chain has chosen a backend; its key is (listener, client, backend).

    :ivar listening: where the client spoke to. :ivar raw_client: the client's address as the kernel wants it for
        ``sendto``. :ivar reply_ancillary: control messages that make the reply leave from the address the client spoke
        to; empty on a listener bound to one address.
    :ivar metadata: what the read side of the chain left behind last. :ivar target: the backend, which there always is.
    """

    __slots__ = (
        "_closed",
        "_owner",
        "listening",
        "metadata",
        "raw_client",
        "recv_into",
        "reply_ancillary",
        "send",
        "sock",
        "target",
        "timer_slot",
        "verified",
    )

    def __init__(self, owner: SessionOwner, listening: LocalSocket, backend: Backend, sock: SocketType) -> None:
        super().__init__("udp", owner.name, listening.client, listening.address, owner.poller.now)
        self.cluster = owner.cluster.name
        self.backend = self.target = backend
        self.backend_address = peer_address(backend.sockaddr)
        self.state = "open"
        self.timer_slot = 0
        self.metadata: dict[str, Any] = {}
        self.raw_client = listening.raw_client
        self.reply_ancillary: Ancillary = listening.reply_ancillary
        self.listening = listening
        self.sock = sock
        self.send = sock.send
        self.recv_into = sock.recv_into
        #: the client spoke again after a reply, so its address is its own
        self.verified = False
        self._owner = owner
        self._closed = False

    def forward(self, payload: bytes | memoryview) -> None:
        """Send one datagram to the backend."""
        owner = self._owner
        try:
            self.send(payload)
        except OSError as error:
            self._send_failed(error)
            return
        self.tx_packets += 1
        self.tx_bytes += len(payload)
        self.last_active = owner.poller.now
        if self.rx_packets:
            self.verified = True
        if owner.max_requests and self.tx_packets >= owner.max_requests and not owner.max_responses:
            self.close(REQUESTS)

    def _send_failed(self, error: OSError) -> None:
        owner = self._owner
        if error.errno in _BUSY:
            owner.drop("read", Drop.SEND_BUFFER_FULL)
            return
        owner.totals.tx_errors += 1
        owner.drop("read", Drop.SOCKET_ERROR)
        if error.errno == errno.ECONNREFUSED:
            self.refused()

    def on_ready(self, mask: int) -> None:
        """A datagram of the backend, or an ICMP error; one for each event, for the registration is level-triggered."""
        owner = self._owner
        try:
            size = self.recv_into(owner.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            owner.totals.rx_errors += 1
            if error.errno == errno.ECONNREFUSED:
                self.refused()
            return
        self.rx_packets += 1
        self.rx_bytes += size
        self.last_active = owner.poller.now
        owner.reply(self, size)
        if owner.max_responses and self.rx_packets >= owner.max_responses:
            self.close(RESPONSES)

    def refused(self) -> None:
        """The backend's host says that nobody listens there: the session ends, and others are chosen for a while."""
        self._owner.cluster.marked_bad(self.target, self._owner.poller.now)
        self.close(REFUSED)

    def crashed(self) -> None:
        """A bug in a callback of ours."""
        self.close(INTERNAL)

    def on_timer(self, now: float) -> float:
        """A deadline may have come."""
        owner = self._owner
        ends = self.started + owner.max_lifetime_s if owner.max_lifetime_s else float("inf")
        silent = owner.idle_timeout_s
        if not self.rx_packets and owner.unanswered_timeout_s:
            silent = min(silent, owner.unanswered_timeout_s)
        deadline = min(self.last_active + silent, ends)
        if now < deadline:
            return deadline
        if now >= ends:
            self.close(LIFETIME)
        elif silent < owner.idle_timeout_s:
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
        owner = self._owner
        owner.timers.cancel(self)
        owner.poller.close(self.sock)
        owner.forget(self)
        backend = self.target
        if self.rx_packets and backend.backoff.failures and self.started >= backend.backoff.until:
            owner.cluster.answered(backend, owner.poller.now)
        owner.cluster.released(backend)
        owner.table.closed(self, reason)
