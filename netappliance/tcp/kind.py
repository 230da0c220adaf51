"""``[tcp NAME]`` as a plug-in."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.clusters.kind import check_cluster
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IServiceKind
from netappliance.tcp.section import TcpSection
from netappliance.tls.check import check_tls, may_be_empty

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
        if section.tls:
            yield from check_tls(title, section.tls_keys, configuration)
            if section.sni:
                why = "is for TLS that is passed through, and tls = yes ends it"
                yield ConfigProblem(title, "sni", why, None, "tls = no, or no sni")
        if section.sni:
            yield from _check_sharing(section, configuration)

    def make_service(self, section: TcpSection, appliance: Appliance) -> IService:
        """Build the proxy."""
        from netappliance.tcp.collector import HelloCollector
        from netappliance.tcp.service import SharedAddresses, TcpService
        from netappliance.tls.certificates.statistics import CertificateCollector
        from netappliance.tls.challenges import TlsAlpnChallenges
        from netappliance.tls.collector import TlsCollector
        from netappliance.tls.following import following
        from netappliance.tls.server import make_server

        cluster, options = appliance.clusters[section.cluster], appliance.listen_options(section)
        shared = appliance.shared(SharedAddresses, SharedAddresses)
        tls = None
        if section.tls:
            keys, label = section.tls_keys, f"[tcp {section.name}]"
            later = may_be_empty(keys, appliance.configuration)
            tls = make_server(label, keys, strict_alpn=False, wall=time.time, may_be_empty=later)
            tls.challenges = appliance.shared(TlsAlpnChallenges, TlsAlpnChallenges)
            appliance.collectors.append(TlsCollector(section.name, tls.statistics))
            appliance.collectors.append(CertificateCollector(section.name, tls.certificates))
        service = TcpService(section, cluster, appliance.plane, options, shared, tls)
        if service.terms.passing is not None:
            appliance.collectors.append(HelloCollector(section.name, service.terms.passing.counts))
        appliance.listeners[self.kind, section.name] = service.listeners
        return service if tls is None else following(service, tls, appliance.reactor)


def _check_sharing(section: TcpSection, configuration: Configuration) -> Iterator[ConfigProblem]:
    """Yield what is wrong between a section and those before it that share one of its addresses."""
    title = f"tcp {section.name}"
    for other in configuration.sections("tcp"):
        if other is section:
            return
        if not other.sni or not any(one == two and one.collides(two) for one in section.listen for two in other.listen):
            continue
        for pattern in section.sni:
            if pattern in other.sni:
                expected = "each pattern once for an address"
                yield ConfigProblem(title, "sni", f"[tcp {other.name}] has the pattern already", pattern, expected)
        if section.expects_header != other.expects_header:
            expected = "expect or relay in all of them, or in none"
            why = f"whether a PROXY header comes first is known before the server name: [tcp {other.name}] differs"
            yield ConfigProblem(title, "proxy_protocol", why, section.proxy_protocol, expected)
