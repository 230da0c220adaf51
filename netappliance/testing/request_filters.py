"""The contract of request filters."""

from __future__ import annotations

from itertools import product
from typing import Any

from netappliance.http.filters.chain import RequestChain
from netappliance.http.message import Exchange, Request, Response
from netappliance.testing.promises import come_through, figures, promise, promise_counters, promise_names

METHODS = (b"GET", b"HEAD", b"POST", b"OPTIONS", b"X!#$%&'*+-.^_`|~")
TARGETS = (b"/", b"//a/../b?", b"/%00%ff?q=%zz&q", b"/\xff" + b"a" * 8192)
#: none, values that are no text, the same name often and in any case, fields that filters like to read
LINES = (
    (),
    (b"A:", b"a:  b\t", b"X-\x7e: \xff\x80"),
    (b"Authorization: Basic !!!", b"authorization:", b"Cookie: ;;=;a", b"cookie: a=b", b"X-Api-Key: \xfe"),
    (b"Accept: */*", b"Content-Type: text/html;", *[b"X-Many: 1"] * 64),
)
CLIENTS = ("192.0.2.1", "2001:db8::1", "")


def exchange(target: bytes = b"/", *lines: bytes, method: bytes = b"GET", **changed: Any) -> Exchange:
    """
    Return a request of www.example.org, from 192.0.2.1 at second 100, without TLS.

    :param changed: other attributes of the :class:`Exchange`.
    """
    request = Request(method, target, 1, list(lines))
    request.authority = request.host = b"www.example.org"
    fields: dict[str, Any] = {
        "request": request,
        "client": "192.0.2.1",
        "listener": "front",
        "port": 80,
        "secure": False,
        "route": "default",
        "cluster": "web",
        "captures": (),
        "now": 100.0,
        "request_id": b"r-1",
    }
    return Exchange(**{**fields, **changed})


def response(*lines: bytes, status: int = 200) -> Response:
    """Return the head of a backend's response."""
    return Response(status, b"", 1, list(lines))


class RequestFilterContract:
    """Override :meth:`make`; :meth:`exchanges` where yours looks at more than these have."""

    def make(self) -> Any:
        """Return the filter, new for each test."""
        raise NotImplementedError

    def exchanges(self) -> list[Exchange]:
        """Return requests to run through it, a second apart; one is HTTP/1.0 without a Host, one asks for ``*``."""
        found = [
            exchange(target, *lines, method=method, client=client)
            for method, target, lines, client in product(METHODS, TARGETS, LINES, CLIENTS)
        ]
        bare = exchange(cluster="", secure=True, captures=(b"", b"\xff"))
        bare.request.minor = 0
        bare.request.authority = bare.request.host = b""
        found += [bare, exchange(b"*", method=b"OPTIONS")]
        for number, each in enumerate(found):
            each.now += number
        return found

    def responses(self) -> list[Response]:
        """Return heads of responses to run through it."""
        return [response(*lines, status=status) for status, lines in product((200, 204, 302, 404, 503), LINES)]

    def test_requests_go_on_or_are_answered(self) -> None:
        """What it returns and leaves in the message is well-formed; only what may be changed is changed."""
        made = self.make()
        for each in self.exchanges():
            before = _fixed(each)
            self._run(made, each, response(b"Server: x"))
            promise(_fixed(each) == before, "a filter changes nothing of a request but target, authority and lines")
            promise_names(each.notes, "notes")

    def test_it_sees_responses_to_requests_that_it_did_not_see(self) -> None:
        """A filter before it may have answered."""
        chain = self._chain(self.make())
        for each in self.responses():
            before = each.status, each.reason, each.length
            chain.response(exchange(), each)
            promise((each.status, each.reason, each.length) == before, "a filter changes only a response's lines")

    def test_exchanges_overlap(self) -> None:
        """They end in another order than they began in, and some without a response."""
        chain, exchanges = self._chain(self.make()), self.exchanges()
        for each in exchanges:
            chain.request(each)
        for each in exchanges[1::2] + exchanges[::2]:
            chain.finished(each)

    def test_what_it_counts(self) -> None:
        """Counts by name, which never go down."""
        made = self.make()
        before = figures(made)
        for each in self.exchanges():
            self._run(made, each, response())
            after = figures(made)
            promise_counters(before, after)
            before = after

    def _chain(self, made: Any) -> RequestChain:
        chain = RequestChain([("yours", made)], come_through)
        promise(chain.has_request or chain.has_response, "it has one of request, response and finished")
        return chain

    def _run(self, made: Any, exchange: Exchange, response: Response) -> None:
        chain = self._chain(made)
        answer = chain.request(exchange)
        if answer is not None:
            chain.answered(exchange, answer)
        else:
            chain.response(exchange, response)
        chain.finished(exchange)


def _fixed(exchange: Exchange) -> tuple[object, ...]:
    request = exchange.request
    message = request.method, request.minor, request.host, request.port, request.length, request.keep_alive
    return *message, exchange.client, exchange.route, exchange.cluster, exchange.now, exchange.request_id
