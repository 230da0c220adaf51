"""``[udp NAME]`` and ``[filter NAME]`` as plug-ins."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.clusters.section import check_cluster
from netappliance.config.ini import RawSection
from netappliance.config.schema import suggestion
from netappliance.errors import ConfigProblem
from netappliance.interfaces import ISectionKind, IServiceKind
from netappliance.udp.filters.simple import PassSection
from netappliance.udp.section import UdpSection

if TYPE_CHECKING:
    from netappliance.appliance import Appliance
    from netappliance.config.loader import Configuration


@implementer(IServiceKind)
class UdpKind:
    """A UDP session proxy."""

    kind = "udp"
    named = True
    stage = "traffic"
    schema = UdpSection

    def check(self, section: UdpSection, configuration: Configuration) -> Iterator[ConfigProblem]:
        """The cluster must be there and reachable by UDP, and every filter must be one."""
        from netappliance.udp.filters import filter_names
        from netappliance.udp.service import build_filters, make_resources

        title = f"udp {section.name}"
        yield from check_cluster(title, "cluster", section.cluster, configuration)
        cluster = configuration.get("cluster", section.cluster)
        if cluster is not None:
            for backend in cluster.backends:
                if backend.path:
                    why = f"[{title}] sends datagrams"
                    yield ConfigProblem(f"cluster {cluster.name}", "backends", why, backend.id, "no unix sockets")
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
        from netappliance.udp.service import UdpService

        service = UdpService(section, appliance)
        appliance.collectors.append(UdpCollector(service))
        return service


@implementer(ISectionKind)
class FilterKind:
    """A filter's options; which there are depends on its ``kind``."""

    kind = "filter"
    named = True
    #: what every filter has; the rest is chosen by ``schema_for``
    schema = PassSection

    def schema_for(self, raw: RawSection) -> type | ConfigProblem:
        """Choose the schema by the section's ``kind``."""
        from netappliance.udp.filters import filter_kind, filter_names

        given = raw.options.get("kind")
        if given is None:
            return ConfigProblem(raw.title, "kind", "the key is missing", None, "the kind of filter", raw.line)
        try:
            schema: type = filter_kind(given.text).schema
        except ValueError as error:
            why = f"unknown filter{suggestion(given.text, filter_names())}"
            return ConfigProblem(raw.title, "kind", why, given.text, str(error), given.line)
        return schema

    def variants(self) -> Iterator[tuple[str, type]]:
        """Every kind of filter, for the documentation."""
        from netappliance.udp.filters import kinds

        yield from kinds()

    def check(self, section: Any, configuration: Configuration) -> Iterable[ConfigProblem]:
        """The services that use it build it, and say what is wrong."""
        return ()
