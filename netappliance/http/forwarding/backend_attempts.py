"""The request side of an exchange: a backend, a connection to it, the request; and another one when that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netappliance.http.forwarding import head_writer
from netappliance.http.forwarding.reasons import NO_BACKEND, QUEUE_FULL
from netappliance.http.message import Answer, Refusal
from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side, cause_of

if TYPE_CHECKING:
    from netappliance.clusters.backend import Backend
    from netappliance.http.backends.upstream import Upstream
    from netappliance.http.forwarding.forwarding import Forwarding
    from netappliance.http.message import Request
    from netappliance.http.service import Target

#: methods that may be sent a second time (RFC 9110 section 9.2.2)
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"))


def choose(forwarding: Forwarding, reason: CloseReason = NO_BACKEND) -> None:
    """Send the request on a kept connection, or begin a new one; each attempt on another backend, if there is one."""
    target, request, client = forwarding.target, forwarding.request, forwarding.client
    if target is None or request is None:
        return
    cluster, pool = target.cluster, target.pool
    now = client.poller.now
    while forwarding.attempts < target.retries:
        if target.particular:
            backend = _pick(forwarding, target, request, now)
        else:
            backend = cluster.choose(b"", now, forwarding.tried or ())
        if backend is None or (target.particular and backend.full):
            if backend is not None or cluster.full(now):
                wait(forwarding)
                return
            break
        upstream = None
        if not forwarding.fresh:
            upstream = pool.reuse(backend, careful=request.method not in _IDEMPOTENT)
        forwarding.backend = backend
        if upstream is not None:
            forwarding.reused = True
            upstream.user = forwarding
            forwarding.upstream = upstream
            send_request(forwarding, upstream)
            return
        if forwarding.attempts:
            forwarding.retries += 1
        forwarding.attempts += 1
        try:
            upstream = pool.connect(backend)
        except OSError as error:
            reason = attempt_failed(forwarding, error)
            continue
        upstream.user = forwarding
        forwarding.upstream = upstream
        client.expect(target.connect_timeout_s)
        return
    forwarding.answer(Answer(503, "no backend could be reached"), reason)


def _pick(forwarding: Forwarding, target: Target, request: Request, now: float) -> Backend | None:
    """Choose by the sticky cookie, which may name a full backend to wait for, or by the balance key."""
    client = forwarding.client
    if forwarding.cookie and target.sticky is not None and not forwarding.tried:
        backend = target.sticky.backend(forwarding.cookie, now)
        if backend is not None:
            return backend
    key = b""
    if target.balance_key is not None and client.identity is not None:
        key = target.balance_key.of(request, client.identity.believed(request), client.client[1])
    return target.cluster.choose(key, now, forwarding.tried or ())


def attempt_failed(forwarding: Forwarding, error: OSError) -> CloseReason:
    """Book a failed attempt; return the reason to end with if it was the last."""
    backend, target = forwarding.backend, forwarding.target
    cause = cause_of(error)
    local = cause is Cause.RESOURCE
    forwarding.backend = None
    if backend is not None and target is not None:
        target.pool.failed(backend, blame=not local)
        forwarding.tried = [*(forwarding.tried or ()), backend]
    return CloseReason(Side.PROXY if local else Side.BACKEND, Phase.CONNECT, cause)


def wait(forwarding: Forwarding) -> None:
    """Queue for a place on a backend."""
    target, client = forwarding.target, forwarding.client
    if target is None:
        return
    if not target.pool.wait(forwarding):
        forwarding.answer(Answer(503, "too many requests wait for a backend"), QUEUE_FULL)
        return
    if not forwarding.queued_at:
        forwarding.queued_at = client.poller.now
        client.expect(target.queue_timeout_s)


def send_request(forwarding: Forwarding, upstream: Upstream) -> None:
    """Write the request on a connection, with as much of its body as is there."""
    client, request, identity = forwarding.client, forwarding.request, forwarding.client.identity
    if request is None or identity is None:
        return
    now = client.poller.now
    client.last_active = now
    body = forwarding.request_body
    payload = forwarding.replay or head_writer.request_head(request, identity, forwarding.request_id)
    if body is not None and not body.done and client.inbuf:
        taken = body.take(client.inbuf)
        if isinstance(taken, Refusal):
            forwarding.request_refused(taken)
            return
        payload += taken[0]
        client.inbuf = taken[1]
    if forwarding.reused and request.method in _IDEMPOTENT:
        forwarding.replay = payload
    forwarding.body_sent(payload)
    if forwarding.reused and (body is None or body.done):
        forwarding.outgoing = payload
        client.poller.at_round_end(forwarding)
        return
    upstream.write(payload)
    if body is not None and forwarding.upstream is upstream:
        body.started = now
        if not body.done and client.readable:
            forwarding.replay = b""  # more goes out than it holds
            body.pump(upstream)


def lost(forwarding: Forwarding, cause: Cause, error: OSError) -> None:
    """The backend's connection broke or ended: try another, or say so to the client."""
    upstream, target = forwarding.upstream, forwarding.target
    if upstream is None or target is None:
        return
    if forwarding.outgoing:
        before_request(forwarding)
    elif upstream.connecting:
        forwarding.upstream = None
        upstream.user = None
        upstream.poller.close(upstream.sock)
        choose(forwarding, attempt_failed(forwarding, error))
    elif forwarding.reused and forwarding.replay and not forwarding.hold:
        # the backend closed the kept connection while we wrote: nothing of this request was answered
        forwarding.retries += 1
        _choose_afresh(forwarding, target, upstream)
    elif forwarding.broke is None:
        # a backend that answers early and closes makes our write fail: its response may be there all the same
        forwarding.broke = cause
        upstream.out = None
        upstream.readable = upstream.ending = True
        forwarding.upstream_readable()
    else:
        forwarding.blame()
        phase = Phase.DATA if forwarding.response_began else Phase.HEADERS
        reason = CloseReason(Side.BACKEND, phase, forwarding.broke)
        forwarding.answer(Answer(502, "the backend ended before its response"), reason)


def before_request(forwarding: Forwarding) -> None:
    """A kept connection spoke or ended while the request waited for the end of the round: it goes to another one."""
    upstream, target = forwarding.upstream, forwarding.target
    if upstream is None or target is None:
        return
    # what was taken of the body is in there, so it is sent from there
    forwarding.replay, forwarding.outgoing = forwarding.outgoing, b""
    forwarding.tx_bytes -= len(forwarding.replay)
    forwarding.client.tx_bytes -= len(forwarding.replay)
    _choose_afresh(forwarding, target, upstream)


def _choose_afresh(forwarding: Forwarding, target: Target, upstream: Upstream) -> None:
    """Leave a kept connection that turned out stale, and take no kept one any more."""
    forwarding.upstream = None
    target.pool.stale += 1
    target.pool.drop(upstream)
    forwarding.fresh, forwarding.reused = True, False
    choose(forwarding)
