"""What is known of an exchange when it is over: for logs, counters and the manhole."""

from __future__ import annotations

from typing import Any

from mypy_extensions import trait

from netappliance.clusters.backend import Backend
from netappliance.http import fields
from netappliance.http.answers import Answers
from netappliance.http.identity import ClientIdentity
from netappliance.http.message import Answer, Exchange, Request, Response
from netappliance.http.routing.route import Route
from netappliance.http.streams.session import HttpSession
from netappliance.http.streams.stream import StreamUser
from netappliance.sessions.reasons import CloseReason


class Record(StreamUser):
    """
    One request and what became of it.

    :ivar session: the client's connection. :ivar request: None when there was none, but a refusal.
    :ivar route: None when none was found. :ivar backend: the last one that was tried.
    :ivar view: what filters see, None while no filter asked. :ivar status: of the response, 0 = none was sent.
    :ivar reason: how it ended. :ivar retries: attempts on backends beyond the first.
    :ivar started: when the head was there, monotonic seconds. :ivar connect_s: of the successful connect, 0 on a kept
        connection. :ivar first_byte_s: until the response's head was there, 0 = it never was.
    :ivar rx_bytes: from backends. :ivar tx_bytes: to them. :ivar sent_bytes: to the client.
    """

    backend: Backend | None = None
    view: Exchange | None = None
    status: int = 0
    reason: CloseReason | None = None
    route: Route | None = None
    retries: int = 0
    connect_s: float = 0.0
    first_byte_s: float = 0.0
    rx_bytes: int = 0
    tx_bytes: int = 0
    sent_bytes: int = 0

    def __init__(self, session: HttpSession, request: Request | None, request_id: bytes, started: float) -> None:
        self.session = session
        self.request = request
        self.request_id = request_id
        self.started = started

    def seen(self, request: Request, identity: ClientIdentity) -> Exchange:
        """Return what filters see, made when the first one asks; there must be a route."""
        if self.view is not None:
            return self.view
        route, session = self.route, self.session
        if route is None:
            raise RuntimeError("no route")
        self.view = view = Exchange(
            request,
            identity.believed(request),
            session.listener,
            session.local[1],
            identity.secure(request),
            route.name,
            route.cluster,
            route.captures,
            self.started,
            self.request_id,
            session.tls,
        )
        return view

    def dressed(self, answer: Answer) -> Answer:
        """Return an answer of our own after the route's filters have had their say."""
        request, route, identity = self.request, self.route, self.session.identity
        if request is not None and identity is not None and route is not None:
            chain = route.chain
            if chain is not None and chain.has_response:
                made: Answer = chain.answered(self.seen(request, identity), answer)
                return made
        return answer

    def render(self, answers: Answers, answer: Answer) -> tuple[Response, bytes]:
        """Return an answer of our own as a response and its body."""
        request, route = self.request, self.route
        accept = fields.get_all(request.lines, b"accept") if request is not None else []
        return answers.render(
            answer,
            accept=b", ".join(accept),
            head_only=request is not None and request.method == b"HEAD",
            request_id=self.request_id,
            route=route.name if route is not None else "",
            cluster=route.cluster if route is not None else "",
            backend=self.backend.id if self.backend is not None else "",
        )

    @property
    def kind(self) -> str:
        """What the log calls it."""
        return "websocket" if self.status == 101 else self.session.kind

    @property
    def notes(self) -> dict[str, Any]:
        """What filters want in the log."""
        return self.view.notes if self.view is not None else {}


@trait
class RequestLog:
    """Where requests are logged."""

    def write(self, record: Record, seconds: float) -> None:
        """An exchange that lasted so long is over."""
        raise TypeError
