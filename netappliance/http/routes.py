"""The routes of a configuration, built once with their filters and shared by the listeners that they name."""

from __future__ import annotations

import random
from functools import partial

from twisted.logger import Logger
from twisted.python.failure import Failure

from netappliance.config.configuration import Configuration
from netappliance.http.filters import Resources, build_filters
from netappliance.http.filters.chain import RequestChain
from netappliance.http.routing.route import Route

_log = Logger()


class Routes(list[Route]):
    """
    Every route, in the order of the file.

    :param now: monotonic seconds.
    """

    def __init__(self, configuration: Configuration, rng: random.Random, now: float) -> None:
        super().__init__()
        resources = Resources(rng, now)
        for section in configuration.sections("route"):
            route = Route(section)
            if section.filters:
                filters = build_filters(section.filters, configuration, resources)
                route.chain = RequestChain(filters, partial(_failed, section.name))
            self.append(route)

    def of(self, listener: str) -> list[Route]:
        """Return the routes of one listener: those that name it, and those that name none."""
        return [route for route in self if listener in (route.section.listeners or (listener,))]


def _failed(route: str, name: str, error: BaseException) -> None:
    _log.failure(
        "[route {route}] filter {name} raised; the exchange was answered with 500, and it is counted from now on",
        failure=Failure(error),
        route=route,
        name=name,
    )
