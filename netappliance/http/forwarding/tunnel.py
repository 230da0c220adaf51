"""A connection that was upgraded (WebSocket): bytes both ways until one side ends it."""

from __future__ import annotations

from socket import SocketType
from typing import TYPE_CHECKING

from netappliance.dataplane.relay import Leg
from netappliance.dataplane.sockets import peer_address, reset_on_close
from netappliance.sessions.reasons import INTERNAL, Cause, CloseReason, Phase, Side, cause_of
from netappliance.sessions.session import Session

if TYPE_CHECKING:
    from netappliance.http.backends.upstream import Upstream
    from netappliance.http.forwarding.client import ClientConnection
    from netappliance.http.forwarding.forwarding import Forwarding

IDLE = CloseReason(Side.PROXY, Phase.TUNNEL, Cause.TIMEOUT)
REFUSED = CloseReason(Side.PROXY, Phase.TUNNEL, Cause.POLICY)
_ABORTS = frozenset((Cause.RST, Cause.INTERNAL, Cause.RESOURCE))


class TunnelSession(Session):
    """
    Takes over both sockets of an exchange that ended with 101.

    The exchange is logged when the tunnel ends, with what it carried.
    """

    __slots__ = ("_backend_leg", "_client_leg", "_forwarding", "_pool", "_service", "timer_slot")

    logged = False

    def __init__(self, client: ClientConnection, upstream: Upstream, forwarding: Forwarding) -> None:
        service = client.service
        poller = client.poller
        super().__init__("websocket", client.listener, client.client, client.local, poller.now)
        self.cluster = client.cluster
        self.backend = upstream.backend
        self.backend_address = peer_address(upstream.backend.sockaddr)
        self.timer_slot = 0
        self._service = service
        self._forwarding = forwarding
        self._pool = upstream.pool
        upstream.user = None
        self._client_leg = Leg(client.sock, self, poller)
        self._backend_leg = Leg(upstream.sock, self, poller)
        self._client_leg.peer, self._backend_leg.peer = self._backend_leg, self._client_leg
        for leg, side in ((self._client_leg, client), (self._backend_leg, upstream)):
            leg.ending = side.ending
            leg.readable = True
            if side.out is not None:
                leg.pending = memoryview(bytes(side.out))
        client.detach()

    def sockets(self) -> tuple[SocketType, ...]:
        """Return the client's and the backend's."""
        return (self._client_leg.sock, self._backend_leg.sock)

    def start(self, to_client: bytes, to_backend: bytes) -> None:
        """Send the 101 with what followed it, and what the client sent behind its request; then relay."""
        service = self._service
        poller = service.poller
        if service.table.open(self) is not None:
            self.close(REFUSED)
            return
        self.state = "open"
        client, backend = self._client_leg, self._backend_leg
        poller.redirect(client.sock.fileno(), client.on_ready)
        poller.redirect(backend.sock.fileno(), backend.on_ready)
        client.pending = memoryview(bytes(client.pending or b"") + to_client)
        backend.pending = memoryview(bytes(backend.pending or b"") + to_backend)
        if service.section.tunnel_timeout_s:
            service.timers.schedule(self, poller.now + service.section.tunnel_timeout_s)
        # a flush that empties its leg reads on from the other one
        client.flush()
        if self.state == "open":
            backend.flush()

    def leg_failed(self, leg: Leg, error: OSError, *, sending: bool) -> None:
        """One side broke."""
        side = Side.CLIENT if leg is self._client_leg else Side.BACKEND
        self.close(CloseReason(side, Phase.TUNNEL, cause_of(error)))

    def relay_done(self, first: Leg) -> None:
        """Both sides said FIN and have everything."""
        side = Side.CLIENT if first is self._client_leg else Side.BACKEND
        self.close(CloseReason(side, Phase.TUNNEL, Cause.FIN))

    def crashed(self) -> None:
        """A bug in a callback of ours."""
        self.close(INTERNAL)

    @property
    def sent_to_client(self) -> int:
        """Bytes, the head of the 101 included."""
        return self._client_leg.sent

    def refresh(self) -> None:
        """Take the counters over from the legs."""
        client, backend = self._client_leg, self._backend_leg
        self.tx_bytes, self.rx_bytes = backend.sent, backend.received
        self.last_active = max(client.last, backend.last, self.last_active)

    def on_timer(self, now: float) -> float:
        """Close when idle."""
        idle = self._service.section.tunnel_timeout_s
        self.refresh()
        deadline = self.last_active + idle
        if now < deadline:
            return deadline
        self.close(IDLE)
        return 0.0

    def close(self, reason: CloseReason) -> None:
        """End both connections; the side that did not end it learns of an abort by RST."""
        if self.state == "closed":
            return
        service = self._service
        self.refresh()
        abort = reason.cause in _ABORTS or bool(self._client_leg.pending or self._backend_leg.pending)
        self.state = "closed"
        service.timers.cancel(self)
        for leg in (self._client_leg, self._backend_leg):
            leg.eof = True  # a leg that is in the middle of a callback reads no further
            if abort:
                reset_on_close(leg.sock)
            service.poller.close(leg.sock)
        if self.backend is not None:
            self._pool.forget(self.backend)
        try:
            self._forwarding.tunnel_ended(self, reason)
        finally:
            service.table.closed(self, reason)
            service.admission.release()
