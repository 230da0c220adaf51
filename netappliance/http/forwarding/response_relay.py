"""The response side of an exchange: interim responses, the final head, the switch to a body or a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netappliance.http.forwarding import head_writer
from netappliance.http.forwarding.bodies import ResponseBody
from netappliance.http.forwarding.tunnel import TunnelSession
from netappliance.http.message import Answer, Refusal, Response
from netappliance.sessions.reasons import INTERNAL

if TYPE_CHECKING:
    from netappliance.http.backends.sticky import Sticky
    from netappliance.http.backends.upstream import Upstream
    from netappliance.http.forwarding.forwarding import Forwarding

#: interim responses of one exchange; real backends send one or two
MAX_INTERIM = 16


def read(forwarding: Forwarding, upstream: Upstream) -> None:
    """Read until the final head is there, or there is no more."""
    client, request = forwarding.client, forwarding.request
    parse = client.service.response_framing.parse
    first_read = client.poller.buffer.first_read
    while forwarding.upstream is upstream and forwarding.response is None and request is not None:
        try:
            data = upstream.recv(first_read)
        except BlockingIOError:
            upstream.readable = False
            return
        except OSError as error:
            forwarding.upstream_failed(error)
            return
        count = len(data)
        if not count:
            forwarding.upstream_ended()
            return
        forwarding.received(count)
        if forwarding.hold:
            data = forwarding.hold + data
            forwarding.hold = b""
        upstream.readable = more = count == first_read or upstream.ending
        at = 0
        while True:
            parsed = parse(data, request.method, at)
            if parsed is None:
                forwarding.hold = data[at:]
                break
            response, at = parsed
            if isinstance(response, Refusal):
                forwarding.response_refused(response)
                return
            if response.status >= 200:
                _respond(forwarding, upstream, response, data, at)
                return
            if not _take_interim(forwarding, upstream, response, data[at:]):
                return
        if not more:
            return


def _take_interim(forwarding: Forwarding, upstream: Upstream, response: Response, rest: bytes) -> bool:
    """Pass a 1xx on; False when that was the end of the exchange."""
    client, request = forwarding.client, forwarding.request
    if response.status == 101:
        _upgrade(forwarding, upstream, response, rest)
        return False
    forwarding.interim += 1
    if forwarding.interim > MAX_INTERIM:
        forwarding.response_refused(Refusal(502, "too many interim responses"))
        return False
    forwarding.replay = b""
    if request is not None and request.minor:
        client.write(head_writer.interim_head(response))
    return forwarding.upstream is upstream


def _respond(forwarding: Forwarding, upstream: Upstream, response: Response, data: bytes, at: int) -> None:
    client, request, route, target = forwarding.client, forwarding.request, forwarding.route, forwarding.target
    if request is None or route is None or target is None:
        return
    forwarding.response = response
    forwarding.status = response.status
    forwarding.first_byte_s = client.poller.now - forwarding.started
    forwarding.replay = b""
    if target.sticky is not None:
        _stick(forwarding, target.sticky, upstream, response)
    if route.chain is not None and (forwarding.exchange is not None or route.chain.has_response):
        failed = _filter(forwarding, response)
        if failed is not None:
            forwarding.answer(failed, INTERNAL)
            return
    length, minor = response.length, request.minor
    # a body of unknown length ends with the connection of a client that knows no chunks
    keep_alive = request.keep_alive and (length >= 0 or minor == 1) and client.may_go_on()
    if keep_alive and forwarding.request_body is not None:
        # the rest of a body is never read as a request, so it has to be there
        keep_alive = forwarding.request_body.done
    forwarding.keep_alive = keep_alive
    forwarding.response_began = True
    head = head_writer.response_head(response, minor, keep_alive=keep_alive)
    end = at + length
    if at <= end <= len(data):
        forwarding.outgoing = head + data[at:end]
        if forwarding.release_upstream(data[end:]):
            client.poller.at_round_end(forwarding)
        return
    body = forwarding.response_body = ResponseBody(forwarding, client, length, framed=length < 0 and minor == 1)
    taken = body.take(data[at:])
    if isinstance(taken, Refusal):
        forwarding.response_began = False
        forwarding.response_refused(taken)
        return
    client.write(head + taken[0])
    if body.done:
        forwarding.response_done(taken[1])
    elif upstream.readable and client.out is None and forwarding.upstream is upstream:
        body.pump(upstream)


def _stick(forwarding: Forwarding, sticky: Sticky, upstream: Upstream, response: Response) -> None:
    client, request = forwarding.client, forwarding.request
    secure = client.identity.secure(request) if client.identity is not None and request is not None else False
    cookie = sticky.set_cookie(forwarding.cookie, upstream.backend, secure=secure)
    if cookie is not None:
        response.lines.append(cookie)


def _filter(forwarding: Forwarding, response: Response) -> Answer | None:
    route, identity = forwarding.route, forwarding.client.identity
    if route is None or route.chain is None or identity is None:
        return None
    answer: Answer | None = route.chain.response(forwarding.exchange or forwarding.make_exchange(identity), response)
    return answer


def _upgrade(forwarding: Forwarding, upstream: Upstream, response: Response, rest: bytes) -> None:
    client, request, target = forwarding.client, forwarding.request, forwarding.target
    wanted = request.upgrade.lower().split(b", ") if request is not None and request.upgrade else []
    if target is None or response.upgrade.lower() not in wanted:
        forwarding.response_refused(Refusal(502, "upgrade that nobody asked for"))
        return
    forwarding.response, forwarding.status = response, 101
    forwarding.first_byte_s = client.poller.now - forwarding.started
    if target.sticky is not None:
        _stick(forwarding, target.sticky, upstream, response)
    chain = forwarding.route.chain if forwarding.route is not None else None
    failed = _filter(forwarding, response) if chain is not None and chain.has_response else None
    if failed is not None:
        forwarding.answer(failed, INTERNAL)
        return
    head = head_writer.interim_head(response)
    forwarding.upstream = None
    tunnel = TunnelSession(client, upstream, forwarding)
    tunnel.start(head + rest, client.inbuf)
