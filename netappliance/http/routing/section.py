"""The ``[route NAME]`` section."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.http.expansion import HELP
from netappliance.http.routing.location import Location, location
from netappliance.http.routing.patterns import HostPattern, PathPattern, host_patterns, path_pattern

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_KNOWN = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}


def methods(text: str) -> tuple[bytes, ...]:
    """Methods in any number; those that nobody knows must be tokens (RFC 9110 section 9.1), and case counts."""
    found = values.words(text)
    for method in found:
        if not _TOKEN.fullmatch(method):
            raise ValueError(f"methods such as GET, POST, not {method!r}")
        if method not in _KNOWN and method.upper() in _KNOWN:
            raise ValueError(f"{method.upper()} in capitals, for case counts")
    if len(set(found)) != len(found):
        raise ValueError("each method once")
    return tuple(method.encode() for method in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSection:
    """
    Where requests of some hosts, paths and methods go: to a cluster, elsewhere (redirect), or nowhere (denied).
    docs/routing.md tells which route wins.
    """

    name: str
    listeners: tuple[str, ...] = option(
        values.words,
        unit="names",
        doc="The [http NAME] and [https NAME] sections it holds for; empty = all of them.",
    )
    host: tuple[HostPattern, ...] = option(
        host_patterns,
        "*",
        unit="hosts",
        doc="One or more, one a line: example.com, [::1], *.example.com (one label), /regex/.example.com (a regular "
        "expression for a label), ~regex (for the whole host), * (any). Without port; case does not count.",
    )
    path: PathPattern = option(  # noqa: RUF009 - a field
        path_pattern,
        "/",
        unit="path",
        doc="A prefix, =exact or ~regex (anchored at both ends); of the path as sent, without the query.",
    )
    method: tuple[bytes, ...] = option(methods, unit="methods", doc="Methods it takes; empty = any.")
    position: str = option(
        values.choice("pre", "tree", "post"),
        "tree",
        doc="pre and post routes are asked in the order of the file, before and after all others.",
    )
    cluster: str = option(
        values.text,
        unit="name",
        doc="The [cluster NAME] to forward to; empty = answered here: by redirect, or else with 403.",
    )
    redirect: str = option(
        values.choice("", "301", "302", "308", "unauthorized"),
        unit="status",
        doc="301, 302 or 308: answer with redirect_to as the Location; unauthorized: answer 401.",
    )
    redirect_to: Location | None = option(  # noqa: RUF009 - a field
        location,
        unit="template",
        doc=f"Where to: a URL or a path. May hold {HELP}: those of the request; $1 to $9 are the captures of host and "
        "path: groups of regular expressions, the label of a *, what follows a path prefix. $$ is a dollar.",
        example="https://$host$target",
    )
    filters: tuple[str, ...] = option(
        values.words,
        unit="names",
        doc="[filter NAME] sections of a kind for requests, or kinds that need no options; first to last for requests, "
        "last to first for responses.",
    )

    def serves(self, listener: str) -> bool:
        """Say whether it holds for a listener's section."""
        return not self.listeners or listener in self.listeners


def host_groups(section: RouteSection) -> int:
    """Return how many captures come before those of the path: as many as the host with the most of them has."""
    return max(pattern.groups for pattern in section.host)
