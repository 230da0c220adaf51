"""``[tcp NAME]`` as a plug-in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.clusters.kind import check_cluster
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IServiceKind
from netappliance.tcp.section import TcpSection

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.process.appliance import Appliance


@implementer(IServiceKind)
class TcpKind:
    """A TCP reverse proxy."""

    kind = "tcp"
    named = True
    stage = "traffic"
    schema = TcpSection

    def check(self, section: TcpSection, configuration: Configuration) -> Iterable[ConfigProblem]:
        """The cluster must be there, and must be one that bytes without requests can use."""
        title = f"tcp {section.name}"
        yield from check_cluster(title, "cluster", section.cluster, configuration)
        cluster = configuration.get("cluster", section.cluster)
        if cluster is not None and cluster.balance_key.startswith(("header:", "cookie:", "uri", "token")):
            expected = "client_address | client_address_port"
            why = f"[{title}] has no requests to take it from"
            yield ConfigProblem(f"cluster {cluster.name}", "balance_key", why, cluster.balance_key, expected)

    def make_service(self, section: TcpSection, appliance: Appliance) -> IService:
        """Build the proxy."""
        from netappliance.tcp.service import TcpService

        cluster, options = appliance.clusters[section.cluster], appliance.listen_options(section)
        service = TcpService(section, cluster, appliance.plane, options)
        appliance.listeners[self.kind, section.name] = service.listeners
        return service
