"""One backend as the process sees it: where it is, how busy, how well."""

from __future__ import annotations

import math
from typing import Any, Final

from netappliance.clusters.backend_section import BackendSection
from netappliance.clusters.backoff import Backoff
from netappliance.clusters.conduct import Conduct
from netappliance.clusters.state import BackendState
from netappliance.tls.to_backends.peer import BackendPeer

#: seconds after which an old latency counts for 1/e in the moving average
LATENCY_DECAY_S: Final = 10.0


class Backend:
    """
    Runtime state of one address.

    :ivar sockaddr: what ``connect`` takes: (host, port) or the path of a unix socket. :ivar family: its AF_*.
    :ivar active: connections or sessions on it now. :ivar draining: removed from the configuration, kept for its
        sessions.
    :ivar healthy: what active checks say. :ivar checking: they have not said enough yet, and it waits for that.
    :ivar probation: its last connection failed: it gets one at a time, until one succeeds. :ivar trying: that one is
        under way.
    :ivar limited: its connections are looked at one by one: it has ``max_connections``, or is ``trying``.
    :ivar told: the state that was told last. :ivar conduct: what it is judged by. :ivar ejected_until: monotonic
        seconds; ejected as an outlier. :ivar ejections_total: times that it became ejected, for whichever reason.
    :ivar weight: for balancing, now. :ivar full_weight: of the configuration; what both are is told in
        :mod:`netappliance.clusters.slow_start`. :ivar warming_since: monotonic seconds, negative = it is not.
    :ivar tls: what TLS connections to it need; None = it is spoken to without.
    """

    __slots__ = (
        "active",
        "backoff",
        "backup",
        "checking",
        "checks_failed_total",
        "checks_passed_total",
        "conduct",
        "connections_total",
        "draining",
        "ejected_until",
        "ejections_total",
        "failures_total",
        "family",
        "full_weight",
        "healthy",
        "id",
        "latency_at",
        "latency_s",
        "limited",
        "locality",
        "max_connections",
        "probation",
        "sockaddr",
        "tls",
        "tokens",
        "told",
        "trying",
        "warming_since",
        "weight",
    )

    def __init__(self, section: BackendSection, family: int, sockaddr: tuple[Any, ...] | str, identifier: str) -> None:
        self.id = identifier
        self.family = family
        self.sockaddr = sockaddr
        self.active = 0
        self.connections_total = 0
        self.failures_total = 0
        self.checks_passed_total = 0
        self.checks_failed_total = 0
        self.healthy = True
        self.checking = False
        self.draining = False
        self.probation = False
        self.trying = False
        self.told = BackendState.UP
        self.backoff = Backoff()
        self.conduct = Conduct()
        self.ejected_until = 0.0
        self.ejections_total = 0
        self.warming_since = -1.0
        self.latency_s = 0.0
        self.latency_at = 0.0
        self.tls: BackendPeer | None = None
        self.configure(section)

    def configure(self, section: BackendSection) -> None:
        """Take over what may change while the address stays."""
        self.weight = self.full_weight = section.weight
        self.backup = section.backup
        self.max_connections = section.max_connections
        self.limited = bool(section.max_connections) or self.trying
        self.tokens = section.tokens
        self.locality = section.locality

    @property
    def full(self) -> bool:
        """True at ``max_connections``."""
        return bool(self.max_connections) and self.active >= self.max_connections

    def state(self, now: float) -> BackendState:
        """Say how it is at ``now``, monotonic seconds."""
        if self.draining:
            return BackendState.DRAINING
        if self.checking:
            return BackendState.CHECKING
        if not self.healthy or self.backoff.down:
            return BackendState.DOWN
        if self.probation or now < self.backoff.until or now < self.ejected_until:
            return BackendState.EJECTED
        return BackendState.FULL if self.full else BackendState.UP

    def observe_latency(self, seconds: float, now: float) -> None:
        """Feed the peak-sensitive moving average: a worse value counts at once, a better one bit by bit."""
        if seconds > self.latency_s:
            self.latency_s = seconds
        else:
            keep = math.exp(-(now - self.latency_at) / LATENCY_DECAY_S)
            self.latency_s = self.latency_s * keep + seconds * (1.0 - keep)
        self.latency_at = now
