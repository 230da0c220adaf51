"""Answers to http-01 challenges (RFC 8555 section 8.3), given by every listener before its routes are asked."""

from __future__ import annotations

from netappliance.http.fields import line
from netappliance.http.filters.base import RequestFilter
from netappliance.http.filters.chain import RequestChain
from netappliance.http.message import Answer, Exchange
from netappliance.http.routing.patterns import path_pattern
from netappliance.http.routing.route import Route
from netappliance.http.routing.router import Router
from netappliance.http.routing.section import RouteSection

#: what the access log names as the route
ROUTE = "acme-challenge"


class HttpChallenges:
    """
    The tokens of orders under way; while there is none, requests cost what they cost without.

    :ivar answered_total: how often one was asked for.
    """

    def __init__(self) -> None:
        self.answered_total = 0
        self._routers: list[Router] = []
        self._routes: dict[str, Route] = {}

    def join(self, router: Router) -> None:
        """Have a listener's router answer them."""
        self._routers.append(router)
        for route in self._routes.values():
            router.precede(route)

    def present(self, name: str, token: str, key_authorization: str) -> None:
        """Answer a token from now on, under any name: an authority may be redirected from one to another."""
        path = path_pattern(f"=/.well-known/acme-challenge/{token}")
        route = Route(RouteSection(name=ROUTE, path=path, method=(b"GET", b"HEAD"), position="pre"))
        route.chain = RequestChain([(ROUTE, _KeyAuthorization(self, key_authorization.encode()))])
        self._routes[token] = route
        for router in self._routers:
            router.precede(route)

    def withdraw(self, name: str, token: str) -> None:
        """Leave the token to the routes again."""
        route = self._routes.pop(token, None)
        if route is not None:
            for router in self._routers:
                router.withdraw(route)


class _KeyAuthorization(RequestFilter):
    """Gives the authority what it asks for."""

    def __init__(self, challenges: HttpChallenges, body: bytes) -> None:
        self._challenges = challenges
        self._body = body

    def request(self, exchange: Exchange) -> Answer:
        """Answer."""
        self._challenges.answered_total += 1
        lines = [line(b"Content-Type", b"application/octet-stream"), line(b"Cache-Control", b"no-store")]
        return Answer(200, lines=lines, body=self._body)
