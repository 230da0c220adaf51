"""Requests that must not come by this listener or this connection: answered before a route is looked for."""

from __future__ import annotations

from netappliance.http.exchange.exchange import LiveExchange
from netappliance.http.exchange.reasons import ANSWERED
from netappliance.http.identity import ClientIdentity
from netappliance.http.message import Answer, Request
from netappliance.http.routing.redirect import redirect_answer


def misdirected(exchange: LiveExchange, request: Request, identity: ClientIdentity) -> bool:
    """
    Answer a request for a host that the connection's certificate is not for (RFC 9110 section 7.4), and one without TLS
    where there is a redirect to https.

    :return: whether it was answered.
    """
    tls = exchange.session.tls
    if tls is not None:
        # without Host (HTTP/1.0) there is nothing to be misdirected
        if not request.host or tls.serves(request.host):
            return False
        exchange.answer(Answer(421, "the certificate of this connection is not for this host"), ANSWERED)
        return True
    route = exchange.frontend.https_route
    if route is None or identity.secure(request):
        return False
    exchange.route = route
    exchange.answer(redirect_answer(route, exchange.seen(request, identity)), ANSWERED)
    return True
