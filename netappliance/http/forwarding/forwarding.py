"""One exchange: route, filters, a backend's connection, the request to it, its response back."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from netappliance.clusters.backend import Backend
from netappliance.http import fields
from netappliance.http.forwarding import backend_attempts, deadlines, response_relay
from netappliance.http.forwarding.bodies import RequestBody, ResponseBody
from netappliance.http.forwarding.identity import ClientIdentity
from netappliance.http.forwarding.reasons import (
    ANSWERED,
    BACKEND_GARBAGE,
    BODY_GARBAGE,
    CLOSED_BY_US,
    DONE,
    REFUSED,
    REFUSED_SIZE,
    REQUEST_TIMEOUT,
)
from netappliance.http.message import Answer, Exchange, Refusal, Request, Response
from netappliance.http.routing.redirect import redirect_answer
from netappliance.sessions.reasons import INTERNAL, Cause, CloseReason, Phase, Side, cause_of

if TYPE_CHECKING:
    from netappliance.http.backends.upstream import Upstream
    from netappliance.http.forwarding.client import ClientConnection
    from netappliance.http.forwarding.tunnel import TunnelSession
    from netappliance.http.routing.route import Route
    from netappliance.http.service import Target


class Forwarding:
    """
    Forwards the requests of one client connection, one at a time; the object is used again for each.

    For the request's way to a backend: ``attempts`` (connections tried), ``tried`` (backends that failed), ``reused``
    (a kept connection carries it), ``cookie`` (its sticky one),
    ``fresh`` (kept ones are not taken any more), ``replay`` (all that was sent, while
    it may be sent again), ``broke`` (how the connection broke; a response may be there all the same), ``queued_at``
    (0: never).
    For the response: ``hold`` (a part of a head), ``interim`` (1xx so far), ``finishing`` (only the client's socket
    has to take it), ``keep_alive`` (the client's connection goes on).
    For both: ``outgoing`` (the request, or the rest of the response, that goes out at the end of the poller's round).

    :ivar exchange: what filters see, None while no filter asked. :ivar upstream: the backend's connection while it
        serves this exchange. :ivar response_began: a part of the response went to the client. :ivar status: of the
        response, 0 until there is one. :ivar reason: how the exchange ended. :ivar retries: attempts beyond the first.
    :ivar connect_s: seconds of the successful connect, 0 on a kept connection. :ivar first_byte_s: seconds until the
        response's head was there. :ivar rx_bytes: from the backend. :ivar tx_bytes: to it. :ivar booked: counted and
        logged.
    """

    __slots__ = (
        "attempts",
        "backend",
        "booked",
        "broke",
        "client",
        "connect_s",
        "cookie",
        "exchange",
        "finishing",
        "first_byte_s",
        "fresh",
        "hold",
        "interim",
        "keep_alive",
        "outgoing",
        "queued_at",
        "reason",
        "replay",
        "request",
        "request_body",
        "request_id",
        "response",
        "response_began",
        "response_body",
        "retries",
        "reused",
        "route",
        "rx_bytes",
        "sent_before",
        "started",
        "status",
        "target",
        "tried",
        "tx_bytes",
        "upstream",
    )

    def __init__(self, client: ClientConnection) -> None:
        self.client = client
        self._reset()
        self.booked = True

    def _reset(self) -> None:
        self.request: Request | None = None
        self.request_id = b""
        self.route: Route | None = None
        self.target: Target | None = None
        self.backend: Backend | None = None
        self.upstream: Upstream | None = None
        self.request_body: RequestBody | None = None
        self.response: Response | None = None
        self.response_body: ResponseBody | None = None
        self.response_began = False
        self.reason: CloseReason | None = None
        self.started = self.client.poller.now
        self.sent_before = self.client.sent
        self.status = self.retries = self.rx_bytes = self.tx_bytes = 0
        self.connect_s = self.first_byte_s = 0.0
        self.exchange: Exchange | None = None
        self.attempts = self.interim = 0
        self.queued_at = 0.0
        self.fresh = self.reused = self.finishing = self.keep_alive = False
        self.broke: Cause | None = None
        self.tried: list[Backend] | None = None
        self.replay = self.hold = self.cookie = self.outgoing = b""
        self.booked = False

    # -- the request --------------------------------------------------------------------------------------------------

    def start(self, request: Request) -> None:
        """Take up a request; its body, as far as it is there, is in the client's ``inbuf``."""
        self._reset()
        client = self.client
        service = client.service
        self.request = request
        identity = client.identity
        if identity is None:
            identity = client.identity = ClientIdentity(
                service.identity_rules, client.client, client.local, service.session_id(client.id)
            )
        self.request_id = (identity.trusted and identity.request_id(request)) or service.next_request_id()
        limit = service.section.max_body_size
        if limit and request.length > limit:
            self.answer(Answer(413, "the body is too large", close=True), REFUSED_SIZE)
            return
        self.route = route = service.router.find(request.host, request.target, request.method)
        if route is None:
            self.answer(Answer(404, "no route leads there"), ANSWERED)
            return
        chain = route.chain
        if chain is not None and chain.has_request:
            given = chain.request(self.make_exchange(identity))
            if given is not None:
                self.answer(given, ANSWERED)
                return
        if not route.cluster:
            self.answer(redirect_answer(route, self.exchange or self.make_exchange(identity)), ANSWERED)
            return
        self.target = target = service.targets[route.cluster]
        if client.cluster != route.cluster:
            service.table.rebook(client, route.cluster)
        if target.sticky is not None:
            self.cookie = target.sticky.take(request.lines)
        if request.length:
            self.request_body = RequestBody(self, client, request.length, limit)
        if target.pool.queue and target.pool.crowded():
            backend_attempts.wait(self)
        else:
            backend_attempts.choose(self)

    def make_exchange(self, identity: ClientIdentity) -> Exchange:
        """Make what filters see of this exchange."""
        client, request, route = self.client, self.request, self.route
        if request is None or route is None:
            raise RuntimeError("no request")
        self.exchange = exchange = Exchange(
            request,
            identity.believed(request),
            client.listener,
            client.local[1],
            identity.secure(request),
            route.name,
            route.cluster,
            route.captures(request.host, request.path),
            client.poller.now,
            self.request_id,
        )
        return exchange

    def upstream_connected(self) -> None:
        """The backend's connection is there: send the request."""
        upstream, target = self.upstream, self.target
        if upstream is None or target is None:
            return
        now = self.client.poller.now
        self.connect_s = now - upstream.connect_started
        target.cluster.connect_succeeded(upstream.backend, self.connect_s, now)
        backend_attempts.send_request(self, upstream)

    def backend_freed(self) -> None:
        """The queue's turn is ours."""
        backend_attempts.choose(self)

    def body_sent(self, data: bytes) -> None:
        """Book bytes for the backend."""
        size = len(data)
        self.tx_bytes += size
        self.client.tx_bytes += size

    def upstream_took(self) -> None:
        """The backend took a part of what waited: it is not silent."""
        self.client.last_active = self.client.poller.now

    def upstream_writable(self) -> None:
        """The backend takes bytes again."""
        upstream, body = self.upstream, self.request_body
        self.client.last_active = self.client.poller.now
        if upstream is not None and body is not None and not body.done:
            self.replay = b""
            body.pump(upstream)

    def client_readable(self, *, gone: bool) -> None:
        """The client sent something, or its FIN."""
        upstream, body, client = self.upstream, self.request_body, self.client
        if body is not None and not body.done:
            if upstream is not None and not upstream.connecting and upstream.out is None:
                self.replay = b""
                body.pump(upstream)
        elif gone and not (self.outgoing and self.response) and client.service.section.half_close == "abort":
            self.client_lost(Cause.FIN)

    def client_ended(self) -> None:
        """FIN in the middle of the request's body."""
        self.client.close(CloseReason(Side.CLIENT, Phase.REQUEST, Cause.FIN))

    def client_lost(self, cause: Cause) -> None:
        """The client went while the exchange was under way: the backend's work is aborted."""
        self.client.close(CloseReason(Side.CLIENT, Phase.DATA if self.response_began else Phase.HEADERS, cause))

    # -- the response -------------------------------------------------------------------------------------------------

    def upstream_readable(self) -> None:
        """The backend sent something, or its FIN."""
        upstream = self.upstream
        if upstream is None:
            return
        if self.outgoing:
            backend_attempts.before_request(self)
        elif self.response is None:
            response_relay.read(self, upstream)
        elif self.response_body is not None and self.client.out is None:
            self.response_body.pump(upstream)

    def received(self, count: int) -> None:
        """Book bytes of the backend."""
        client = self.client
        self.rx_bytes += count
        client.rx_bytes += count
        client.last_active = client.poller.now

    def response_done(self, rest: bytes) -> None:
        """All of the response went to the client's connection; ``rest`` is what the backend sent beyond it."""
        if self.release_upstream(rest):
            self._delivered()

    def release_upstream(self, rest: bytes) -> bool:
        """The response was read to its end: give the backend's connection back. False when there is none any more."""
        upstream, response, target, body = self.upstream, self.response, self.target, self.request_body
        request = self.request
        if upstream is None or response is None or target is None or request is None:
            return False
        self.upstream = None
        complete = (body is None or body.done) and not rest and upstream.out is None
        if response.keep_alive and complete and not upstream.ending and not request.binds:
            target.pool.keep(upstream)
        else:
            target.pool.drop(upstream)
        return True

    def _delivered(self) -> None:
        if self.client.out is None:
            self._finish()
        else:
            self.finishing = True

    def round_ended(self) -> None:
        """Send what waited for the end of the poller's round, unless the exchange ended meanwhile."""
        data, self.outgoing = self.outgoing, b""
        client, upstream = self.client, self.upstream
        if not data:
            return
        if self.response is None:
            if upstream is not None:
                upstream.write(data)
            return
        client.write(data)
        if client.state == "exchange":
            self._delivered()

    def client_writable(self) -> None:
        """The client took everything that waited."""
        if self.finishing:
            self._finish()
        elif self.upstream is not None and self.response_body is not None and self.upstream.readable:
            self.response_body.pump(self.upstream)

    # -- failures -----------------------------------------------------------------------------------------------------

    def refuse(self, refusal: Refusal) -> None:
        """Answer what was no request."""
        self._reset()
        self.request_id = self.client.service.next_request_id()
        self.client.service.refusals.count(refusal.why)
        limit = refusal.status in (413, 414, 431)
        reason = REQUEST_TIMEOUT if refusal.status == 408 else REFUSED_SIZE if limit else REFUSED
        self.client.state = "exchange"
        self.answer(Answer(refusal.status, refusal.why, close=True), reason)

    def request_refused(self, refusal: Refusal) -> None:
        """The body is not what its framing says."""
        self.client.service.refusals.count(refusal.why)
        reason = REFUSED_SIZE if refusal.status in (413, 431) else REFUSED
        self.answer(Answer(refusal.status, refusal.why, close=True), reason)

    def response_refused(self, refusal: Refusal) -> None:
        """The backend spoke garbage."""
        self.client.service.refusals.count_backend(refusal.why)
        self.blame()
        reason = BODY_GARBAGE if self.response_began else BACKEND_GARBAGE
        self.answer(Answer(502, "the backend's response is malformed"), reason)

    def upstream_failed(self, error: OSError) -> None:
        """A system call on the backend's connection failed."""
        backend_attempts.lost(self, cause_of(error), error)

    def upstream_ended(self) -> None:
        """FIN before the response was complete."""
        backend_attempts.lost(self, Cause.FIN, OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def blame(self) -> None:
        """Count a failure of the backend."""
        if self.backend is not None:
            self.backend.failures_total += 1
            self.client.service.totals.rx_errors += 1

    def crashed(self) -> None:
        """A bug in a callback of ours."""
        if self.status:
            # of that response something may be sent already
            self.client.close(INTERNAL)
        else:
            self.answer(Answer(500, close=True), INTERNAL)

    def answer(self, answer: Answer, reason: CloseReason) -> None:
        """Give a response of our own; where a backend's has begun the connection can only be cut."""
        client, request = self.client, self.request
        self.reason = reason
        if self.response_began:
            client.close(reason)
            return
        self._let_go()
        service = client.service
        route, identity = self.route, client.identity
        if route is not None and route.chain is not None and route.chain.has_response and identity is not None:
            answer = route.chain.answered(self.exchange or self.make_exchange(identity), answer)
        keep_alive = request is not None and request.keep_alive and not answer.close and not self._incomplete()
        self.keep_alive = keep_alive = keep_alive and client.may_go_on()
        self.status = answer.status
        accept = fields.get_all(request.lines, b"accept") if request is not None else []
        page = service.answers.render(
            answer,
            accept=b", ".join(accept),
            head_only=request is not None and request.method == b"HEAD",
            keep_alive=keep_alive,
            minor=request.minor if request is not None else 1,
            request_id=self.request_id,
            route=route.name if route is not None else "",
            cluster=route.cluster if route is not None else "",
            backend=self.backend.id if self.backend is not None else "",
        )
        client.write(page)
        if client.state != "exchange":
            return
        if client.out is None:
            self._finish()
        else:
            self.finishing = True

    def check(self, now: float) -> float:
        """Look at what is waited for; return the next deadline."""
        return deadlines.check(self, now)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Give up the backend's connection and the place in the queue."""
        upstream, target = self.upstream, self.target
        self.upstream = None
        self.outgoing = b""
        if target is not None:
            target.pool.leave(self)
            if upstream is not None:
                target.pool.drop(upstream)

    def _incomplete(self) -> bool:
        """True while some of the request may still come."""
        request, body = self.request, self.request_body
        return request is None or (request.length != 0 if body is None else not body.done)

    def _finish(self) -> None:
        """The response is with the client."""
        client = self.client
        keep_alive = self.keep_alive
        reason = self.reason or (DONE if keep_alive or client.ending else CLOSED_BY_US)
        self._book(reason)
        if keep_alive:
            client.exchange_over()
        else:
            client.end(reason, linger=client.readable or self._incomplete())

    def abandon(self, reason: CloseReason) -> None:
        """The client's connection is closed: end the exchange, if there is one."""
        self._let_go()
        self._book(reason)

    @property
    def kind(self) -> str:
        """What the log calls it."""
        return "websocket" if self.status == 101 else "http"

    @property
    def notes(self) -> dict[str, Any]:
        """What filters want in the log."""
        return self.exchange.notes if self.exchange is not None else {}

    def tunnel_ended(self, tunnel: TunnelSession, reason: CloseReason) -> None:
        """The tunnel that this exchange became is over."""
        self.rx_bytes += tunnel.rx_bytes
        self.tx_bytes += tunnel.tx_bytes
        self.client.sent += tunnel.sent_to_client
        self._book(reason)

    def _book(self, reason: CloseReason) -> None:
        """Count the exchange, log it, and tell its filters; once."""
        if self.booked:
            return
        self.booked = True
        self.reason = reason
        self.client.service.finished(self)
        route = self.route
        if self.exchange is not None and route is not None and route.chain is not None:
            route.chain.finished(self.exchange)
