"""A cluster: its backends, which of them may be used now, and the choice among these."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from twisted.logger import Logger, LogLevel

from netappliance.clusters.availability import Availability
from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.clusters.balancing import make_balancer
from netappliance.clusters.outliers import Outliers
from netappliance.clusters.retry_budget import RetryBudget
from netappliance.clusters.section import ClusterSection
from netappliance.clusters.slow_start import NEXT, warm_up
from netappliance.clusters.state import BackendState, StateChange
from netappliance.metrics.histogram import Histogram
from netappliance.tls.to_backends.peer import ClusterTls, HandshakeCounts

_log = Logger(__name__)

#: seconds of traffic after which a cluster is looked at, whatever has happened
LOOK_S: Final = 1.0
#: states that are no news for who chooses
_SERVING = (BackendState.UP, BackendState.FULL)

CONNECT_BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0)


class Cluster:
    """
    Chooses backends and books what becomes of the connections.

    Usable is what is up: see :class:`netappliance.clusters.state.BackendState`. A backend whose last connection failed
    is left alone for a while, then tried with one connection at a time. Backups serve only while no primary is usable.
    When nothing is usable because all look broken, the cluster fails open: it tries them all the same, for the look may
    be wrong, and counts that; when those that look well are full, it does not.

    :ivar backends: all, draining ones included. :ivar fail_open_total: choices made that way.
    :ivar resolve_failures_total: answers of the name service without an address.
    :ivar watchers: called with the cluster when its section or members have changed.
    :ivar state_watchers: called when a backend's state has changed. That it is full, or no longer, is told once a
        second at most; that time has passed, when the cluster is used next.
    :ivar connections_total: connections begun. :ivar reused_total: requests on connections that were kept.
    :ivar retry_budget: what of these may be retries.
    :ivar tls: of the connections to its backends; None = they are plain. :ivar handshakes: what became of them.
    """

    def __init__(self, section: ClusterSection, rng: random.Random) -> None:
        """:raises ValueError: the files of ``tls`` cannot be used any more."""
        self.name = section.name
        self.section = section
        self.backends: list[Backend] = []
        self.fail_open_total = 0
        self.resolve_failures_total = 0
        self.watchers: list[Callable[[Cluster], None]] = []
        self.state_watchers: list[Callable[[StateChange], None]] = []
        self.connections_total = 0
        self.reused_total = 0
        #: too few backends look well
        self.panic = False
        self.outliers = Outliers(section)
        self._warming = False
        self.retry_budget = RetryBudget(section.retry_budget, section.retry_budget_min)
        self.handshakes = HandshakeCounts()
        self.tls = self._make_tls(section)
        self.connect_secs = Histogram(CONNECT_BUCKETS)
        self._rng = rng
        self._resolved: dict[str, tuple[tuple[int, tuple[str, int]], ...]] = {}
        self._usable: tuple[Backend, ...] = ()
        self._usable_backups: tuple[Backend, ...] = ()
        self._by_token: dict[bytes, tuple[Backend, ...]] = {}
        self._available: dict[str, Backend] = {}
        #: when the usable set must be made anew: a back-off ends
        self._recheck_at = 0.0
        #: when a second of traffic is over
        self._second_at = 0.0
        #: the earlier one of these
        self._look_at = 0.0
        self._primary = make_balancer(section.balance, rng)
        self._backup = make_balancer(section.balance, rng)
        self.needs_key = self._primary.needs_key
        self._counts = self._primary.counts
        self.update(section)

    # -- membership ---------------------------------------------------------------------------------------------------

    def update(self, section: ClusterSection) -> None:
        """
        Take over a changed section: new backends join, removed ones drain, the others keep their state.

        :raises ValueError: the files of a changed ``tls`` cannot be used; nothing was taken over.
        """
        if section.tls != self.section.tls:
            self.tls = self._make_tls(section)
        if section.balance != self.section.balance:
            self._primary = make_balancer(section.balance, self._rng)
            self._backup = make_balancer(section.balance, self._rng)
            self.needs_key = self._primary.needs_key
            self._counts = self._primary.counts
        self.section = section
        self.retry_budget.percent = section.retry_budget
        self.retry_budget.minimum = section.retry_budget_min
        self.outliers.configure(section)
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
                    if self.backends and self.section.slow_start_s:
                        backend.warming_since = NEXT
                        self._warming = True
                    check = self.section.health_check
                    if check is not None and check.initial == "checking":
                        backend.healthy, backend.checking = False, True
                        backend.told = BackendState.CHECKING
                else:
                    backend.configure(entry)
                    backend.draining = False
                self._set_tls(backend, entry.host)
                members.append(backend)
        leaving = [backend for backend in present.values() if backend.active]
        for backend in leaving:
            backend.draining = True
            self._tell(backend, BackendState.DRAINING, "it was taken out of the configuration")
        self.backends = members + leaving
        self._primary.set_members([backend for backend in members if not backend.backup])
        self._backup.set_members([backend for backend in members if backend.backup])
        self._changed()
        self._second_at = 0.0
        for watcher in self.watchers:
            watcher(self)

    def _make_tls(self, section: ClusterSection) -> ClusterTls | None:
        return None if section.tls is None else ClusterTls(section.name, section.tls, self.handshakes)

    def _set_tls(self, backend: Backend, host: str) -> None:
        """Have new connections to a backend use the TLS of the section; one that stays resumes its session."""
        tls = self.tls
        peer = backend.tls
        if tls is None:
            backend.tls = None
        elif peer is None or peer.tls is not tls:
            backend.tls = tls.peer(backend.id, host)

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
        if now >= self._look_at:
            self._look(now)
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
        if now >= self._look_at:
            self._look(now)
        return self._usable or self._usable_backups

    def by_token(self, now: float) -> Mapping[bytes, tuple[Backend, ...]]:
        """Return token -> the usable backends that have it; backups count, for a token names its server."""
        if now >= self._look_at:
            self._look(now)
        return self._by_token

    def available(self, now: float) -> Mapping[str, Backend]:
        """
        Return id -> backend for those that a client may come back to; the same object while nothing changes.

        That is more than the usable ones: backups, and backends that are full or have weight 0, which only get no new
        clients.
        """
        if now >= self._look_at:
            self._look(now)
        return self._available

    def full(self, now: float) -> bool:
        """True when there are backends, and all that look well (or all, when none does) are at ``max_connections``."""
        if self.usable(now):
            return False
        if self._available:
            return True
        members = [backend for backend in self.backends if not backend.draining]
        return bool(members) and all(backend.full for backend in members)

    # -- looking ------------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self._recheck_at = self._look_at = 0.0

    def _look(self, now: float) -> None:
        """Look at the backends: one has changed, a time has come, or a second of traffic is over."""
        second = now >= self._second_at
        if second:
            self._second_at = now + LOOK_S
            self.retry_budget.look(self.connections_total + self.reused_total, now)
            if self.outliers.active:
                for backend, why in self.outliers.compare(self.backends, now):
                    self._eject(backend, now, why)
            if self._warming:
                self._warm_up(now)
        recheck = now >= self._recheck_at
        if recheck:
            self._recheck(now)
        self._look_at = min(self._second_at, self._recheck_at)
        if second or recheck:
            for backend in list(self.backends):
                self._see(backend, now, "", full=second)

    def _see(self, backend: Backend, now: float, why: str, *, full: bool = False) -> None:
        """Tell the state of a backend if it is news; that it is full, or no longer, only when ``full``."""
        state = backend.state(now)
        if state is not backend.told and (full or state not in _SERVING or backend.told not in _SERVING):
            back = backend.told not in _SERVING and state in _SERVING
            self._tell(backend, state, why)
            if back and self.section.slow_start_s:
                backend.warming_since = now
                self._warm_up(now)

    def _tell(self, backend: Backend, state: BackendState, why: str) -> None:
        change = StateChange(self.name, backend.id, backend.told, state, why)
        backend.told = state
        if state is BackendState.EJECTED:
            backend.ejections_total += 1
        if state not in _SERVING or change.before not in _SERVING:
            _log.emit(
                LogLevel.warn if state in (BackendState.DOWN, BackendState.EJECTED) else LogLevel.info,
                "backend {backend} of cluster {cluster} is {state}{colon}{why}",
                backend=backend.id,
                cluster=self.name,
                state=state.value,
                before=change.before.value,
                colon=": " if why else "",
                why=why,
            )
        for watcher in self.state_watchers:
            watcher(change)

    def _recheck(self, now: float) -> None:
        found = Availability(self.backends, now, self.section.panic_threshold)
        self._usable, self._usable_backups = found.usable, found.backups
        self._available, self._by_token, self._recheck_at = found.available, found.by_token, found.until
        if found.panic != self.panic:
            self.panic = found.panic
            words = "few backends can be used: all are" if found.panic else "enough backends can be used again"
            _log.warn("cluster {cluster}: {words}", cluster=self.name, words=words)

    def _warm_up(self, now: float) -> None:
        self._warming = warm_up(self.backends, self.section.slow_start_s, now)
        self._primary.weights_changed()
        self._backup.weights_changed()

    def _eject(self, backend: Backend, now: float, why: str) -> None:
        # nobody may have noticed the end of its last pause
        self._see(backend, now, "")
        if self.outliers.eject(self.backends, backend, now):
            self._changed()
            self._see(backend, now, why)

    # -- what becomes of connections ----------------------------------------------------------------------------------

    def session_started(self, backend: Backend) -> None:
        """A datagram session begins on it."""
        backend.active += 1
        backend.connections_total += 1
        self.connections_total += 1
        if self._counts:
            self._loaded(backend)
        if backend.max_connections and backend.full:
            self._changed()

    def _loaded(self, backend: Backend) -> None:
        (self._backup if backend.backup else self._primary).loaded(backend)

    def connect_started(self, backend: Backend) -> None:
        """A connection attempt begins on it; while one finds out whether a backend is back there is no second one."""
        self.session_started(backend)
        if backend.probation:
            backend.trying = backend.limited = True
            self._changed()

    def reused(self, backend: Backend) -> None:
        """A connection that was kept serves again."""
        backend.active += 1
        self.reused_total += 1
        if self._counts:
            self._loaded(backend)
        if backend.max_connections and backend.full:
            self._changed()

    def connect_succeeded(self, backend: Backend, seconds: float, now: float) -> None:
        """The connection is there, ``seconds`` after its start."""
        self.connect_secs.observe(seconds)
        backend.observe_latency(seconds, now)
        if backend.backoff.failures:
            self.answered(backend, now)

    def answered(self, backend: Backend, now: float) -> None:
        """A backend that failed is there again."""
        self._tried(backend)
        backend.probation = False
        backend.backoff.succeeded()
        self._changed()
        self._see(backend, now, "it answers again")

    def connect_failed(self, backend: Backend, now: float, *, blame: bool = True) -> None:
        """
        The attempt failed.

        :param blame: False when the fault is ours (no descriptors): then the backend is not left alone.
        """
        self.released(backend)
        if blame:
            backend.probation = True
            self.marked_bad(backend, now)
            if self.outliers.active:
                self.judge(backend, self.outliers.failed(backend), now)

    def responded(self, backend: Backend, status: int, seconds: float, now: float) -> None:
        """A response, for clusters that look for outliers; ``seconds`` after its request was sent."""
        self.judge(backend, self.outliers.responded(backend, status, seconds), now)

    def misbehaved(self, backend: Backend, status: int, seconds: float, now: float) -> None:
        """
        A connection that was there failed.

        :param status: what the client gets for it when it was the backend's silence, else 0.
        """
        backend.failures_total += 1
        outliers = self.outliers
        if outliers.active:
            found = outliers.responded(backend, status, seconds) if status else outliers.failed(backend)
            self.judge(backend, found, now)

    def judge(self, backend: Backend, why: str, now: float) -> None:
        """Eject a backend if there is a reason."""
        if why:
            self._eject(backend, now, why)

    def marked_bad(self, backend: Backend, now: float) -> None:
        """Nobody listens there, as a failed connection or a refused datagram tells: leave it alone for a while."""
        backend.failures_total += 1
        backend.backoff.failed(now, self._rng)
        self._changed()
        self._see(backend, now, "connections to it fail")

    def retry(self, now: float) -> bool:
        """Ask for a retry: False when too many of the cluster's requests are retries already."""
        return self.retry_budget.take(self.connections_total + self.reused_total, now)

    def _tried(self, backend: Backend) -> None:
        """The attempt that was to find out is over."""
        backend.trying = False
        backend.limited = bool(backend.max_connections)

    def released(self, backend: Backend) -> None:
        """A connection or session on it ended; a draining backend goes with its last one."""
        if backend.limited:
            if backend.full or backend.trying:
                self._changed()
            self._tried(backend)
        backend.active -= 1
        if self._counts:
            self._loaded(backend)
        if backend.draining and not backend.active:
            self.backends.remove(backend)
            _log.info("backend {backend} of cluster {cluster} has drained", backend=backend.id, cluster=self.name)

    def set_health(self, backend: Backend, healthy: bool, now: float, why: str = "") -> None:
        """What an active check found, and why in words."""
        if backend.healthy != healthy or backend.checking:
            backend.healthy, backend.checking = healthy, False
            self._changed()
            self._see(backend, now, why)
