"""A connection that was upgraded (WebSocket): bytes both ways until one side ends it."""

from __future__ import annotations

from socket import SocketType
from typing import ClassVar, Final

from mypy_extensions import trait

from netappliance.clusters.backend import Backend
from netappliance.dataplane.relay import Leg
from netappliance.dataplane.sockets import peer_address
from netappliance.http.backends.pool import BackendPool
from netappliance.http.frontend import Frontend
from netappliance.http.streams.session import HttpSession
from netappliance.http.streams.stream import Detached
from netappliance.sessions.reasons import INTERNAL, Cause, CloseReason, Phase, Side, cause_of
from netappliance.sessions.session import Session

IDLE: Final = CloseReason(Side.PROXY, Phase.TUNNEL, Cause.TIMEOUT)
REFUSED: Final = CloseReason(Side.PROXY, Phase.TUNNEL, Cause.POLICY)
_ABORTS: Final = frozenset((Cause.RST, Cause.TLS, Cause.INTERNAL, Cause.RESOURCE))


@trait
class TunnelOwner:
    """The exchange that a tunnel was."""

    def tunnel_ended(self, tunnel: TunnelSession, reason: CloseReason) -> None:
        """Book it, with what the tunnel carried."""
        raise TypeError


class TunnelSession(Session):
    """
    Takes over both connections of an exchange that ended with 101.

    The exchange is logged when the tunnel ends, with what it carried.

    :param session: the client's, which ends here. :param pool: gets the place on the backend back.
    """

    __slots__ = ("_backend_leg", "_client_leg", "_frontend", "_owner", "_pool", "timer_slot")

    logged: ClassVar[bool] = False

    def __init__(
        self,
        frontend: Frontend,
        session: HttpSession,
        client: Detached,
        behind: Detached,
        backend: Backend,
        pool: BackendPool,
        owner: TunnelOwner,
    ) -> None:
        poller = frontend.poller
        super().__init__("websocket", session.listener, session.client, session.local, poller.now)
        self.cluster = session.cluster
        self.backend = backend
        self.backend_address = peer_address(backend.sockaddr)
        self.timer_slot = 0
        self._frontend = frontend
        self._owner = owner
        self._pool = pool
        self._client_leg = Leg(client.transport.sock, self, poller, client.transport)
        self._backend_leg = Leg(behind.transport.sock, self, poller, behind.transport)
        self._client_leg.peer, self._backend_leg.peer = self._backend_leg, self._client_leg
        for leg, side in ((self._client_leg, client), (self._backend_leg, behind)):
            leg.ending = side.ending
            leg.readable = True
        self._client_leg.pending = memoryview(client.unsent + behind.unread)
        self._backend_leg.pending = memoryview(behind.unsent + client.unread)

    def sockets(self) -> tuple[SocketType, ...]:
        """Return the client's and the backend's."""
        return (self._client_leg.sock, self._backend_leg.sock)

    def start(self) -> None:
        """Send the 101 with what followed it, and what the client sent behind its request; then relay."""
        frontend = self._frontend
        poller = frontend.poller
        if frontend.table.open(self) is not None:
            self.close(REFUSED)
            return
        self.state = "open"
        client, backend = self._client_leg, self._backend_leg
        poller.redirect(client.sock.fileno(), client.on_ready)
        poller.redirect(backend.sock.fileno(), backend.on_ready)
        idle = frontend.limits.tunnel_timeout_s
        if idle:
            frontend.timers.schedule(self, poller.now + idle)
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
        idle = self._frontend.limits.tunnel_timeout_s
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
        frontend = self._frontend
        self.refresh()
        abort = reason.cause in _ABORTS or bool(self._client_leg.pending or self._backend_leg.pending)
        self.state = "closed"
        frontend.timers.cancel(self)
        for leg in (self._client_leg, self._backend_leg):
            leg.close(abort=abort)
            leg.release()
        if self.backend is not None:
            self._pool.forget(self.backend)
        try:
            self._owner.tunnel_ended(self, reason)
        finally:
            frontend.table.closed(self, reason)
            frontend.admission.release()
