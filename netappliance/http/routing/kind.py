"""``[route NAME]`` as a plug-in."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from netappliance.clusters.kind import check_cluster
from netappliance.config.schema import suggestion
from netappliance.errors import ConfigProblem
from netappliance.http.expansion import Template
from netappliance.http.identity import written_names
from netappliance.http.routing.location import Location
from netappliance.http.routing.section import RouteSection, host_groups
from netappliance.interfaces import ISectionKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration


@implementer(ISectionKind)
class RouteKind:
    """Which requests go where."""

    kind = "route"
    named = True
    schema = RouteSection

    def check(self, section: RouteSection, configuration: Configuration) -> Iterator[ConfigProblem]:
        """Listeners, cluster, and an answer where there is no cluster; twins and edits once for all routes."""
        title = f"route {section.name}"
        yield from _check_listeners(title, section, configuration)
        if section.cluster:
            yield from _check_cluster(title, section, configuration)
        yield from _check_redirect(title, section)
        yield from _check_filters(title, section, configuration)
        if section is next(route for (kind, _), route in configuration.parsed.items() if kind == "route"):
            yield from _check_twins(configuration)
            yield from _check_edits(configuration)


def _listeners(configuration: Configuration) -> list[str]:
    return [section.name for kind in ("http", "https") for section in configuration.sections(kind)]


def _check_listeners(title: str, section: RouteSection, configuration: Configuration) -> Iterator[ConfigProblem]:
    for name in section.listeners:
        if configuration.get("http", name) is None and configuration.get("https", name) is None:
            known = _listeners(configuration)
            why = f"no such listener{suggestion(name, known)}"
            yield ConfigProblem(title, "listeners", why, name, ", ".join(known) or "an [http NAME] section")


def _check_cluster(title: str, section: RouteSection, configuration: Configuration) -> Iterator[ConfigProblem]:
    cluster = configuration.get("cluster", section.cluster)
    if cluster is None:
        yield from check_cluster(title, "cluster", section.cluster, configuration)
    elif cluster.balance_key == "token":
        expected = "client_address | client_address_port | header:NAME | cookie:NAME | uri"
        why = f"[{title}] has requests, and tokens are for datagrams"
        yield ConfigProblem(f"cluster {cluster.name}", "balance_key", why, cluster.balance_key, expected)
    if cluster is not None and cluster.tls is not None:
        for protocol in cluster.tls.settings.alpn:
            if protocol not in ("http/1.1", "http/1.0"):
                why = f"[{title}] has requests, which go to backends as HTTP/1.1: alpn must not offer another protocol"
                yield ConfigProblem(f"cluster {cluster.name}", "tls", why, protocol, "alpn=http/1.1, or no alpn=")
    if section.redirect:
        why = f"the route has cluster = {section.cluster}, and can only do one of the two"
        yield ConfigProblem(title, "redirect", why, section.redirect, "no redirect, or no cluster")


def _check_redirect(title: str, section: RouteSection) -> Iterator[ConfigProblem]:
    location = section.redirect_to
    moved = section.redirect in ("301", "302", "308")
    if moved and location is None:
        yield ConfigProblem(title, "redirect_to", f"redirect = {section.redirect} needs it", "", "a template")
    if location is None:
        return
    if not moved:
        yield ConfigProblem(title, "redirect_to", "there is no redirect", location.text, "redirect = 301 | 302 | 308")
    groups = host_groups(section) + section.path.groups
    if location.captures > groups:
        yield ConfigProblem(title, "redirect_to", _few(groups), location.text, _numbers(groups))


def _few(groups: int) -> str:
    return f"host and path of the route have {groups} capture{'' if groups == 1 else 's'}"


def _numbers(groups: int) -> str:
    return ("no $1", "$1")[groups] if groups < 2 else f"$1 to ${groups}"


def _check_filters(title: str, section: RouteSection, configuration: Configuration) -> Iterator[ConfigProblem]:
    """Build each, to see that it can be."""
    from netappliance.http.filters import Resources, build_filters, filter_names

    resources = Resources(random.Random(0), 0.0)  # noqa: S311 - only to see that they can be built
    for name in section.filters:
        try:
            build_filters([name], configuration, resources)
            groups = host_groups(section) + section.path.groups
            highest = _highest_capture(configuration.get("filter", name))
            if highest > groups:
                yield ConfigProblem(
                    title, "filters", f"{name} has ${highest}, and {_few(groups)}", None, _numbers(groups)
                )
        except ValueError as error:
            known = [each.name for each in configuration.sections("filter")] + filter_names()
            near = suggestion(name, known) if name not in known else ""
            yield ConfigProblem(title, "filters", f"{name} is no filter that can be used{near}", None, str(error))


def _highest_capture(section: Any) -> int:
    """Return which capture of the route a filter's templates need; those of a ``pattern`` are its own."""
    if getattr(section, "pattern", None) is not None:
        return 0
    templates = [getattr(section, key, None) for key in ("path", "host", "to")]
    templates += [edit.value for edit in getattr(section, "edits", ())]
    return max((each.captures for each in templates if isinstance(each, Location | Template)), default=0)


def _check_edits(configuration: Configuration) -> Iterator[ConfigProblem]:
    """Filters may not edit what the listener writes: a backend that is told something twice believes either."""
    listeners = [
        (kind, listener, written_names(listener.identity_headers, listener.session_header))
        for kind in ("http", "https")
        for listener in configuration.sections(kind)
    ]
    for section in configuration.sections("route"):
        edits = [(name, edited) for name in section.filters for edited in _edited(name, configuration)]
        for kind, listener, ours in listeners if edits else ():
            for name, edited in edits:
                # with _ for - it would be the same variable for CGI and its like
                if edited.lower().replace(b"_", b"-") in ours and section.serves(listener.name):
                    why = f"{name} edits {edited.decode()}, which [{kind} {listener.name}] writes itself"
                    expected = "identity_headers there without it"
                    yield ConfigProblem(f"route {section.name}", "filters", why, None, expected)


def _edited(name: str, configuration: Configuration) -> list[bytes]:
    section = configuration.get("filter", name)
    names = [edit.name for edit in getattr(section, "edits", ()) if edit.side != "response"]
    user_header = getattr(section, "user_header", b"")
    return [*names, user_header] if user_header else names


def _check_twins(configuration: Configuration) -> Iterable[ConfigProblem]:
    """Routes that could only shadow each other."""
    seen: dict[tuple[str, str, str, frozenset[bytes], str], str] = {}
    everywhere = tuple(_listeners(configuration)) or ("",)
    for section in configuration.sections("route"):
        twins = set()
        for listener in section.listeners or everywhere:
            for host in section.host:
                place = (listener, host.text, section.path.text, frozenset(section.method), section.position)
                twin = seen.setdefault(place, section.name)
                if twin != section.name:
                    twins.add((twin, host.text))
        for twin, host_text in sorted(twins):
            why = f"[route {twin}] has the same host, path, method, position and listener"
            yield ConfigProblem(f"route {section.name}", "host", why, host_text, "one route for them")
