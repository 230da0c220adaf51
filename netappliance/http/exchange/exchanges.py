"""The exchanges of one listener begin here."""

from __future__ import annotations

from netappliance.http.exchange.exchange import LiveExchange
from netappliance.http.exchange.misdirected import misdirected
from netappliance.http.exchange.reasons import REFUSED, REFUSED_SIZE, REQUEST_TIMEOUT
from netappliance.http.frontend import Frontend
from netappliance.http.identity import ClientIdentity
from netappliance.http.message import Answer, Refusal, Request
from netappliance.http.streams.session import HttpSession
from netappliance.http.streams.stream import ClientStream, Exchanges


class FrontendExchanges(Exchanges):
    """Begins the exchanges of one listener."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend

    def begin(self, stream: ClientStream, session: HttpSession, request: Request) -> None:
        """Take up a request."""
        frontend = self.frontend
        identity = session.identity
        if identity is None:
            rules = frontend.identity_rules
            tls = session.tls
            certificate = b"" if tls is None or tls.client is None else tls.client.forwarded()
            session_id = frontend.ids.of_session(session.id)
            identity = ClientIdentity(rules, session.client, session.local, session_id, certificate)
            session.identity = identity
        request_id = (identity.trusted and identity.request_id(request)) or frontend.ids.next()
        exchange = LiveExchange(frontend, stream, session, request, request_id)
        stream.attach(exchange)
        if not frontend.guarded or not misdirected(exchange, request, identity):
            exchange.start(request, identity)

    def refuse(self, stream: ClientStream, session: HttpSession, refusal: Refusal) -> None:
        """Answer what was no request."""
        frontend = self.frontend
        exchange = LiveExchange(frontend, stream, session, None, frontend.ids.next())
        stream.attach(exchange)
        frontend.refusals.count(refusal.why)
        limit = refusal.status in (414, 431)
        reason = REQUEST_TIMEOUT if refusal.status == 408 else REFUSED_SIZE if limit else REFUSED
        exchange.answer(Answer(refusal.status, refusal.why, close=True), reason)
