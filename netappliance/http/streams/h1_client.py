"""A client's HTTP/1.1 connection: one request after another, each an exchange, until one side has enough."""

from __future__ import annotations

from collections.abc import Sequence
from socket import SocketType
from typing import Final

from netappliance.dataplane.opening import Opening, OpeningFailed
from netappliance.dataplane.poller import HANGUP, PEER_FIN
from netappliance.dataplane.transport import Transport
from netappliance.http.framing import heads
from netappliance.http.framing.chunked import Pieces
from netappliance.http.frontend import Frontend
from netappliance.http.message import UNTIL_CLOSE, Refusal, Response
from netappliance.http.streams.h1_response import H1Responder
from netappliance.http.streams.session import Carrier, HttpSession
from netappliance.http.streams.stream import ClientStream, Detached, Exchanges, StreamUser
from netappliance.sessions.reasons import INTERNAL, SHUTDOWN, Cause, CloseReason, Phase, Side, cause_of
from netappliance.sessions.session import Address

POLICY: Final = CloseReason(Side.PROXY, Phase.ACCEPT, Cause.POLICY)
IDLE_FIN: Final = CloseReason(Side.CLIENT, Phase.IDLE, Cause.FIN)
IDLE_TIMEOUT: Final = CloseReason(Side.PROXY, Phase.IDLE, Cause.TIMEOUT)
HEAD_FIN: Final = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.FIN)
HEAD_TIMEOUT: Final = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.TIMEOUT)
CLIENT_TIMEOUT: Final = CloseReason(Side.CLIENT, Phase.DATA, Cause.TIMEOUT)
UPGRADED: Final = CloseReason(Side.CLIENT, Phase.TUNNEL, Cause.FIN)

#: requests answered in one turn of one connection: the fairness budget for pipelines of requests that need no backend
BUDGET: Final = 32
_PHASES = {
    "header": Phase.HANDSHAKE,
    "hello": Phase.HANDSHAKE,
    "handshake": Phase.HANDSHAKE,
    "head": Phase.REQUEST,
    "idle": Phase.IDLE,
}


