"""What an exchange waits for, and for how long."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from netappliance.http.forwarding.reasons import (
    BACKEND_STALLED,
    BACKEND_TIMEOUT,
    CLIENT_TIMEOUT,
    QUEUE_TIMEOUT,
    REQUEST_TIMEOUT,
)
from netappliance.http.message import Answer
from netappliance.sessions.reasons import INTERNAL

if TYPE_CHECKING:
    from netappliance.http.forwarding.bodies import RequestBody
    from netappliance.http.forwarding.forwarding import Forwarding
    from netappliance.http.service import Target


def check(forwarding: Forwarding, now: float) -> float:
    """Look at what the exchange waits for; return the next deadline."""
    client, upstream, target, body = forwarding.client, forwarding.upstream, forwarding.target, forwarding.request_body
    section = client.service.section
    last = client.last_active
    if client.out is not None:
        if now < last + section.client_timeout_s:
            return last + section.client_timeout_s
        client.close(CLIENT_TIMEOUT)
        return 0.0
    if upstream is None:
        return _check_queue(forwarding, now, target)
    if upstream.connecting and target is not None:
        deadline = upstream.connect_started + target.connect_timeout_s
        if now >= deadline:
            forwarding.upstream_failed(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        return deadline
    uploading = body is not None and not body.done and upstream.out is None and forwarding.broke is None
    if uploading and body is not None and not _waits_for_100(forwarding, body):
        return _check_body(forwarding, now, body)
    deadline = last + section.backend_timeout_s
    if now >= deadline:
        forwarding.blame()
        began = forwarding.response_began
        forwarding.answer(
            Answer(504, "the backend did not answer in time"), BACKEND_STALLED if began else BACKEND_TIMEOUT
        )
    return deadline


def _waits_for_100(forwarding: Forwarding, body: RequestBody) -> bool:
    """True while it is the backend's turn: the client may wait for its word before it sends the body."""
    request = forwarding.request
    return request is not None and request.expect_continue and not body.received and not forwarding.interim


def _check_queue(forwarding: Forwarding, now: float, target: Target | None) -> float:
    if target is None or not forwarding.queued_at:
        # nothing is waited for: a callback raised at a moment when nobody knew whose it was
        forwarding.client.close(INTERNAL)
        return 0.0
    deadline = forwarding.queued_at + target.queue_timeout_s
    if now >= deadline:
        target.pool.queue_timeouts += 1
        forwarding.answer(Answer(503, "no backend became free in time"), QUEUE_TIMEOUT)
    return deadline


def _check_body(forwarding: Forwarding, now: float, body: RequestBody) -> float:
    section = forwarding.client.service.section
    deadline = forwarding.client.last_active + section.client_timeout_s
    lasted = now - body.started
    slow = section.min_body_rate and body.received and lasted > section.request_timeout_s
    if now >= deadline or (slow and body.received < section.min_body_rate * lasted):
        forwarding.answer(Answer(408, "the request's body came too slowly", close=True), REQUEST_TIMEOUT)
    return deadline
