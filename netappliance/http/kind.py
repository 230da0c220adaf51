"""``[http NAME]`` as a plug-in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.config.answer_files import check_answers
from netappliance.errors import ConfigProblem
from netappliance.http.identity import written_names
from netappliance.http.section import HttpSection, HttpsSection
from netappliance.interfaces import IServiceKind
from netappliance.tls.check import check_tls, may_be_empty

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.http.backends.pools import BackendPools
    from netappliance.http.routes import Routes
    from netappliance.process.appliance import Appliance
    from netappliance.tls.server import TlsServer


@implementer(IServiceKind)
class HttpKind:
    """An HTTP reverse proxy."""

    kind = "http"
    named = True
    stage = "traffic"
    schema = HttpSection

    def check(self, section: HttpSection, configuration: Configuration) -> Iterator[ConfigProblem]:
        """The pages must be usable, and the limits must fit into each other."""
        title = f"{self.kind} {section.name}"
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
        from netappliance.http.access_log import AccessLogLines
        from netappliance.http.backends.target import Target
        from netappliance.http.challenges import HttpChallenges
        from netappliance.http.collector import HttpCollector
        from netappliance.http.service import HttpService
        from netappliance.logs.access_log import AccessLog
        from netappliance.tls.following import following

        routes = shared_routes(appliance).of(section.name)
        pools = shared_pools(appliance)
        clusters = [appliance.clusters[name] for name in dict.fromkeys(route.cluster for route in routes) if name]
        targets = {cluster.name: Target(cluster, pools.pool(cluster)) for cluster in clusters}
        options = appliance.listen_options(section)
        tls = self.tls(section, appliance)
        access_log = appliance.find(AccessLog)
        log = AccessLogLines(access_log) if access_log is not None else None
        service = HttpService(section, appliance.plane, options, routes, targets, log, tls)
        appliance.shared(HttpChallenges, HttpChallenges).join(service.frontend.router)
        appliance.listeners[self.kind, section.name] = service.listeners
        appliance.collectors.append(HttpCollector(service.frontend))
        return service if tls is None else following(service, tls, appliance.reactor)

    def tls(self, section: HttpSection, appliance: Appliance) -> TlsServer | None:
        """Return how TLS is ended: not at all."""
        return None


class HttpsKind(HttpKind):
    """An HTTP reverse proxy that ends TLS."""

    kind = "https"
    schema = HttpsSection

    def check(self, section: HttpSection, configuration: Configuration) -> Iterator[ConfigProblem]:
        """The certificates must be there, and all that TLS needs."""
        yield from super().check(section, configuration)
        if isinstance(section, HttpsSection):
            yield from check_tls(f"https {section.name}", section.tls, configuration)

    def tls(self, section: HttpSection, appliance: Appliance) -> TlsServer | None:
        """Return how TLS is ended."""
        from netappliance.tls.certificates.statistics import CertificateCollector
        from netappliance.tls.challenges import TlsAlpnChallenges
        from netappliance.tls.collector import TlsCollector
        from netappliance.tls.server import make_server

        if not isinstance(section, HttpsSection):
            raise TypeError("an [https] section is expected")
        later = may_be_empty(section.tls, appliance.configuration)
        label = f"[https {section.name}]"
        server = make_server(label, section.tls, strict_alpn=True, wall=time.time, may_be_empty=later)
        server.challenges = appliance.shared(TlsAlpnChallenges, TlsAlpnChallenges)
        appliance.collectors.append(TlsCollector(section.name, server.statistics))
        appliance.collectors.append(CertificateCollector(section.name, server.certificates))
        return server


def shared_routes(appliance: Appliance) -> Routes:
    """Return the routes with their filters, which listeners share; the first call builds them."""
    from netappliance.http.filter_collector import FilterCollector
    from netappliance.http.routes import Routes

    def make() -> Routes:
        routes = Routes(appliance.configuration, appliance.rng, appliance.clock())
        appliance.collectors.append(FilterCollector(routes))
        return routes

    return appliance.shared(Routes, make)


def shared_pools(appliance: Appliance) -> BackendPools:
    """Return the connections to backends, which listeners share; the first call makes them."""
    from netappliance.http.backends.pools import BackendPools
    from netappliance.http.collector import PoolCollector

    def make() -> BackendPools:
        pools = BackendPools(appliance.plane)
        appliance.collectors.append(PoolCollector(pools))
        return pools

    return appliance.shared(BackendPools, make)
