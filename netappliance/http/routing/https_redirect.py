"""Requests that came without TLS are led to where there is TLS."""

from __future__ import annotations

from netappliance.http.routing.location import location
from netappliance.http.routing.route import Route
from netappliance.http.routing.section import RouteSection
from netappliance.http.section import HttpSection


def https_route(section: HttpSection) -> Route | None:
    """Return the route that all of them take, to the same host and target; None where they are served as they are."""
    if section.https_redirect == "no":
        return None
    port = "" if section.https_redirect_port == 443 else f":{section.https_redirect_port}"
    to = location(f"https://$host{port}$target")
    return Route(RouteSection(name="https_redirect", redirect=section.https_redirect, redirect_to=to))
