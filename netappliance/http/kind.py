"""``[http NAME]`` as a plug-in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.clusters.section import check_answers
from netappliance.errors import ConfigProblem
from netappliance.http.forwarding.identity import written_names
from netappliance.http.section import HttpSection
from netappliance.interfaces import IServiceKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.process.appliance import Appliance


@implementer(IServiceKind)
class HttpKind:
    """An HTTP reverse proxy."""

    kind = "http"
    named = True
    stage = "traffic"
    schema = HttpSection

    def check(self, section: HttpSection, configuration: Configuration) -> Iterator[ConfigProblem]:
        """The pages must be usable, and the limits must fit into each other."""
        title = f"http {section.name}"
        yield from check_answers(title, section.answers)
        if section.session_header.lower().encode() in written_names(section.identity_headers, ""):
            why = "identity_headers writes it already"
            yield ConfigProblem(title, "session_header", why, section.session_header, "another name, or nothing")
        for key, value in (("max_header_size", section.max_header_size), ("max_target_size", section.max_target_size)):
            if not 256 <= value <= 1 << 20:
                yield ConfigProblem(title, key, "not a size that can work", str(value), "256 to 1MiB")
        if section.max_target_size > section.max_header_size:
            expected = f"at most max_header_size, {section.max_header_size}"
            yield ConfigProblem(
                title, "max_target_size", "more than a head holds", str(section.max_target_size), expected
            )

    def make_service(self, section: HttpSection, appliance: Appliance) -> IService:
        """Build the proxy."""
        from netappliance.http.collector import HttpCollector
        from netappliance.http.routes import routes_of
        from netappliance.http.service import HttpService

        routes = [
            route for route in routes_of(appliance) if section.name in (route.section.listeners or (section.name,))
        ]
        service = HttpService(section, appliance, routes)
        appliance.collectors.append(HttpCollector(service))
        return service
