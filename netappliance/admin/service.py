"""The service of ``[admin]``: its pages over its listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.web.server import Request

from netappliance.admin.collector import make_registry
from netappliance.admin.redaction import redact
from netappliance.admin.section import AdminSection
from netappliance.admin.site import AdminSite, config_page, live_page, metrics_page, ready_page
from netappliance.admin.token import TokenGuard, load_token
from netappliance.endpoints.listening import ListeningService

if TYPE_CHECKING:
    from netappliance.process.appliance import Appliance


class AdminService(MultiService):
    """
    Serves the pages.

    :ivar site: other parts add their pages to it. :ivar registry: what /metrics shows.
    :ivar guard: every page that changes state asks it; set when the service starts.
    """

    def __init__(self, section: AdminSection, appliance: Appliance) -> None:
        super().__init__()
        self.setName("admin")
        self.section = section
        self._appliance = appliance
        self.registry = make_registry(appliance, quilkin_aliases=section.aliases == "quilkin")
        self.guard = TokenGuard(None)
        self.site = AdminSite(
            reactor=appliance.reactor,
            max_connections=section.max_connections,
            request_timeout_s=section.request_timeout_s,
            idle_timeout_s=section.idle_timeout_s,
            max_body_bytes=section.max_body_size,
        )
        self.site.add_page("/metrics", metrics_page(self.registry))
        self.site.add_page("/live", live_page())
        self.site.add_page("/ready", ready_page(lambda: readiness(appliance)))
        self.site.add_page("/config", config_page(lambda: redact(appliance.configuration.text())))
        self.listeners = [
            ListeningService("admin", endpoint.text, self.site, appliance.reactor) for endpoint in section.listen
        ]
        for listener in self.listeners:
            listener.setServiceParent(self)

    def may_change(self, request: Request) -> bool:
        """Return whether a request may change state: it has the token, or none is asked for."""
        return self.guard.allows(request.getHeader(b"Authorization"))

    def privilegedStartService(self) -> None:
        """
        Read the token and listen.

        :raises StartError: the token file is doubtful or an address is busy.
        """
        if self.section.token_file:
            self.guard = TokenGuard(load_token(self.section.token_file))
        for path, make in self._appliance.pages.items():
            self.site.add_page(path, make(self.may_change))
        super().privilegedStartService()

    def stopService(self) -> Deferred[Any]:
        """Stop listening and end the connections."""
        stopped: Deferred[Any] = super().stopService()
        self.site.close_connections()
        return stopped


def readiness(appliance: Appliance) -> str:
    """Return an empty text when new sessions are welcome, else ``starting`` or ``draining``."""
    if appliance.draining:
        return "draining"
    return "" if appliance.ready else "starting"
