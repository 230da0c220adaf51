"""One exchange: route, filters, a way to a backend, the response back, deadlines, the books."""

from __future__ import annotations

import errno
import os
from socket import SocketType
from typing import Final

from netappliance.http.exchange import deadlines
from netappliance.http.exchange.reasons import (
    ANSWERED,
    BACKEND_GARBAGE,
    BACKEND_STALLED,
    BACKEND_TIMEOUT,
    BODY_GARBAGE,
    CLOSED_BY_US,
    DONE,
    NO_BACKEND,
    QUEUE_TIMEOUT,
    REFUSED,
    REFUSED_SIZE,
    REQUEST_TIMEOUT,
)
from netappliance.http.exchange.to_backend import IDEMPOTENT, Failure, WayToBackend, unreachable
from netappliance.http.exchange.tunnel import TunnelOwner, TunnelSession
from netappliance.http.framing.chunked import Pieces
from netappliance.http.frontend import Frontend
from netappliance.http.identity import ClientIdentity
from netappliance.http.message import Answer, Refusal, Request, Response
from netappliance.http.record import Record
from netappliance.http.routing.redirect import redirect_answer
from netappliance.http.streams.session import HttpSession
from netappliance.http.streams.stream import BackendStream, ClientStream
from netappliance.sessions.reasons import INTERNAL, Cause, CloseReason, Phase, Side, cause_of

#: interim responses of one exchange; real backends send one or two
MAX_INTERIM: Final = 16


