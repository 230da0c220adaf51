"""The routes of a configuration, built once with their filters and shared by the listeners that they name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

from netappliance.http.filter_collector import FilterCollector
from netappliance.http.filters import Resources, build_filters
from netappliance.http.filters.chain import RequestChain
from netappliance.http.routing.route import Route

if TYPE_CHECKING:
    from netappliance.process.appliance import Appliance

_log = Logger()


def routes_of(appliance: Appliance) -> list[Route]:
    """Return every route, in the order of the file; the first call builds them."""
    if appliance.routes is None:
        resources = Resources(appliance.rng, appliance.clock())
        appliance.routes = []
        for section in appliance.configuration.sections("route"):
            route = Route(section)
            if section.filters:
                filters = build_filters(section.filters, appliance.configuration, resources)
                route.chain = RequestChain(filters, partial(_failed, section.name))
            appliance.routes.append(route)
        appliance.collectors.append(FilterCollector(appliance.routes))
    return appliance.routes


def _failed(route: str, name: str, error: BaseException) -> None:
    _log.failure(
        "[route {route}] filter {name} raised; the exchange was answered with 500, and it is counted from now on",
        failure=Failure(error),
        route=route,
        name=name,
    )
