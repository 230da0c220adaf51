"""A cluster: its backends, which of them may be used now, and the choice among these."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping

from twisted.logger import Logger

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.clusters.balancing import make_balancer
from netappliance.clusters.section import ClusterSection
from netappliance.metrics.histogram import Histogram

_log = Logger(__name__)

CONNECT_BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0)


class Cluster:
    """
    Chooses backends and books what becomes of the connections.

    Usable is what is not draining, healthy, out of its back-off and below its ``max_connections``. Backups serve only
    while no primary is usable. When nothing is usable because all look broken, the cluster fails open: it tries them
    all the same, for the look may be wrong, and counts that; when those that look well are full, it does not.

    :ivar backends: all, draining ones included. :ivar fail_open_total: choices made that way.
    :ivar resolve_failures_total: answers of the name service without an address.
    :ivar watchers: called with the cluster when its section or members have changed.
    """

    def __init__(self, section: ClusterSection, rng: random.Random) -> None:
        self.name = section.name
        self.section = section
        self.backends: list[Backend] = []
        self.fail_open_total = 0
        self.resolve_failures_total = 0
        self.watchers: list[Callable[[Cluster], None]] = []
        self.connect_secs = Histogram(CONNECT_BUCKETS)
        self._rng = rng
        self._resolved: dict[str, tuple[tuple[int, tuple[str, int]], ...]] = {}
        self._usable: tuple[Backend, ...] = ()
        self._usable_backups: tuple[Backend, ...] = ()
        self._by_token: dict[bytes, tuple[Backend, ...]] = {}
        self._available: dict[str, Backend] = {}
        #: when the usable set must be looked at again: a back-off ends
        self._recheck_at = 0.0
        self._primary = make_balancer(section.balance, rng)
        self._backup = make_balancer(section.balance, rng)
        self.needs_key = self._primary.needs_key
        self.update(section)

    # -- membership ---------------------------------------------------------------------------------------------------

    def update(self, section: ClusterSection) -> None:
        """Take over a changed section: new backends join, removed ones drain, the others keep their state."""
        if section.balance != self.section.balance:
            self._primary = make_balancer(section.balance, self._rng)
            self._backup = make_balancer(section.balance, self._rng)
            self.needs_key = self._primary.needs_key
        self.section = section
        self._rebuild()

    def resolved(self, addresses: Mapping[str, tuple[tuple[int, tuple[str, int]], ...]]) -> None:
        """
        Take over what host names resolve to.

        :param addresses: host name:port -> ((AF_INET or AF_INET6, (address, port)), ...); names not in it keep theirs.
        """
        merged = {**self._resolved, **addresses}
        if merged != self._resolved:
            self._resolved = merged
            self._rebuild()

    def _rebuild(self) -> None:
        present = {(backend.id, backend.sockaddr): backend for backend in self.backends}
        members: list[Backend] = []
        for entry in self.section.backends:
            for identifier, family, sockaddr in self._addresses(entry):
                backend = present.pop((identifier, sockaddr), None)
                if backend is None:
                    backend = Backend(entry, family, sockaddr, identifier)
                else:
                    backend.configure(entry)
                    backend.draining = False
                members.append(backend)
        leaving = [backend for backend in present.values() if backend.active]
        for backend in leaving:
            backend.draining = True
        self.backends = members + leaving
        self._primary.set_members([backend for backend in members if not backend.backup])
        self._backup.set_members([backend for backend in members if backend.backup])
        self._changed()
        for watcher in self.watchers:
            watcher(self)

    def _addresses(self, entry: BackendSection) -> Iterable[tuple[str, int, tuple[str, int] | str]]:
        if entry.path:
            return [(entry.id, entry.family, entry.path)]
        if entry.family:
            return [(entry.id, entry.family, (entry.host, entry.port))]
        found = self._resolved.get(f"{entry.host}:{entry.port}", ())[: self.section.resolve_max]
        return [(f"{entry.id}@{sockaddr[0]}", family, sockaddr) for family, sockaddr in found]

    # -- choice -------------------------------------------------------------------------------------------------------

    def choose(self, key: bytes, now: float, tried: Collection[Backend] = ()) -> Backend | None:
        """
        Choose a backend for a new connection.

        :param key: what hash policies hash. :param now: monotonic seconds.
        :param tried: backends that failed for this session already; another is chosen where there is one.
        :return: None when there is none, or all are full.
        """
        if now >= self._recheck_at:
            self._recheck(now)
        usable, backups = self._usable, self._usable_backups
        if tried:
            fresh = tuple(backend for backend in usable if backend not in tried)
            fresh_backups = tuple(backend for backend in backups if backend not in tried)
            # a usable one again, when all usable were tried: that is no failing open
            if fresh or fresh_backups:
                usable, backups = fresh, fresh_backups
        if usable:
            return self._primary.choose(usable, key, now)
        if backups:
            return self._backup.choose(backups, key, now)
        # those that look well are full: that is no reason to try the broken ones
        return None if self._available else self._fail_open(key, now, tried)

    def _fail_open(self, key: bytes, now: float, tried: Collection[Backend]) -> Backend | None:
        living = [backend for backend in self.backends if not backend.draining and not backend.full]
        candidates = [backend for backend in living if backend not in tried] or living
        primaries = [backend for backend in candidates if not backend.backup]
        chosen = primaries or candidates
        if not chosen:
            return None
        self.fail_open_total += 1
        weighty = [backend for backend in chosen if backend.weight]
        balancer = self._primary if primaries else self._backup
        return balancer.choose(tuple(weighty or chosen), key, now)

    def client_key(self, client: tuple[str, int]) -> bytes:
        """Return what hash policies hash for a client, by ``balance_key``; empty for policies that hash nothing."""
        if not self.needs_key:
            return b""
        host, port = client
        return f"{host}:{port}".encode() if self.section.balance_key == "client_address_port" else host.encode()

    def usable(self, now: float) -> tuple[Backend, ...]:
        """Return the backends that may be used now: primaries, else backups; the same tuple while nothing changes."""
        if now >= self._recheck_at:
            self._recheck(now)
        return self._usable or self._usable_backups

    def by_token(self, now: float) -> Mapping[bytes, tuple[Backend, ...]]:
        """Return token -> the usable backends that have it; backups count, for a token names its server."""
        if now >= self._recheck_at:
            self._recheck(now)
        return self._by_token

    def available(self, now: float) -> Mapping[str, Backend]:
        """
        Return id -> backend for those that a client may come back to; the same object while nothing changes.

        That is more than the usable ones: backups, and backends that are full or have weight 0, which only get no new
        clients.
        """
        if now >= self._recheck_at:
            self._recheck(now)
        return self._available

    def marked_bad(self, backend: Backend, now: float) -> None:
        """A datagram session learnt that nobody listens there: leave it alone, as after a failed connection."""
        backend.failures_total += 1
        if backend.backoff.failed(now, self._rng):
            _log.warn("backend {backend} of cluster {cluster} is down", backend=backend.id, cluster=self.name)
        self._changed()

    def full(self, now: float) -> bool:
        """True when there are backends, and all that look well (or all, when none does) are at ``max_connections``."""
        if self.usable(now):
            return False
        if self._available:
            return True
        members = [backend for backend in self.backends if not backend.draining]
        return bool(members) and all(backend.full for backend in members)

    def _changed(self) -> None:
        self._recheck_at = 0.0

    def _recheck(self, now: float) -> None:
        self._recheck_at = float("inf")
        tiers: tuple[list[Backend], list[Backend]] = ([], [])
        self._available = {}
        for backend in self.backends:
            if backend.draining or not backend.healthy:
                continue
            if now < backend.backoff.until:
                self._recheck_at = min(self._recheck_at, backend.backoff.until)
                continue
            self._available[backend.id] = backend
            if not backend.full:
                tiers[backend.backup].append(backend)
        self._usable, self._usable_backups = (
            tuple([backend for backend in tier if backend.weight] or tier) for tier in tiers
        )
        tokens: dict[bytes, list[Backend]] = {}
        for backend in (*tiers[0], *tiers[1]):
            for token in backend.tokens:
                tokens.setdefault(token, []).append(backend)
        self._by_token = {token: tuple(backends) for token, backends in tokens.items()}

    # -- what becomes of connections ----------------------------------------------------------------------------------

    def connect_started(self, backend: Backend) -> None:
        """A connection attempt, or a datagram session, begins on it."""
        backend.active += 1
        backend.connections_total += 1
        if backend.max_connections and backend.full:
            self._changed()

    def reused(self, backend: Backend) -> None:
        """A connection that was kept serves again."""
        backend.active += 1
        if backend.max_connections and backend.full:
            self._changed()

    def connect_succeeded(self, backend: Backend, seconds: float, now: float) -> None:
        """The connection is there, ``seconds`` after its start."""
        self.connect_secs.observe(seconds)
        backend.observe_latency(seconds, now)
        if backend.backoff.failures:
            if backend.backoff.succeeded():
                _log.info("backend {backend} of cluster {cluster} is up", backend=backend.id, cluster=self.name)
            self._changed()

    def connect_failed(self, backend: Backend, now: float, *, blame: bool = True) -> None:
        """
        The attempt failed.

        :param blame: False when the fault is ours (no descriptors): then the backend is not left alone.
        """
        self.released(backend)
        if not blame:
            return
        self.marked_bad(backend, now)

    def released(self, backend: Backend) -> None:
        """A connection or session on it ended; a draining backend goes with its last one."""
        if backend.max_connections and backend.full:
            self._changed()
        backend.active -= 1
        if backend.draining and not backend.active:
            self.backends.remove(backend)
            _log.info("backend {backend} of cluster {cluster} has drained", backend=backend.id, cluster=self.name)

    def set_health(self, backend: Backend, healthy: bool) -> None:
        """What an active check found."""
        if backend.healthy != healthy:
            backend.healthy = healthy
            word = "healthy" if healthy else "unhealthy"
            _log.info(
                "backend {backend} of cluster {cluster} is {word}", backend=backend.id, cluster=self.name, word=word
            )
            self._changed()
