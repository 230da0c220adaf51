"""Routes from keys as in a file."""

from __future__ import annotations

from typing import Any

from netappliance.config import ini
from netappliance.config.schema import parse_section
from netappliance.errors import ConfigProblem
from netappliance.http.routing.route import Route
from netappliance.http.routing.router import Router
from netappliance.http.routing.section import RouteSection


def section(name: str = "r", **keys: str) -> RouteSection:
    """A section with these keys."""
    options = {key: ini.RawOption(key, value.split("\n"), 0) for key, value in keys.items()}
    problems: list[ConfigProblem] = []
    parsed: Any = parse_section(RouteSection, ini.RawSection("route", name, 0, options), problems)
    if problems:
        raise ValueError("; ".join(problem.render("") for problem in problems))
    assert isinstance(parsed, RouteSection)
    return parsed


def route(name: str = "r", **keys: str) -> Route:
    """A route with these keys."""
    return Route(section(name, **keys))


def router(*keys: dict[str, str]) -> Router:
    """A router of routes that are named 0, 1, 2 in order."""
    return Router([route(str(number), **given) for number, given in enumerate(keys)])


def found(table: Router, host: str, target: str = "/", method: str = "GET") -> str:
    """The name of the route that a request takes, empty for none."""
    chosen = table.find(host.encode(), target.encode(), method.encode())
    return chosen.name if chosen is not None else ""
