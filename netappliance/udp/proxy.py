"""What one ``[udp NAME]`` section does with datagrams: filters, the choice of a backend, sessions, replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from netappliance.clusters.backend import Backend
from netappliance.dataplane.datagrams import connect_udp
from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side
from netappliance.sessions.session import Address
from netappliance.udp.chain import FilterChain
from netappliance.udp.datagram import Datagram, Drop
from netappliance.udp.session import EVICTED, LocalSocket, SessionOwner, UdpSession

if TYPE_CHECKING:
    from netappliance.clusters.cluster import Cluster
    from netappliance.dataplane.plane import DataPlane
    from netappliance.udp.section import UdpSection

POLICY = CloseReason(Side.PROXY, Phase.ACCEPT, Cause.POLICY)


class UdpProxy(SessionOwner):
    """
    Runs the chain, keeps the sessions.

    :param filters: (name, filter) in order. :param filter_failed: told of a filter's first exception: name, error.
    :param perf_counter: seconds, for how long filters take.

    :ivar sessions: (local socket, kernel address of the client, backend) -> session.
    :ivar direct: nothing but the client decides where a datagram goes: no filter reads, and the cluster chooses one.
    :ivar draining: no session begins any more.
    """

    def __init__(
        self,
        section: UdpSection,
        cluster: Cluster,
        plane: DataPlane,
        filters: Sequence[tuple[str, Any]],
        filter_failed: Callable[[str, BaseException], None],
        perf_counter: Callable[[], float],
    ) -> None:
        super().__init__(section, cluster, plane)
        self.section = section
        self.max_datagram_size = section.max_datagram_size
        self.amplification_limit = section.amplification_limit
        self.balance_all = section.balance_all
        self.filters = filters
        self.chain = FilterChain(filters, None, filter_failed, perf_counter)
        self.sessions: dict[tuple[LocalSocket, Any, Backend], UdpSession] = {}
        self.direct = not self.chain.reads and not section.balance_all
        self.draining = False
        self._per_client: dict[str, int] = {}
        self._datagram = Datagram()
        self._coldest: list[tuple[UdpSession, float]] = []

    # -- client to backend --------------------------------------------------------------------------------------------

    def received(self, listener: LocalSocket, size: int) -> None:
        """A datagram of ``size`` bytes is in the buffer, and not on the fast path."""
        if size > self.max_datagram_size:
            self.drop("read", Drop.TOO_LARGE)
            return
        if self.direct:
            session = listener.affinity.get(listener.raw_client)
            if session is None:
                backend = self._choose(listener.client)
                session = self._open(listener, backend) if backend is not None else None
            if session is not None:
                session.reply_ancillary = listener.reply_ancillary
                session.forward(self.view[:size])
            return
        datagram = self._datagram
        datagram.payload = bytes(self.view[:size])
        datagram.source = datagram.client = listener.client
        datagram.metadata = {}
        datagram.destinations = None
        datagram.now = self.poller.now
        datagram.backends = self.cluster.usable(datagram.now)
        datagram.by_token = self.cluster.by_token(datagram.now)
        drop = self.chain.read(datagram)
        if drop is not None:
            self.drop("read", drop)
            return
        self._forward(listener, datagram)

    def _forward(self, listener: LocalSocket, datagram: Datagram) -> None:
        destinations = datagram.destinations
        if destinations is None:
            if self.balance_all:
                destinations = datagram.backends
            else:
                # a client that has a session stays with it: the cluster chooses once
                known = listener.affinity.get(listener.raw_client)
                chosen = known.target if known is not None else self._choose(listener.client)
                destinations = () if chosen is None else (chosen,)
        elif not destinations:
            self.drop("read", Drop.NO_BACKEND)
        payload, metadata = datagram.payload, datagram.metadata
        if len(payload) > self.max_datagram_size:
            self.drop("read", Drop.TOO_LARGE)
            return
        client = listener.raw_client
        first = listener.affinity.get(client)
        for backend in destinations:
            if first is not None and first.target is backend:
                session: UdpSession | None = first
            else:
                session = self.sessions.get((listener, client, backend)) or self._open(listener, backend)
            if session is not None:
                session.metadata = metadata
                session.reply_ancillary = listener.reply_ancillary
                session.forward(payload)

    def _choose(self, client: Address) -> Backend | None:
        backend = self.cluster.choose(self.cluster.client_key(client), self.poller.now)
        if backend is None:
            self.drop("read", Drop.NO_BACKEND)
        return backend

    # -- sessions -----------------------------------------------------------------------------------------------------

    def _open(self, listener: LocalSocket, backend: Backend) -> UdpSession | None:
        """Open a session, or count why not."""
        section = self.section
        host = listener.client[0]
        if self.draining:
            return self._refuse(Drop.DRAINING)
        if section.max_sessions_per_client and self._per_client.get(host, 0) >= section.max_sessions_per_client:
            return self._refuse(Drop.CLIENT_LIMIT)
        if len(self.sessions) >= section.max_sessions and not self._make_room():
            return self._refuse(Drop.SESSION_LIMIT)
        try:
            sock = connect_udp(backend.family, backend.sockaddr)
        except OSError:
            self.totals.tx_errors += 1
            return self._refuse(Drop.SOCKET_ERROR)
        session = UdpSession(self, listener, backend, sock)
        try:
            self.poller.add(sock.fileno(), session.on_ready, level=True)
        except OSError:
            sock.close()
            return self._refuse(Drop.SOCKET_ERROR)
        self.cluster.session_started(backend)
        self.sessions[listener, session.raw_client, backend] = session
        listener.affinity.setdefault(session.raw_client, session)
        self._per_client[host] = self._per_client.get(host, 0) + 1
        if self.table.open(session) is not None:
            session.close(POLICY)
            return None
        first = min(self.idle_timeout_s, self.unanswered_timeout_s or self.idle_timeout_s)
        first = min(first, self.max_lifetime_s or first)
        self.timers.schedule(session, self.poller.now + first)
        return session

    def _refuse(self, why: Drop) -> UdpSession | None:
        self.drop("read", why)
        self.totals.reject(why.value)
        return None

    def _make_room(self) -> bool:
        if self.section.when_full != "evict":
            return False
        while True:
            while self._coldest:
                session, seen = self._coldest.pop()
                if session.state == "open" and session.last_active == seen:
                    session.close(EVICTED)
                    return True
            # one scan serves many evictions; who was active since is passed over
            coldest = nsmallest(64, self.sessions.values(), key=lambda session: session.last_active)
            self._coldest = [(session, session.last_active) for session in reversed(coldest)]

    def forget(self, session: UdpSession) -> None:
        """A session ended."""
        listener = session.listening
        self.sessions.pop((listener, session.raw_client, session.target), None)
        if listener.affinity.get(session.raw_client) is session:
            del listener.affinity[session.raw_client]
        host = session.client[0]
        left = self._per_client.get(host, 0) - 1
        if left > 0:
            self._per_client[host] = left
        else:
            self._per_client.pop(host, None)

    # -- backend to client --------------------------------------------------------------------------------------------

    def reply(self, session: UdpSession, size: int) -> None:
        """A datagram of ``size`` bytes from the session's backend is in the buffer."""
        if size > self.max_datagram_size:
            self.drop("write", Drop.TOO_LARGE)
            return
        payload: bytes | memoryview = self.view[:size]
        if self.chain.writes:
            datagram = self._datagram
            datagram.payload = bytes(payload)
            datagram.source = session.backend_address or ("", 0)
            datagram.client = session.client
            datagram.metadata = session.metadata
            datagram.now = self.poller.now
            drop = self.chain.write(datagram)
            if drop is not None:
                self.drop("write", drop)
                return
            payload = datagram.payload
        limit = self.amplification_limit
        # what the backend sent so far includes this datagram
        if limit and not session.verified and session.rx_bytes > limit * session.tx_bytes:
            self.drop("write", Drop.AMPLIFICATION)
            return
        try:
            if session.reply_ancillary:
                session.listening.socket.sendmsg([payload], session.reply_ancillary, 0, session.raw_client)
            else:
                session.listening.socket.sendto(payload, session.raw_client)
        except BlockingIOError:
            self.drop("write", Drop.SEND_BUFFER_FULL)
        except OSError:
            self.totals.tx_errors += 1
            self.drop("write", Drop.SOCKET_ERROR)
