"""The routes of a configuration, built once with their filters and shared by the listeners that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netappliance.http.routing.route import Route

if TYPE_CHECKING:
    from netappliance.appliance import Appliance


def routes_of(appliance: Appliance) -> list[Route]:
    """Return every route, in the order of the file; the first call builds them."""
    if appliance.routes is None:
        appliance.routes = [Route(section) for section in appliance.configuration.sections("route")]
    return appliance.routes
