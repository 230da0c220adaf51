"""The answers of routes that have no cluster."""

from __future__ import annotations

from netappliance.http import fields
from netappliance.http.message import Answer, Exchange
from netappliance.http.routing.location import Location
from netappliance.http.routing.route import Route


def redirect_answer(route: Route, exchange: Exchange) -> Answer:
    """
    Answer a request of a route without a cluster: its redirect, 401 for ``unauthorized``, else 403.

    The Location keeps percent-encoding as the client sent it and holds printable ASCII only. A template that is a path
    leads to this host, whatever the client's path looks like; one whose host the client's own Host or captures would
    spoil is answered with 400.

    :param exchange: its ``request`` as the filters left it, ``captures``, ``port`` and ``secure`` are looked at.
    """
    section = route.section
    if section.redirect == "unauthorized":
        realm = route.name.replace("\\", "").replace('"', "")
        challenge = fields.line(b"WWW-Authenticate", f'Basic realm="{realm}", charset="UTF-8"'.encode())
        return Answer(401, lines=[challenge])
    if section.redirect_to is None:
        return Answer(403)
    return moved(section.redirect_to, int(section.redirect), exchange, exchange.captures)


def moved(to: Location, status: int, exchange: Exchange, captures: tuple[bytes, ...]) -> Answer:
    """
    Answer with a redirect; 400 where what the client sent would not make a host.

    :param captures: what ``$1`` and so on stand for.
    """
    try:
        location = to.expand(exchange, captures)
    except ValueError as error:
        return Answer(400, str(error))
    return Answer(status, lines=[fields.line(b"Location", location)])
