"""What all services of one process share: poller, timers, clusters, session table, limits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client.registry import Collector

from netappliance.dataplane.listener import ListenOptions, StreamListener
from netappliance.dataplane.poller import IPollerReactor, Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.process import descriptors
from netappliance.sessions.admission import Admission
from netappliance.sessions.table import SessionTable

if TYPE_CHECKING:
    from netappliance.clusters.cluster import Cluster
    from netappliance.config.configuration import Configuration
    from netappliance.http.backends.pool import BackendPool
    from netappliance.http.routing.route import Route
    from netappliance.logs.access_log import AccessLog
    from netappliance.logs.diagnostics import LineLogObserver
    from netappliance.tracker.listing.directory import Directory


class Appliance:
    """
    The shared parts, given to every ``IServiceKind.make_service``.

    :ivar configuration: the parsed file. :ivar reactor: Twisted's. :ivar clock: monotonic seconds.
    :ivar clusters: by name. :ivar listeners: stream listeners by (kind, section name), for metrics.
    :ivar collectors: Prometheus collectors that services add; the admin page exposes all of them.
    :ivar pages: by path, makers of a :class:`netappliance.admin.site.Page` that services add before the start; each is
        given a function that tells of a request whether it may change state.
    :ivar connections: the host's, where there is a tracker.
    :ivar reopeners: called on SIGUSR1, to reopen files that were rotated away.
    :ivar ready: start is complete and draining has not begun.
    """

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        section = configuration.appliance
        self.configuration = configuration
        self.reactor = reactor
        self.clock = clock
        self.rng = rng or random.Random()  # noqa: S311 - jitter and balancing, no secrets
        poller_reactor: IPollerReactor = reactor
        self.poller = Poller(poller_reactor, clock)
        self.timers = TimerWheel(clock())
        self.sessions = SessionTable(clock)
        self.admission = Admission(section.max_connections)
        self.clusters: dict[str, Cluster] = {}
        self.listeners: dict[tuple[str, str], list[StreamListener]] = {}
        self.collectors: list[Collector] = []
        self.reopeners: list[Callable[[], None]] = []
        #: where requests are logged; None = nowhere
        self.access_log: AccessLog | None = None
        #: idle connections to backends, by cluster; made by the services that keep some
        self.pools: dict[str, BackendPool] = {}
        #: HTTP routes with their filters; None until the first service asks for them
        self.routes: list[Route] | None = None
        self.pages: dict[str, Callable[[Callable[[Any], bool]], Any]] = {}
        self.connections: Directory | None = None
        self.datagram_sessions = 0
        #: writes the diagnostics; None while twistd's own observer does
        self.log_observer: LineLogObserver | None = None
        #: attempts to put a new configuration in force, by result
        self.reloads = {"success": 0, "failure": 0}
        self.ready = False
        self.draining = False

    def listen_options(self, backlog: int, *, reuse_port: bool) -> ListenOptions:
        """Return how a stream listener listens, from its section's keys and the appliance's."""
        section = self.configuration.appliance
        return ListenOptions(backlog, section.accept_queue_size, section.accept_queue_timeout_s, reuse_port)

    def register_listeners(self, kind: str, name: str, listeners: Sequence[StreamListener]) -> None:
        """Make the accept queues of a section visible to metrics, and count them for the descriptor plan."""
        self.listeners.setdefault((kind, name), []).extend(listeners)

    def fit_descriptors(self) -> descriptors.DescriptorPlan:
        """Raise RLIMIT_NOFILE to what the limits need; where that fails, lower the limits to what there is."""
        section = self.configuration.appliance
        everyone = [listener for group in self.listeners.values() for listener in group]
        arguments = (section.max_connections, section.accept_queue_size, len(everyone), self.datagram_sessions)
        wanted = descriptors.plan(0, *arguments).needed
        plan = descriptors.plan(descriptors.raise_limit(wanted), *arguments)
        self.admission.set_limit(plan.max_connections)
        for listener in everyone:
            listener.queue.limit = plan.accept_queue_size
        return plan
