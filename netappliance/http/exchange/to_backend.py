"""A request's way to a backend: attempts, one after another, and what was given of its body."""

from __future__ import annotations

from typing import Final

from netappliance.clusters.backend import Backend
from netappliance.http.backends.target import Target
from netappliance.http.exchange.reasons import NO_BACKEND, QUEUE_FULL
from netappliance.http.framing.response import ResponseFraming
from netappliance.http.identity import ClientIdentity
from netappliance.http.message import Answer, Request, Response
from netappliance.http.streams.stream import BackendStream, StreamUser
from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side, cause_of

#: methods that may be sent a second time (RFC 9110 section 9.2.2)
IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"))


class Failure:
    """No backend can be had: what the client is answered, and why."""

    __slots__ = ("answer", "reason")

    def __init__(self, answer: Answer, reason: CloseReason) -> None:
        self.answer = answer
        self.reason = reason


def unreachable(reason: CloseReason) -> Answer:
    """Return what the client is told after the last attempt; ``reason`` is that one's."""
    if reason.cause is Cause.TLS:
        return Answer(502, "TLS with the backend failed")
    return Answer(503, "no backend could be reached")


class WayToBackend:
    """
    The attempts of one request.

    :ivar stream: the present attempt, None between two and while the request is queued.
    :ivar backend: of the present or last attempt. :ivar attempts: connections tried. :ivar retries: tries beyond the
        first.
    :ivar tried: backends that failed. :ivar reused: a kept connection carries it. :ivar fresh: kept ones are not taken
        any more. :ivar cookie: value of its sticky cookie. :ivar queued_at: monotonic seconds, 0 = never.
    :ivar content: the part of the body that goes out with the head. :ivar trailers: the body's, None while more of it
        is to come. :ivar replayable: all that was sent can be sent again. :ivar sent_at: when, monotonic seconds.
    :ivar received: bytes of content so far. :ivar uploading_since: monotonic seconds.
    :ivar broke: how the connection broke; a response may be there all the same.
    """

    stream: BackendStream | None = None
    backend: Backend | None = None
    attempts: int = 0
    retries: int = 0
    tried: list[Backend] | None = None
    reused: bool = False
    fresh: bool = False
    cookie: bytes = b""
    queued_at: float = 0.0
    content: bytes = b""
    trailers: list[bytes] | None = None
    replayable: bool = False
    sent_at: float = 0.0
    received: int = 0
    uploading_since: float = 0.0
    broke: Cause | None = None

    def __init__(self, target: Target, request: Request, identity: ClientIdentity) -> None:
        self.target = target
        self.request = request
        self.identity = identity
        if not request.length:
            self.trailers = []

    def choose(
        self, user: StreamUser, framing: ResponseFraming, port: int, now: float, reason: CloseReason = NO_BACKEND
    ) -> Failure | None:
        """
        Take a kept connection, begin a new one, or queue; each attempt on another backend, if there is one.

        :param port: the client's. :param reason: how the exchange ends if no further attempt is possible.
        :return: None when ``stream`` is there, or somebody will call.
        """
        target, request = self.target, self.request
        cluster, pool = target.cluster, target.pool
        while self.attempts < target.retries:
            backend = self._pick(port, now) if target.particular else cluster.choose(b"", now, self.tried or ())
            if backend is None or (target.particular and backend.full):
                if backend is not None or cluster.full(now):
                    return self.wait(user, now)
                break
            self.backend = backend
            if not self.fresh:
                kept = pool.reuse(backend, surely=request.method not in IDEMPOTENT)
                if kept is not None:
                    self.reused = True
                    kept.begin(user, request.method, framing)
                    self.stream = kept
                    return None
            self.attempts += 1
            try:
                made = pool.connect(backend)
            except OSError as error:
                reason = self.attempt_failed(error)
                if not self.try_again("connect", now):
                    break
                continue
            made.begin(user, request.method, framing)
            self.stream = made
            return None
        return Failure(unreachable(reason), reason)

    def _pick(self, port: int, now: float) -> Backend | None:
        """Choose by the sticky cookie, which may name a full backend to wait for, or by the balance key."""
        target = self.target
        if self.cookie and target.sticky is not None and not self.tried:
            backend = target.sticky.backend(self.cookie, now)
            if backend is not None:
                return backend
        key = b""
        if target.balance_key is not None:
            key = target.balance_key.of(self.request, self.identity.believed(self.request), port)
        return target.cluster.choose(key, now, self.tried or ())

    def wait(self, user: StreamUser, now: float) -> Failure | None:
        """Queue for a place on a backend."""
        if not self.target.pool.wait(user):
            return Failure(Answer(503, "too many requests wait for a backend"), QUEUE_FULL)
        if not self.queued_at:
            self.queued_at = now
        return None

    def attempt_failed(self, error: OSError) -> CloseReason:
        """Book a failed attempt; return the reason to end with if it was the last."""
        backend, target = self.backend, self.target
        cause = cause_of(error)
        local = cause is Cause.RESOURCE
        self.backend = None
        if backend is not None:
            target.pool.failed(backend, blame=not local)
            self.tried = [*(self.tried or ()), backend]
        return CloseReason(Side.PROXY if local else Side.BACKEND, Phase.CONNECT, cause)

    def try_again(self, why: str, now: float) -> bool:
        """Say whether there is another try after this failure, and count it."""
        target = self.target
        if self.attempts >= target.retries or why not in target.retry_on or not target.cluster.retry(now):
            return False
        self.retries += 1
        return True

    def may_repeat(self, why: str, now: float) -> bool:
        """Say likewise after the request was sent: only if it may be sent twice, and nothing of a response has come."""
        stream = self.stream
        return self.replayable and stream is not None and not stream.begun() and self.try_again(why, now)

    def declines(self, status: int, now: float) -> bool:
        """Take notice of a response; True when another try is better than to pass it on."""
        target, backend = self.target, self.backend
        if target.judges and backend is not None:
            target.cluster.responded(backend, status, now - self.sent_at, now)
        return status in target.retry_statuses and self.may_repeat(str(status), now)

    def blame(self, status: int, now: float) -> None:
        """Count a failure of the backend; as :meth:`netappliance.clusters.cluster.Cluster.misbehaved`."""
        backend = self.backend
        if backend is not None:
            self.target.cluster.misbehaved(backend, status, now - self.sent_at, now)

    def connected(self, now: float) -> float:
        """Book a connection that is there; return the seconds that it took."""
        stream = self.stream
        if stream is None:
            return 0.0
        seconds = now - stream.connect_started()
        self.target.cluster.connect_succeeded(stream.whose(), seconds, now)
        return seconds

    def leave_stale(self) -> None:
        """Leave a kept connection that turned out to be dead, and take no kept one any more."""
        self.target.pool.stale += 1
        self._leave(clean=False)

    def leave_failed(self, *, clean: bool = False) -> None:
        """Leave a backend that failed: the next try is on another one, on a connection of its own."""
        backend = self.backend
        if backend is not None:
            self.tried = [*(self.tried or ()), backend]
        self._leave(clean=clean and self.trailers is not None and not self.request.binds)

    def _leave(self, *, clean: bool) -> None:
        stream, self.stream = self.stream, None
        self.fresh, self.reused, self.broke = True, False, None
        if stream is not None:
            stream.release(clean=clean)

    def stick(self, response: Response) -> None:
        """Tell the client which backend it has, where that is kept in a cookie."""
        sticky, stream = self.target.sticky, self.stream
        if sticky is not None and stream is not None:
            secure = self.identity.secure(self.request)
            cookie = sticky.set_cookie(self.cookie, stream.whose(), secure=secure)
            if cookie is not None:
                response.lines.append(cookie)

    def waits_for_100(self, interim: int) -> bool:
        """Say whether it is the backend's turn: the client may wait for its word before it sends the body."""
        return self.request.expect_continue and not self.received and not interim

    def over(self) -> None:
        """The response was read to its end: give the connection back."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.release(clean=self.trailers is not None and not self.request.binds)

    def give_up(self, user: StreamUser) -> None:
        """Let go of the connection and of the place in the queue."""
        stream, self.stream = self.stream, None
        if self.queued_at:
            self.target.pool.leave(user)
        if stream is not None:
            stream.release(clean=False)
