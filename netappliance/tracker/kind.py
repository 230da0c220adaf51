"""``[tracker]`` as a plug-in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.errors import ConfigProblem
from netappliance.interfaces import IServiceKind
from netappliance.tracker.section import TrackerSection

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.process.appliance import Appliance


@implementer(IServiceKind)
class TrackerKind:
    """The host's connections."""

    kind = "tracker"
    named = False
    stage = "support"
    schema = TrackerSection

    def check(self, section: TrackerSection, configuration: Configuration) -> Iterable[ConfigProblem]:
        """Expected links are groups."""
        known = [group.name for group in section.groups]
        for name in section.expected:
            if name not in known:
                expected = "names of groups: " + (", ".join(known) or "there are none")
                yield ConfigProblem("tracker", "expected", "no such group", name, expected)

    def make_service(self, section: TrackerSection, appliance: Appliance) -> IService:
        """Build it."""
        from netappliance.tracker.collector import TrackerCollector
        from netappliance.tracker.listing.connection_pages import connection_pages
        from netappliance.tracker.listing.directory import Directory
        from netappliance.tracker.service import TrackerService
        from netappliance.tracker.sock_diag.socket_collector import SocketCollector

        pages = appliance.configuration.sections("admin")
        own_ports = frozenset(end.port for page in pages for end in page.listen)
        service = TrackerService(section, appliance.reactor, appliance.clock, own_ports)
        if service.event_log is not None:
            appliance.reopeners.append(service.event_log.reopen)
        appliance.collectors += (TrackerCollector(service), SocketCollector(service))
        directory = Directory(service.sources, appliance.sessions, appliance.clock, service.namespaces.sources_of)
        appliance.pages |= connection_pages(directory, appliance.reactor, appliance.clock)
        appliance.prompt["connections"] = directory
        return service
