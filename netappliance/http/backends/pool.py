"""Idle connections to the backends of one cluster, shared by all clients, and the queue for full backends."""

from __future__ import annotations

from collections import OrderedDict
from socket import SocketType
from typing import TYPE_CHECKING, Protocol

from netappliance.clusters.backend import Backend
from netappliance.dataplane.sockets import start_connect
from netappliance.http.backends.upstream import Upstream

if TYPE_CHECKING:
    from netappliance.clusters.cluster import Cluster
    from netappliance.dataplane.poller import Poller
    from netappliance.dataplane.timers import TimerWheel


class Waiting(Protocol):
    """An exchange in the queue."""

    def backend_freed(self) -> None:
        """A place on some backend may be free; try again."""


class BackendPool:
    """
    Connections to the backends of a cluster.

    :ivar idle: backend -> its idle connections, the most recently used last. :ivar hits: requests on a kept
        connection. :ivar misses: on a new one. :ivar stale: kept ones that turned out dead or talking.
    :ivar expired: closed after ``pool_idle_timeout``. :ivar overflow: closed because ``pool_max_idle`` were kept.
    """

    def __init__(self, cluster: Cluster, poller: Poller, timers: TimerWheel) -> None:
        self.cluster = cluster
        self.poller = poller
        self.timers = timers
        self.timer_slot = 0
        self.idle: dict[Backend, list[Upstream]] = {}
        self.queue: OrderedDict[Waiting, None] = OrderedDict()
        self.hits = self.misses = self.stale = self.expired = self.overflow = 0
        self.queue_timeouts = self.queue_full = 0
        self._wake_scheduled = False
        self.closed = False

    # -- connections --------------------------------------------------------------------------------------------------

    def reuse(self, backend: Backend, *, careful: bool) -> Upstream | None:
        """
        Take an idle connection of a backend, its most recently used one.

        :param careful: look for the end too, for a request that must not be sent twice.
        """
        kept = self.idle.get(backend)
        while kept:
            upstream = kept.pop()
            if upstream.silent() and not (careful and not upstream.alive()):
                self.hits += 1
                self.cluster.reused(backend)
                return upstream
            self.stale += 1
            self.poller.close(upstream.sock)
        return None

    def connect(self, backend: Backend) -> Upstream:
        """
        Begin a new connection; counts as an attempt on the backend either way.

        :raises OSError: when it failed at once.
        """
        self.cluster.connect_started(backend)
        self.misses += 1
        sock: SocketType = start_connect(backend.family, backend.sockaddr)
        upstream = Upstream(sock, backend, self, self.poller)
        try:
            self.poller.add(sock.fileno(), upstream.on_ready)
        except OSError:
            sock.close()
            raise
        return upstream

    def keep(self, upstream: Upstream) -> None:
        """Take a connection back after a whole response; the next request may have it."""
        upstream.user = None
        if upstream.readable:
            # the response ended where a read did: what is behind it was not looked for
            upstream.readable = False
            upstream.round = 0
        upstream.served += 1
        backend = upstream.backend
        section = self.cluster.section
        kept = self.idle.get(backend)
        if backend.draining or self.closed or len(kept or ()) >= section.pool_max_idle:
            self.overflow += 1
            self.poller.close(upstream.sock)
        else:
            if kept is None:
                kept = self.idle[backend] = []
            upstream.idle_since = self.poller.now
            kept.append(upstream)
            if not self.timer_slot:
                self.timers.schedule(self, self.poller.now + section.pool_idle_timeout_s)
        self._released(backend)

    def drop(self, upstream: Upstream) -> None:
        """Close a connection that was in use."""
        upstream.user = None
        upstream.out = None
        self.poller.close(upstream.sock)
        self._released(upstream.backend)

    def failed(self, backend: Backend, *, blame: bool) -> None:
        """A connection attempt failed; ``blame`` the backend unless the fault is ours."""
        self.cluster.connect_failed(backend, self.poller.now, blame=blame)
        self._wake_later()

    def forget(self, backend: Backend) -> None:
        """A place on a backend is free again without a connection of ours (a tunnel's end)."""
        self._released(backend)

    def discard(self, upstream: Upstream) -> None:
        """An idle connection ended or spoke unasked; nothing is done with one that is not idle (any more)."""
        kept = self.idle.get(upstream.backend)
        if kept is not None and upstream in kept:
            kept.remove(upstream)
            self.stale += 1
            self.poller.close(upstream.sock)

    def _released(self, backend: Backend) -> None:
        self.cluster.released(backend)
        if self.queue:
            self._wake_later()

    def _wake_later(self) -> None:
        if self.queue and not self._wake_scheduled:
            self._wake_scheduled = True
            self.poller.later(self._wake)

    # -- the queue ----------------------------------------------------------------------------------------------------

    def wait(self, exchange: Waiting) -> bool:
        """Queue an exchange; False when ``max_queue`` wait already."""
        if len(self.queue) >= self.cluster.section.max_queue:
            self.queue_full += 1
            return False
        self.queue[exchange] = None
        return True

    def crowded(self) -> bool:
        """True when a newcomer has to queue behind those who wait, and not all of these wait for one full backend."""
        return self._wake_scheduled or self.cluster.full(self.poller.now)

    def leave(self, exchange: Waiting) -> None:
        """Take an exchange out of the queue, if it is there."""
        self.queue.pop(exchange, None)

    def _wake(self) -> None:
        self._wake_scheduled = False
        for _ in range(len(self.queue)):
            if self.cluster.full(self.poller.now):
                return
            exchange, _none = self.queue.popitem(last=False)
            self.poller.call(exchange.backend_freed)

    # -- time and end -------------------------------------------------------------------------------------------------

    def on_timer(self, now: float) -> float:
        """Close what was idle for too long."""
        limit = self.cluster.section.pool_idle_timeout_s
        oldest = now
        for backend, kept in list(self.idle.items()):
            # the longest idle ones come first
            old = 0
            while old < len(kept) and (backend.draining or now - kept[old].idle_since >= limit):
                self.expired += 1
                self.poller.close(kept[old].sock)
                old += 1
            del kept[:old]
            if kept:
                oldest = min(oldest, kept[0].idle_since)
            else:
                del self.idle[backend]
        return oldest + limit if self.idle else 0.0

    def close(self) -> None:
        """Close every idle connection; those in use are closed when their exchange ends."""
        self.closed = True
        self.timers.cancel(self)
        for kept in self.idle.values():
            for upstream in kept:
                self.poller.close(upstream.sock)
        self.idle.clear()
