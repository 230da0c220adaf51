"""Idle connections to the backends of one cluster, shared by all clients, and the queue for full backends."""

from __future__ import annotations

from collections import OrderedDict
from socket import SocketType

from netappliance.clusters.backend import Backend
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.state import BackendState, StateChange
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.dataplane.transport import Connect, Transport, connect
from netappliance.http.streams.h1_backend import H1BackendConnection, Lender
from netappliance.http.streams.h1_tls_backend import H1TlsBackendConnection
from netappliance.http.streams.stream import StreamUser
from netappliance.tls.to_backends.peer import BackendPeer


class BackendPool(Lender):
    """
    Connections to the backends of a cluster.

    :ivar idle: backend -> its idle connections, the most recently used last. :ivar misses: requests on a
        new connection. :ivar stale: kept ones that turned out dead or talking.
    :ivar expired: closed after ``pool_idle_timeout``. :ivar overflow: closed because ``pool_max_idle`` were kept.
    """

    def __init__(self, cluster: Cluster, poller: Poller, timers: TimerWheel, connect: Connect = connect) -> None:
        """:param connect: begins the connections."""
        self.cluster = cluster
        self._connect = connect
        self.poller = poller
        self.timers = timers
        self.timer_slot = 0
        self.idle: dict[Backend, list[H1BackendConnection]] = {}
        self.queue: OrderedDict[StreamUser, None] = OrderedDict()
        self.misses = self.stale = self.expired = self.overflow = 0
        self.queue_timeouts = self.queue_full = 0
        self._wake_scheduled = False
        self.closed = False
        cluster.state_watchers.append(self.state_changed)

    # -- connections --------------------------------------------------------------------------------------------------

    def reuse(self, backend: Backend, *, surely: bool) -> H1BackendConnection | None:
        """
        Take an idle connection of a backend, its most recently used one.

        :param surely: make sure that it is alive, for a request that must not be sent twice.
        """
        kept = self.idle.get(backend)
        while kept:
            connection = kept.pop()
            if connection.silent(surely=surely):
                self.cluster.reused(backend)
                return connection
            self.stale += 1
            connection.close()
        return None

    def connect(self, backend: Backend) -> H1BackendConnection:
        """
        Begin a new connection; counts as an attempt on the backend either way.

        :raises OSError: when it failed at once.
        """
        self.cluster.connect_started(backend)
        self.misses += 1
        sock = self._connect(backend.family, backend.sockaddr)
        try:
            if backend.tls is not None:
                return self._connect_tls(sock, backend, backend.tls)
            connection = H1BackendConnection(Transport(sock), backend, self, self.poller)
            self.poller.add(sock.fileno(), connection.on_ready)
        except OSError:
            sock.close()
            raise
        return connection

    def _connect_tls(self, sock: SocketType, backend: Backend, peer: BackendPeer) -> H1BackendConnection:
        # a body that only the end of the connection ends is whole when the backend says so
        transport = TlsTransport(sock, strict_end=True)
        connection = H1TlsBackendConnection(transport, peer, backend, self, self.poller)
        if connection.handshake is not None:
            self.poller.add(transport.fd, connection.handshake.on_ready)
        return connection

    def take_back(self, connection: H1BackendConnection, *, clean: bool) -> None:
        """Keep a connection after a whole response, if it can serve again; close it else."""
        backend = connection.backend
        section = self.cluster.section
        kept = self.idle.get(backend)
        if not clean or self.closed or backend.draining:
            connection.close()
        elif (len(kept) if kept is not None else 0) >= section.pool_max_idle:
            self.overflow += 1
            connection.close()
        else:
            if kept is None:
                kept = self.idle[backend] = []
            if connection.readable:
                # the response ended where a read did: what is behind it was not looked for
                connection.readable = False
                connection.round = 0
            connection.idle_since = self.poller.now
            kept.append(connection)
            if not self.timer_slot:
                self.timers.schedule(self, self.poller.now + section.pool_idle_timeout_s)
        self.cluster.released(backend)
        if self.queue:
            self._wake_later()

    def spoke(self, connection: H1BackendConnection) -> None:
        """An idle connection ended or spoke unasked; nothing is done with one that is not idle (any more)."""
        kept = self.idle.get(connection.backend)
        if kept is not None and connection in kept:
            kept.remove(connection)
            self.stale += 1
            connection.close()

    def failed(self, backend: Backend, *, blame: bool) -> None:
        """A connection attempt failed; ``blame`` the backend unless the fault is ours."""
        self.cluster.connect_failed(backend, self.poller.now, blame=blame)
        self._wake_later()

    def forget(self, backend: Backend) -> None:
        """A place on a backend is free again without a connection of ours (a tunnel's end)."""
        self._released(backend)

    def _released(self, backend: Backend) -> None:
        self.cluster.released(backend)
        if self.queue:
            self._wake_later()

    def _wake_later(self) -> None:
        if self.queue and not self._wake_scheduled:
            self._wake_scheduled = True
            self.poller.later(self._wake)

    # -- the queue ----------------------------------------------------------------------------------------------------

    def wait(self, exchange: StreamUser) -> bool:
        """Queue an exchange; False when ``max_queue`` wait already."""
        if len(self.queue) >= self.cluster.section.max_queue:
            self.queue_full += 1
            return False
        self.queue[exchange] = None
        return True

    def crowded(self) -> bool:
        """True when a newcomer has to queue behind those who wait, and not all of these wait for one full backend."""
        return self._wake_scheduled or self.cluster.full(self.poller.now)

    def state_changed(self, change: StateChange) -> None:
        """A backend that is back has room for who waits."""
        if change.after is BackendState.UP:
            self._wake_later()

    def leave(self, exchange: StreamUser) -> None:
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
                kept[old].close()
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
            for connection in kept:
                connection.close()
        self.idle.clear()
