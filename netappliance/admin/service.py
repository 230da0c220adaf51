"""The service of ``[admin]``: its pages over its listeners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.web.server import Request

from netappliance.admin.redaction import redact
from netappliance.admin.scrape import SlicedRegistry
from netappliance.admin.section import AdminSection
from netappliance.admin.site import AdminSite, Page, config_page, live_page, metrics_page, ready_page
from netappliance.admin.token import TokenGuard, load_token
from netappliance.endpoints.listening import ListeningService

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration


class AdminService(MultiService):
    """
    Serves the pages.

    :param obstacle: says why new sessions are not welcome, empty when they are.
    :param pages: by path, those of other parts, which may come until the start; see
        :class:`netappliance.process.appliance.Appliance`.
    :ivar registry: what /metrics shows.
    :ivar guard: every page that changes state asks it; set when the service starts.
    """

    def __init__(
        self,
        section: AdminSection,
        registry: SlicedRegistry,
        obstacle: Callable[[], str],
        configuration: Configuration,
        pages: Mapping[str, Callable[[Callable[[Request], bool]], Page]],
        reactor: Any,
    ) -> None:
        super().__init__()
        self.setName("admin")
        self.section = section
        self.registry = registry
        self._pages = pages
        self.guard = TokenGuard(None)
        self.site = AdminSite(
            reactor=reactor,
            max_connections=section.max_connections,
            request_timeout_s=section.request_timeout_s,
            idle_timeout_s=section.idle_timeout_s,
            max_body_bytes=section.max_body_size,
        )
        self.site.add_page("/metrics", metrics_page(self.registry, reactor))
        self.site.add_page("/live", live_page())
        self.site.add_page("/ready", ready_page(obstacle))
        self.site.add_page("/config", config_page(redact(configuration.text())))
        self.listeners = [ListeningService("admin", endpoint.text, self.site, reactor) for endpoint in section.listen]
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
        for path, make in self._pages.items():
            self.site.add_page(path, make(self.may_change))
        super().privilegedStartService()

    def stopService(self) -> Deferred[Any]:
        """Stop listening and end the connections."""
        stopped: Deferred[Any] = super().stopService()
        self.site.close_connections()
        return stopped