class H1ClientConnection(H1Responder, ClientStream, Carrier):
    """
    States: ``header``, ``hello`` and ``handshake`` (see :class:`Opening`), ``head`` (a request begins or is expected
    first), ``idle`` (between requests), ``exchange``, ``linger`` (the last response is on its way, the rest is thrown
    away), ``closed``.

    :ivar session: of the connection. :ivar user: the exchange under way, None between two.
    :ivar deadline: monotonic seconds, of the states but ``exchange``.
    """

    def __init__(
        self, frontend: Frontend, exchanges: Exchanges, transport: Transport, client: Address, local: Address
    ) -> None:
        super().__init__(frontend, transport)
        self.exchanges = exchanges
        self.session = HttpSession(frontend.kind, frontend.name, client, local, frontend.poller.now)
        self.session.carrier = self
        self.user: StreamUser | None = None
        self.max_content = frontend.limits.max_body_size
        self.deadline = 0.0
        self.timer_slot = 0
        self._end_reason = IDLE_FIN
        self._sent_before = 0
        self._opening: Opening | None = None

    def start(self) -> None:
        """Begin to read."""
        frontend, now = self.frontend, self.poller.now
        if frontend.table.open(self.session) is not None:
            self.close(POLICY)
            return
        limits = frontend.limits
        if limits.proxy_header_timeout_s is not None or frontend.tls is not None:
            self._opening = Opening(self.transport, frontend.tls, limits.proxy_header_timeout_s, now)
            self.state, self.deadline = self._opening.state, self._opening.deadline
        else:
            self.state = "head"
            self.deadline = now + limits.request_timeout_s
        frontend.timers.schedule(self, min(self.deadline, now + limits.shortest_timeout_s))
        try:
            self.poller.add(self.transport.fd, self.on_ready)
        except OSError as error:
            self.close(CloseReason(Side.PROXY, Phase.ACCEPT, cause_of(error)))

    # -- reading ------------------------------------------------------------------------------------------------------

    def received(self, mask: int) -> None:
        """Read what the state expects."""
        state = self.state
        if state == "idle" or state == "head":
            self._process()
        elif state == "exchange":
            if self.body_left:
                self.pump()
            elif mask & (HANGUP | PEER_FIN) and not self.outgoing and self.frontend.limits.abort_on_fin:
                self._gone(Cause.FIN)
        elif state == "linger":
            self._discard()
        elif self._opening is not None:
            self._open(self._opening)

    def _process(self) -> None:
        """Take requests from what was received, until one has to wait for its backend or there is no more."""
        self.processing = True
        framing = self.frontend.framing
        for _ in range(BUDGET):
            if not self.hold and not self._read_more():
                break
            parsed = framing.parse(self.hold)
            if parsed is None:
                if not self._read_more():
                    break
                continue
            item, after = parsed
            if isinstance(item, Refusal):
                self._refuse(item)
                break
            self.state = "exchange"
            self.began = self.responded = False
            self.hold = self.hold[after:]
            self.requests += 1
            self._sent_before = self.sent
            self.minor = item.minor
            self.goes_on = item.keep_alive
            if item.length:
                self.expect_body(item.length, self.frontend.limits.max_trailers)
            self.exchanges.begin(self, self.session, item)
            if self.state != "idle":
                break
        else:
            self.poller.later(self._process_on)
        self.processing = False

    def _refuse(self, refusal: Refusal) -> None:
        """Have what was no request answered."""
        self.state = "exchange"
        self._sent_before = self.sent
        self.began = self.responded = self.goes_on = False
        self.minor = 1
        self.body_left = UNTIL_CLOSE  # whatever follows is thrown away
        self.exchanges.refuse(self, self.session, refusal)

    def _read_more(self) -> bool:
        """Read on; False when there is nothing (yet)."""
        held = self.hold
        if self.readable:
            size = self.poller.buffer.size
            try:
                fresh = self.recv(size)
            except BlockingIOError:
                self.readable = False
            except OSError as error:
                self.lost(error)
                return False
            else:
                session = self.session
                session.last_active = now = self.poller.now
                if not fresh:
                    self.readable = False
                    self.close(HEAD_FIN if held else IDLE_FIN)
                    return False
                self.readable = self.ending or len(fresh) == size
                if held:
                    self.hold = held + fresh
                else:
                    self.hold = fresh
                    session.head_began = now
                return True
        if held and self.state == "idle":
            self.state = "head"
            self.deadline = self.poller.now + self.frontend.limits.request_timeout_s
        return False

    def _process_on(self) -> None:
        if self.state == "head" or self.state == "idle":
            self._process()

    def _open(self, opening: Opening) -> None:
        """Go on with what comes before the first request."""
        session, now = self.session, self.poller.now
        try:
            over = opening.proceed(now, ending=self.ending)
        except OpeningFailed as failure:
            session.notes = failure.notes
            self.close(failure.reason)
            return
        session.last_active = now
        if not over:
            self.state, self.deadline = opening.state, opening.deadline
            return
        header = opening.header
        if header is not None:
            session.client = header.source or session.client
            session.local = header.destination or session.local
        session.tls = opening.facts
        self._opening = None
        self.state = "head"
        self.deadline = now + self.frontend.limits.request_timeout_s
        self._process()

    # -- the request's body -------------------------------------------------------------------------------------------

    def take_body(self) -> tuple[bytes, list[bytes] | None] | Refusal:
        """Take what has come of the request's body."""
        if not self.body_left:
            return b"", []
        if not self.hold:
            return b"", None
        taken = self.take_first(self.hold)
        if isinstance(taken, Refusal):
            return taken
        pieces, size, trailers = taken
        if len(pieces) == 1 and isinstance(pieces[0], bytes):
            return pieces[0], trailers
        return b"".join(pieces) if size else b"", trailers

    def deliver(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """Hand a part of the body to the exchange."""
        user = self.user
        return user is not None and user.client_body(pieces, size, trailers)

    def counted(self, count: int) -> None:
        """The client is not silent."""
        self.session.last_active = self.poller.now

    def body_cut(self) -> None:
        """FIN in the middle of the body."""
        self.close(CloseReason(Side.CLIENT, Phase.REQUEST, Cause.FIN))

    def body_refused(self, refusal: Refusal) -> None:
        """The chunks are none."""
        if self.user is not None:
            self.user.client_refused(refusal)

    # -- the response -------------------------------------------------------------------------------------------------

    def attach(self, user: StreamUser) -> None:
        """Tell this one what happens from now on."""
        self.user = user

    def response_bytes(self) -> int:
        """Return how much was sent of the present response."""
        return self.sent - self._sent_before

    def took(self) -> None:
        """The client reads."""
        self.session.last_active = self.poller.now

    def drained(self) -> None:
        """The client has all that waited."""
        self.session.last_active = self.poller.now
        if self.state == "linger":
            self._half_close()
        elif self.responded:
            self.delivered_yet()
        elif self.user is not None:
            self.user.client_room()

    def delivered_yet(self) -> None:
        """The response was given: once the client's kernel has it too, the exchange is over."""
        user = self.user
        if user is None or not self.responded or self.out is not None or self.outgoing or self.state != "exchange":
            return
        goes_on = self.goes_on
        reason = user.delivered(goes_on=goes_on or self.ending)
        self.user = None
        if not goes_on:
            self._end(reason)
            return
        self.state = "idle"
        self.deadline = self.poller.now + self.frontend.limits.client_timeout_s
        if not self.processing and (self.hold or self.readable):
            self._process()

    # -- the end ------------------------------------------------------------------------------------------------------

    def _end(self, reason: CloseReason) -> None:
        """
        Close after the last response was delivered.

        The client may still be sending: that is read, for closing over unread bytes would reset the connection and take
        the response with it (RFC 9112 section 9.6).
        """
        self._end_reason = reason
        self.state = "linger"
        if not self.body_left and not self.readable and not self.hold:
            self.close(reason)
            return
        self.stop_reading()
        self.hold = b""
        self._half_close()
        if self.readable:
            self._discard()

    def _half_close(self) -> None:
        self.deadline = self.poller.now + self.frontend.limits.linger_timeout_s
        self.frontend.timers.schedule(self, self.deadline)
        try:
            self.transport.shut()
        except OSError as error:
            self.lost(error)

    def _discard(self) -> None:
        buffer = self.poller.buffer
        for _ in range(BUDGET):
            try:
                count = self.recv_into(buffer.data, buffer.size)
            except BlockingIOError:
                return
            except OSError as error:
                self.lost(error)
                return
            if not count:
                self.close(self._end_reason)
                return
        self.poller.later(self._discard_on)

    def _discard_on(self) -> None:
        if self.state == "linger":
            self._discard()

    def lost(self, error: OSError) -> None:
        """The connection broke."""
        if self.state == "exchange":
            self._gone(cause_of(error))
        elif self.state == "linger":
            self.close(self._end_reason)
        else:
            self.close(CloseReason(Side.CLIENT, _PHASES.get(self.state, Phase.DATA), cause_of(error)))

    def _gone(self, cause: Cause) -> None:
        if self.user is not None:
            self.user.client_gone(cause)
        else:
            self.close(CloseReason(Side.CLIENT, Phase.REQUEST, cause))

    def drain(self) -> None:
        """The process ends: go when there is no request under way."""
        if self.state == "idle":
            self.close(SHUTDOWN)

    def crashed(self) -> None:
        """A bug in a callback of ours: the exchange has an answer for it, unless it gave one."""
        user = self.user
        if user is not None and self.state == "exchange" and not self.responded:
            try:
                user.crashed()
            except Exception:
                self.close(INTERNAL)
                raise
        else:
            self.close(INTERNAL)

    def cut(self, reason: CloseReason) -> None:
        """End the exchange with the connection."""
        self.close(reason)

    def switch(self, response: Response) -> Detached:
        """Answer with a 101 and give the connection away; this session ends here."""
        unsent = b"" if self.out is None else bytes(self.out)
        self.state = "closed"
        self.user = None
        self.out = None
        self.frontend.timers.cancel(self)
        self.session.carrier = None
        self.frontend.table.closed(self.session, UPGRADED)
        return Detached(self.transport, unsent + heads.interim_head(response), self.hold, ending=self.ending)

    def close(self, reason: CloseReason) -> None:
        """End the connection now."""
        if self.state == "closed":
            return
        frontend, session = self.frontend, self.session
        user = self.user
        truncated = self.out is not None or bool(self.outgoing) or (self.state == "exchange" and self.began)
        self.state = "closed"
        self.user = None
        if self._opening is not None:
            self._opening.abandoned()
            self._opening = None
        self.stop_reading()
        frontend.timers.cancel(self)
        try:
            if user is not None:
                user.abandoned(reason)
        finally:
            # what a plug-in left in the notes may break the log's line, but holds no descriptor
            if truncated:
                self.transport.abort()
            else:
                self.transport.farewell()
            self.out = None
            self.outgoing = b""
            self.poller.close(self.transport.sock)
            session.carrier = None
            frontend.table.closed(session, reason)
            frontend.admission.release()

    # -- what others ask ----------------------------------------------------------------------------------------------

    def phase(self) -> str:
        """Return the state."""
        return self.state

    def carrying(self) -> Sequence[SocketType]:
        """Return the client's socket, and the backend's while an exchange has one."""
        behind = () if self.user is None else self.user.sockets()
        return (self.transport.sock, *behind)

    def expect(self, seconds: float) -> None:
        """Have the deadlines looked at after so long at most; what is waited for may change sooner."""
        shortest = self.frontend.limits.shortest_timeout_s
        self.frontend.timers.schedule(self, self.poller.now + min(seconds, shortest))

    def on_timer(self, now: float) -> float:
        """A deadline may have come."""
        user = self.user
        if self.state == "exchange" and user is not None:
            deadline = self._late(now) if self.out is not None else user.check(now)
        else:
            if now >= self.deadline:
                self._expired(self.state)
            deadline = self.deadline
        if self.state == "closed":
            return 0.0
        # deadlines that are set meanwhile are at least this far away
        return min(deadline, now + self.frontend.limits.shortest_timeout_s)

    def _late(self, now: float) -> float:
        """See whether the client takes its response; return the next deadline."""
        deadline = self.session.last_active + self.frontend.limits.client_timeout_s
        if now >= deadline:
            self.close(CLIENT_TIMEOUT)
        return deadline

    def _expired(self, state: str) -> None:
        # an empty line is no beginning of a request
        begun = self.hold.strip(b"\r\n")
        if state == "head" and (begun or not self.requests):
            if begun:
                self._refuse(Refusal(408, "request head too slow"))
            else:
                self.close(HEAD_TIMEOUT)
        elif state == "linger":
            self.close(self._end_reason)
        else:
            self.close(self._opening.expired() if self._opening is not None else IDLE_TIMEOUT)
