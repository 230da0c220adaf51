"""``[admin]`` and ``[manhole]`` as section kinds; the services are imported when a section is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.admin.manhole_section import ManholeSection
from netappliance.admin.section import AdminSection
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IServiceKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.process.appliance import Appliance


@implementer(IServiceKind)
class AdminKind:
    """``[admin]``."""

    kind = "admin"
    named = False
    stage = "admin"
    schema = AdminSection

    def check(self, section: AdminSection, configuration: Configuration) -> Iterator[ConfigProblem]:
        """A listener that others reach needs a token, before there is anything to protect by accident."""
        open_to_others = [endpoint.text for endpoint in section.listen if not endpoint.is_local]
        if open_to_others and not section.token_file:
            yield ConfigProblem(
                section="admin",
                key="token_file",
                why=f"is required because listen = {', '.join(open_to_others)} is neither loopback nor a unix socket",
                expected="the path of a file with the bearer token",
            )

    def make_service(self, section: AdminSection, appliance: Appliance) -> IService:
        """Build the pages."""
        from netappliance.admin.collector import make_registry, own_collectors
        from netappliance.admin.service import AdminService
        from netappliance.logs.access_log import AccessLog
        from netappliance.process.status import Status

        status = appliance.shared(Status, Status)
        own = own_collectors(
            appliance.plane, appliance.listeners, appliance.clusters, status, appliance.find(AccessLog)
        )
        registry = make_registry(own, appliance.collectors, quilkin_aliases=section.aliases == "quilkin")
        configuration, pages = appliance.configuration, appliance.pages
        return AdminService(section, registry, status.obstacle, configuration, pages, appliance.reactor)


@implementer(IServiceKind)
class ManholeKind:
    """``[manhole]``."""

    kind = "manhole"
    named = False
    stage = "admin"
    schema = ManholeSection

    def check(self, section: ManholeSection, configuration: Configuration) -> Iterable[ConfigProblem]:
        """Nothing depends on other sections."""
        return ()

    def make_service(self, section: ManholeSection, appliance: Appliance) -> IService:
        """Build the prompt over a small, explicit namespace."""
        from netappliance.admin.manhole import ManholeService

        prompt = appliance.prompt
        prompt |= {"appliance": appliance, "sessions": appliance.sessions, "clusters": appliance.clusters}
        return ManholeService(section, prompt, appliance.reactor)