class LiveExchange(Record, TunnelOwner):
    """
    An exchange under way.

    :ivar stream: the client's side. :ivar way: the backend's side; None while the request has none to go to.
    :ivar interim: responses of 1xx so far. :ivar began: a part of the final response was given to the client.
    :ivar booked: counted and logged.
    """

    way: WayToBackend | None = None
    interim: int = 0
    began: bool = False
    booked: bool = False

    def __init__(
        self, frontend: Frontend, stream: ClientStream, session: HttpSession, request: Request | None, request_id: bytes
    ) -> None:
        super().__init__(session, request, request_id, frontend.poller.now)
        self.frontend = frontend
        self.stream = stream

    # -- the request --------------------------------------------------------------------------------------------------

    def start(self, request: Request, identity: ClientIdentity) -> None:
        """Find out where the request goes, and send it there."""
        frontend = self.frontend
        limit = frontend.limits.max_body_size
        if limit and request.length > limit:
            self.answer(Answer(413, "the body is too large", close=True), REFUSED_SIZE)
            return
        self.route = route = frontend.router.find(request.host, request.target, request.method)
        if route is None:
            self.answer(Answer(404, "no route leads there"), ANSWERED)
            return
        chain = route.chain
        if chain is not None and chain.has_request:
            given = chain.request(self.seen(request, identity))
            if given is not None:
                self.answer(given, ANSWERED)
                return
        if not route.cluster:
            self.answer(redirect_answer(route, self.seen(request, identity)), ANSWERED)
            return
        target = frontend.targets[route.cluster]
        session = self.session
        if session.cluster != route.cluster:
            frontend.table.rebook(session, route.cluster)
        self.way = way = WayToBackend(target, request, identity)
        if target.sticky is not None:
            way.cookie = target.sticky.take(request.lines)
        pool = target.pool
        if pool.queue and pool.crowded():
            self._go_on(way, way.wait(self, frontend.poller.now))
            return
        failure = way.choose(self, frontend.response_framing, session.client[1], self.started)
        if way.reused and way.stream is not None:
            self.backend = way.backend
            self._send_request(way, way.stream)
        else:
            self._go_on(way, failure)

    def _choose(self, way: WayToBackend, reason: CloseReason) -> None:
        frontend = self.frontend
        now = frontend.poller.now
        self._go_on(way, way.choose(self, frontend.response_framing, self.session.client[1], now, reason))

    def _go_on(self, way: WayToBackend, failure: Failure | None) -> None:
        """Send the request if there is a connection, wait for one, or say that there is none."""
        stream = way.stream
        if failure is not None:
            self.backend, self.retries = way.backend, way.retries
            self.answer(failure.answer, failure.reason)
        elif stream is None:
            self.stream.expect(way.target.queue_timeout_s)
        elif stream.is_connecting():
            self.backend = way.backend
            self.stream.expect(way.target.connect_timeout_s)
        else:
            self.backend = way.backend
            self._send_request(way, stream)

    def _send_request(self, way: WayToBackend, stream: BackendStream) -> None:
        """Send the request on a connection, with as much of its body as is there."""
        now = self.frontend.poller.now
        self.session.last_active = now
        if way.trailers is None:
            taken = self.stream.take_body()
            if isinstance(taken, Refusal):
                self.client_refused(taken)
                return
            content, way.trailers = taken
            way.received += len(content)
            way.content = way.content + content if way.content else content
            way.uploading_since = now
        way.replayable, way.sent_at = way.request.method in IDEMPOTENT, now
        stream.request(way.request, way.identity, self.request_id, way.content, way.trailers)
        if way.trailers is None and way.stream is stream:
            self.stream.resume()

    def client_body(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """Pass a part of the body on."""
        way = self.way
        if way is None:
            return False
        way.received += size
        way.trailers = trailers
        stream = way.stream
        if stream is None:
            return False
        way.replayable = False
        stream.send_more(pieces, size, trailers)
        return way.stream is stream and way.broke is None and not stream.blocked()

    def backend_connected(self) -> None:
        """The connection is there: send the request."""
        way = self.way
        if way is not None and way.stream is not None:
            self.connect_s = way.connected(self.frontend.poller.now)
            self._send_request(way, way.stream)

    def backend_freed(self) -> None:
        """The queue's turn is ours."""
        if self.way is not None:
            self._choose(self.way, NO_BACKEND)

    def backend_sent(self, count: int) -> None:
        """Book bytes for the backend; a negative count takes back what was not sent."""
        self.tx_bytes += count
        self.session.tx_bytes += count

    def backend_took(self) -> None:
        """The backend took a part of what waited: it is not silent."""
        self.session.last_active = self.frontend.poller.now

    def backend_room(self) -> None:
        """The backend takes bytes again."""
        way = self.way
        self.session.last_active = self.frontend.poller.now
        if way is not None and way.trailers is None and way.broke is None:
            way.replayable = False
            self.stream.resume()

    # -- the response -------------------------------------------------------------------------------------------------

    def backend_received(self, count: int) -> None:
        """Book bytes of the backend."""
        session = self.session
        self.rx_bytes += count
        session.rx_bytes += count
        session.last_active = self.frontend.poller.now

    def backend_interim(self, response: Response, rest: bytes) -> bool:
        """Pass a 1xx on, or become a tunnel."""
        way = self.way
        stream = way.stream if way is not None else None
        if way is None or stream is None:
            return False
        if response.status == 101:
            self._upgrade(way, stream, response, rest)
            return False
        self.interim += 1
        if self.interim > MAX_INTERIM:
            self.backend_refused(Refusal(502, "too many interim responses"))
            return False
        way.replayable = False
        self.stream.interim(response)
        return way.stream is stream

    def backend_responded(self, response: Response, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """Give the client the final response, or its beginning."""
        way = self.way
        if way is None:
            return False
        now = self.frontend.poller.now
        self.status = response.status
        self.first_byte_s = now - self.started
        chain = self.route.chain if self.route is not None else None
        if way.target.attentive or (chain is not None and chain.has_response):
            if way.declines(response.status, now):
                self._repeat(way, clean=trailers is not None)
                return False
            failed = self._dress(way, response)
            if failed is not None:
                self.answer(failed, INTERNAL)
                return False
        if trailers is not None:
            way.over()
        way.replayable = False
        self.began = True
        self.stream.respond(response, pieces, size, trailers, close=False)
        return way.stream is not None and not self.stream.blocked()

    def _dress(self, way: WayToBackend, response: Response) -> Answer | None:
        """Add the sticky cookie and run the filters; return the answer to give instead when one raised."""
        way.stick(response)
        chain = self.route.chain if self.route is not None else None
        if chain is None or not chain.has_response:
            return None
        answer: Answer | None = chain.response(self.seen(way.request, way.identity), response)
        return answer

    def backend_body(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """Pass a part of the response's body on."""
        way = self.way
        if way is None:
            return False
        if trailers is not None:
            way.over()
        self.stream.send_more(pieces, size, trailers)
        return way.stream is not None and not self.stream.blocked()

    def client_room(self) -> None:
        """The client took everything that waited."""
        way = self.way
        if self.began and way is not None and way.stream is not None:
            way.stream.resume()

    def _upgrade(self, way: WayToBackend, stream: BackendStream, response: Response, rest: bytes) -> None:
        """Become a tunnel, if that is what the client asked for."""
        wanted = way.request.upgrade.lower().split(b", ") if way.request.upgrade else []
        if response.upgrade.lower() not in wanted:
            self.backend_refused(Refusal(502, "upgrade that nobody asked for"))
            return
        self.status = 101
        self.first_byte_s = self.frontend.poller.now - self.started
        failed = self._dress(way, response)
        if failed is not None:
            self.answer(failed, INTERNAL)
            return
        way.stream = None
        behind = stream.detach()
        behind.unread = rest
        before = self.stream.switch(response)
        tunnel = TunnelSession(self.frontend, self.session, before, behind, stream.whose(), way.target.pool, self)
        # whatever happens from here on is the tunnel's
        self.frontend.poller.call(tunnel.start)

    # -- failures -----------------------------------------------------------------------------------------------------

    def client_refused(self, refusal: Refusal) -> None:
        """Answer a body that is not what its framing says."""
        self.frontend.refusals.count(refusal.why)
        reason = REFUSED_SIZE if refusal.status in (413, 431) else REFUSED
        self.answer(Answer(refusal.status, refusal.why, close=True), reason)

    def client_gone(self, cause: Cause) -> None:
        """The client went while the exchange was under way: the backend's work is aborted."""
        self.stream.cut(CloseReason(Side.CLIENT, Phase.DATA if self.began else Phase.HEADERS, cause))

    def backend_refused(self, refusal: Refusal) -> None:
        """The backend spoke garbage."""
        self.frontend.refusals.count_backend(refusal.why)
        self._blame()
        reason = BODY_GARBAGE if self.began else BACKEND_GARBAGE
        self.answer(Answer(502, "the backend's response is malformed"), reason)

    def backend_failed(self, cause: Cause, error: OSError) -> None:
        """The backend's connection broke or ended: try another, or say so to the client."""
        way = self.way
        stream = way.stream if way is not None else None
        if way is None or stream is None:
            return
        now = self.frontend.poller.now
        self.stream.pause()
        taken_back = stream.recall()
        if taken_back:
            # a kept connection spoke or ended before the request was sent
            self.backend_sent(-taken_back)
            way.leave_stale()
            self._choose(way, NO_BACKEND)
        elif stream.is_connecting():
            way.stream = None
            stream.abort()
            reason = way.attempt_failed(error)
            if way.try_again("connect", now):
                self._choose(way, reason)
            else:
                self.answer(unreachable(reason), reason)
        elif way.reused and way.broke is None and way.may_repeat("broken", now):
            # the backend closed the kept connection while we wrote: nothing of this request was answered
            way.leave_stale()
            self._choose(way, NO_BACKEND)
        elif way.broke is None:
            # a backend that answers early and closes makes our write fail: its response may be there all the same
            way.broke = cause
            stream.last_words()
        else:
            self._blame()
            if not way.reused and way.may_repeat("broken", now):
                self._repeat(way)
            else:
                reason = CloseReason(Side.BACKEND, Phase.DATA if self.began else Phase.HEADERS, way.broke)
                self.answer(Answer(502, "the backend ended before its response"), reason)

    def _repeat(self, way: WayToBackend, *, clean: bool = False) -> None:
        """Send the request once more, to another backend; ``clean``: the response to it was read to its end."""
        self.status = 0
        way.leave_failed(clean=clean)
        self._choose(way, NO_BACKEND)

    def _blame(self, status: int = 0) -> None:
        """Count a failure of the backend; ``status``: what its silence is answered with."""
        way = self.way
        if way is not None:
            way.blame(status, self.frontend.poller.now)
            self.frontend.totals.rx_errors += 1

    def crashed(self) -> None:
        """A bug in a callback of ours."""
        if self.status:
            # of that response something may be sent already
            self.stream.cut(INTERNAL)
        else:
            self.answer(Answer(500, close=True), INTERNAL)

    def answer(self, answer: Answer, reason: CloseReason) -> None:
        """Give a response of our own; where a backend's has begun the connection can only be cut."""
        self.reason = reason
        if self.began:
            self.stream.cut(reason)
            return
        self._let_go()
        answer = self.dressed(answer)
        self.status = answer.status
        response, body = self.render(self.frontend.answers, answer)
        self.stream.respond(response, [body] if body else [], len(body), [], close=answer.close)

    # -- deadlines ----------------------------------------------------------------------------------------------------

    def check(self, now: float) -> float:
        """Look at what is waited for; return the next deadline."""
        way = self.way
        if way is None:
            # nothing is waited for: a callback raised at a moment when nobody knew whose it was
            self.stream.cut(INTERNAL)
            return 0.0
        wait, deadline = deadlines.look(way, self.frontend.limits, self.session.last_active, now, self.interim)
        if now < deadline:
            return deadline
        if wait == deadlines.CONNECT:
            error = OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            self.backend_failed(cause_of(error), error)
        elif wait == deadlines.BODY:
            self.answer(Answer(408, "the request's body came too slowly", close=True), REQUEST_TIMEOUT)
        elif wait == deadlines.PLACE:
            way.target.pool.queue_timeouts += 1
            self.answer(Answer(503, "no backend became free in time"), QUEUE_TIMEOUT)
        else:
            self._blame(504)
            if way.may_repeat("timeout", now):
                self._repeat(way)
                return deadline
            reason = BACKEND_STALLED if self.began else BACKEND_TIMEOUT
            self.answer(Answer(504, "the backend did not answer in time"), reason)
        return deadline

    # -- the end ------------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Give up the backend's connection and the place in the queue."""
        way = self.way
        if way is not None:
            self.backend, self.retries = way.backend or self.backend, way.retries
            way.give_up(self)

    def delivered(self, *, goes_on: bool) -> CloseReason:
        """The response is with the client."""
        reason = self.reason or (DONE if goes_on else CLOSED_BY_US)
        self._book(reason)
        return reason

    def abandoned(self, reason: CloseReason) -> None:
        """The client's connection is closed: end the exchange."""
        self._let_go()
        self._book(reason)

    def tunnel_ended(self, tunnel: TunnelSession, reason: CloseReason) -> None:
        """The tunnel that this exchange became is over."""
        self.rx_bytes += tunnel.rx_bytes
        self.tx_bytes += tunnel.tx_bytes
        self.sent_bytes = tunnel.sent_to_client
        self._book(reason)

    def sockets(self) -> tuple[SocketType, ...]:
        """Return the backend's, while there is one."""
        way = self.way
        return () if way is None or way.stream is None else (way.stream.socket(),)

    def _book(self, reason: CloseReason) -> None:
        """Count the exchange, log it, and tell its filters; once."""
        if self.booked:
            return
        self.booked = True
        self.reason = reason
        frontend, way, request = self.frontend, self.way, self.request
        statistics = frontend.local if way is None else way.target.statistics
        seconds = frontend.poller.now - self.started
        statistics.finished(b"" if request is None else request.method, self.status, seconds)
        if way is not None and way.retries:
            self.retries = way.retries
            statistics.retries += way.retries
        log = frontend.log
        if log is not None:
            self.sent_bytes += self.stream.response_bytes()
            log.write(self, seconds)
        chain = self.route.chain if self.route is not None else None
        if chain is not None and chain.has_finished and self.view is not None:
            chain.finished(self.view)
