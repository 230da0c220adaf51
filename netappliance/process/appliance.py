"""What every section kind is given to build its services from."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client.registry import Collector

from netappliance.dataplane.listener import ListenOptions, StreamListener
from netappliance.dataplane.plane import DataPlane
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.sessions.admission import Admission
from netappliance.sessions.table import SessionTable

if TYPE_CHECKING:
    from netappliance.clusters.cluster import Cluster
    from netappliance.config.configuration import Configuration

Thing = TypeVar("Thing")

#: seconds that the data plane waits for more before it gives the reactor its turn
LINGER_S = 0.001


class Appliance:
    """
    Given to every ``IServiceKind.make_service``, which hands its service what that needs of it.

    What kinds have for each other, or sections of one kind for one another, is found by its type (:meth:`share`,
    :meth:`shared`, :meth:`find`); this object knows none of it by name.

    :ivar configuration: the parsed file. :ivar reactor: Twisted's. :ivar clock: monotonic seconds.
    :ivar rng: for jitter and balancing.
    :ivar poller, timers, sessions, admission: the data plane, and as ``plane`` all four.
    :ivar clusters: by name.
    :ivar listeners: stream listeners by (kind, section name): their accept queues are metrics and cost descriptors.
    :ivar other_descriptors: that services may use besides those of connections and of listeners.
    :ivar collectors: Prometheus collectors that kinds add; the admin page exposes all of them.
    :ivar pages: by path, makers of a :class:`netappliance.admin.site.Page` that kinds add; each is given a function
        that tells of a request whether it may change state.
    :ivar prompt: names that kinds add to those at the manhole's prompt.
    :ivar reopeners: called on SIGUSR1, to reopen files that were rotated away.
    """

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        poller: Poller | None = None,
    ) -> None:
        self.configuration = configuration
        self.reactor = reactor
        self.clock = clock
        self.rng = rng or random.Random()  # noqa: S311 - jitter and balancing, no secrets
        self.poller = Poller(reactor, clock, linger_s=LINGER_S) if poller is None else poller
        self.timers = TimerWheel(clock())
        self.sessions = SessionTable(clock)
        self.admission = Admission(configuration.appliance.max_connections)
        self.plane = DataPlane(self.poller, self.timers, self.sessions, self.admission)
        self.clusters: dict[str, Cluster] = {}
        self.listeners: dict[tuple[str, str], list[StreamListener]] = {}
        self.other_descriptors = 0
        self.collectors: list[Collector] = []
        self.pages: dict[str, Callable[[Callable[[Any], bool]], Any]] = {}
        self.prompt: dict[str, Any] = {}
        self.reopeners: list[Callable[[], None]] = []
        self._shared: dict[type, Any] = {}

    def listen_options(self, section: Any) -> ListenOptions:
        """Return how a stream listener listens, from its section's ``backlog`` and ``reuse_port`` and [appliance]."""
        limits = self.configuration.appliance
        return ListenOptions(
            section.backlog, limits.accept_queue_size, limits.accept_queue_timeout_s, section.reuse_port
        )

    def share(self, thing: object) -> None:
        """Let others find ``thing`` by its type."""
        self._shared[type(thing)] = thing

    def shared(self, kind: type[Thing], make: Callable[[], Thing]) -> Thing:
        """Return the one instance of a type; the first who asks makes it."""
        found = self.find(kind)
        if found is None:
            found = self._shared[kind] = make()
        return found

    def find(self, kind: type[Thing]) -> Thing | None:
        """Return the instance of a type that is shared; None when there is none (yet)."""
        found: Thing | None = self._shared.get(kind)
        return found
