"""The tracker on its own, with a page of metrics: what ``twistd conntrack`` and ``twistd longterm`` run."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from html import escape
from typing import Any

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred

from netappliance.admin.scrape import SlicedRegistry
from netappliance.admin.site import HTML, AdminSite, Page, live_page, metrics_page
from netappliance.endpoints.listening import ListeningService
from netappliance.process.signals import on_signals


class StandaloneService(MultiService):
    """
    The tracker and its page.

    :param tracker: collects what the page shows. :param listen: Twisted endpoint descriptions.
    :param path: of the metrics. :param landing: title and lines of the page at ``/``.
    """

    def __init__(
        self,
        tracker: IService,
        collectors: Sequence[Collector],
        listen: Sequence[str],
        path: str,
        landing: tuple[str, Sequence[str]],
        reactor: Any,
    ) -> None:
        super().__init__()
        self.registry = SlicedRegistry()
        for collector in (*collectors, ProcessCollector(registry=None), PlatformCollector(registry=None)):
            self.registry.register(collector)
        self.site = AdminSite(reactor=reactor, label=landing[0])
        self.site.add_page("/live", live_page())
        self.site.add_page("/", Page(lambda _request: landing_page(landing[0], path, landing[1]), content_type=HTML))
        self.site.add_page(path, metrics_page(self.registry, reactor))
        tracker.setServiceParent(self)
        self.listeners = [ListeningService(landing[0], each, self.site, reactor) for each in listen]
        for listener in self.listeners:
            listener.setServiceParent(self)
        self._reactor = reactor

    def startService(self) -> None:
        """Begin; SIGTERM and SIGINT end it with status 0."""
        super().startService()
        stops = dict.fromkeys((signal.SIGTERM, signal.SIGINT), lambda _: self._reactor.stop())
        self._reactor.callWhenRunning(on_signals, self._reactor, stops)

    def stopService(self) -> Deferred[Any]:
        """Stop listening and end the connections."""
        stopped: Deferred[Any] = super().stopService()
        self.site.close_connections()
        return stopped


def landing_page(title: str, path: str, lines: Sequence[str]) -> bytes:
    """Return the page at ``/``: where the metrics are, and with what settings."""
    rows = "".join(f"<li>{escape(line)}</li>" for line in lines)
    link = f'<p><a href="{escape(path)}">{escape(path)}</a></p>'
    return f"<!DOCTYPE html><html lang=en><title>{title}</title><h1>{title}</h1>{link}<ul>{rows}</ul>".encode()
