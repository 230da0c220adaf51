"""``[udp NAME]`` as a plug-in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.clusters.kind import check_cluster
from netappliance.config.schema import suggestion
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IServiceKind
from netappliance.udp.section import UdpSection

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.process.appliance import Appliance


@implementer(IServiceKind)
class UdpKind:
    """A UDP session proxy."""

    kind = "udp"
    named = True
    stage = "traffic"
    schema = UdpSection

    def check(self, section: UdpSection, configuration: Configuration) -> Iterator[ConfigProblem]:
        """The cluster must be there and reachable by UDP, and every filter must be one."""
        from netappliance.udp.filters import build_filters, filter_names
        from netappliance.udp.resources import make_resources

        title = f"udp {section.name}"
        yield from check_cluster(title, "cluster", section.cluster, configuration)
        cluster = configuration.get("cluster", section.cluster)
        if cluster is not None:
            for backend in cluster.backends:
                if backend.path:
                    why = f"[{title}] sends datagrams"
                    yield ConfigProblem(f"cluster {cluster.name}", "backends", why, backend.id, "no unix sockets")
            if cluster.tls is not None:
                yield ConfigProblem(f"cluster {cluster.name}", "tls", f"[{title}] sends datagrams", None, "no tls")
        resources = make_resources(configuration, random.Random(0))  # noqa: S311 - only to see that they can be built
        for name in section.filters:
            try:
                build_filters([name], configuration, resources)
            except ValueError as error:
                known = [each.name for each in configuration.sections("filter")] + filter_names()
                near = suggestion(name, known) if name not in known else ""
                yield ConfigProblem(title, "filters", f"{name} is no filter that can be used{near}", None, str(error))

    def make_service(self, section: UdpSection, appliance: Appliance) -> IService:
        """Build the proxy."""
        from netappliance.udp.collector import UdpCollector
        from netappliance.udp.filters import build_filters
        from netappliance.udp.resources import make_resources
        from netappliance.udp.service import UdpService

        configuration = appliance.configuration
        filters = build_filters(section.filters, configuration, make_resources(configuration, appliance.rng))
        service = UdpService(section, appliance.clusters[section.cluster], appliance.plane, filters)
        appliance.other_descriptors += section.max_sessions
        appliance.collectors.append(UdpCollector(service))
        return service
