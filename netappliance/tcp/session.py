"""One proxied TCP connection: PROXY header, backend, relay, end."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from socket import SocketType
from typing import Final

from netappliance.clusters.backend import Backend
from netappliance.dataplane.backend_handshake import BackendHandshake, HandshakeOwner
from netappliance.dataplane.opening import Opening, OpeningFailed
from netappliance.dataplane.poller import ENDING, ERROR, HANGUP, READ_SIDE, WRITABLE
from netappliance.dataplane.relay import Leg
from netappliance.dataplane.sockets import peer_address, pending_error, start_connect
from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.dataplane.transport import Transport
from netappliance.sessions.reasons import INTERNAL, Cause, CloseReason, Phase, Side, cause_of
from netappliance.sessions.session import Address, Session
from netappliance.tcp.server_names import ServerNames
from netappliance.tcp.terms import TcpTerms
from netappliance.tls.passing import NO_SECTION
from netappliance.tls.to_backends.peer import BackendPeer

POLICY: Final = CloseReason(Side.PROXY, Phase.ACCEPT, Cause.POLICY)
NO_BACKEND: Final = CloseReason(Side.BACKEND, Phase.CONNECT, Cause.RESOURCE)
BACKENDS_FULL: Final = CloseReason(Side.BACKEND, Phase.QUEUE, Cause.LIMIT)
CONNECT_TIMEOUT: Final = CloseReason(Side.BACKEND, Phase.CONNECT, Cause.TIMEOUT)
NOT_SERVED: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.POLICY)
IDLE: Final = CloseReason(Side.PROXY, Phase.IDLE, Cause.TIMEOUT)
CLIENT_FIN: Final = CloseReason(Side.CLIENT, Phase.DATA, Cause.FIN)
BACKEND_FIN: Final = CloseReason(Side.BACKEND, Phase.DATA, Cause.FIN)

#: endings in which the other side must not take what it got for the whole stream
_ABORTS: Final = frozenset((Cause.RST, Cause.TLS, Cause.INTERNAL, Cause.RESOURCE))


class TcpSession(Session, HandshakeOwner):
    """
    A client connection and, after a while, its backend connection.

    States: ``header``, ``hello`` and ``handshake`` (see :class:`Opening`), ``connecting``, ``open``, ``closed``.
    """

    __slots__ = (
        "_attempts",
        "_backend_leg",
        "_client_leg",
        "_connect_started",
        "_connecting",
        "_deadline",
        "_handshake",
        "_names",
        "_opening",
        "_terms",
        "_tried",
        "timer_slot",
    )

    def __init__(
        self,
        terms: TcpTerms,
        sock: SocketType,
        client: Address,
        local: Address,
        names: ServerNames[TcpTerms] | None = None,
    ) -> None:
        """
        :param names: who serves which server names; the session goes on with their terms once the client has said one.
        """
        poller = terms.poller
        super().__init__("tcp", terms.name, client, local, poller.now)
        self.cluster = terms.cluster.name
        self.timer_slot = 0
        self._terms = terms
        transport = None if terms.tls is None else TlsTransport(sock)
        self._client_leg = Leg(sock, self, poller, transport)
        self._backend_leg: Leg | None = None
        self._connecting: SocketType | None = None
        #: with the backend, where there is TLS; kept until the end for what it knows of the backend
        self._handshake: BackendHandshake | None = None
        self._connect_started = 0.0
        self._deadline = 0.0
        self._attempts = 0
        self._tried: list[Backend] | None = None
        #: of the client's connection, where it begins with more than its own bytes
        self._opening: Opening | None = None
        #: None as soon as it is known whose session this is
        self._names = names

    def start(self) -> None:
        """Begin: wait for what has to come first, or connect at once."""
        terms = self._terms
        leg = self._client_leg
        if terms.table.open(self, settled=self._names is None) is not None:
            self.close(POLICY)
            return
        try:
            if terms.opens:
                now = terms.poller.now
                timeout_s = terms.header_timeout_s if terms.expects_header else None
                opening = self._opening = Opening(
                    leg.transport or Transport(leg.sock), terms.tls, timeout_s, now, terms.passing
                )
                self.state = opening.state
                self._set_deadline(opening.deadline - now)
                terms.poller.add(leg.sock.fileno(), self._open)
            else:
                # its first edge, which comes in the next round, tells whether it speaks first
                self.state = "connecting"
                terms.poller.add(leg.sock.fileno(), self._on_client_early)
        except OSError as error:
            self.close(CloseReason(Side.PROXY, Phase.ACCEPT, cause_of(error)))

    # -- what comes before -------------------------------------------------------------------------------------------

    def _open(self, mask: int) -> None:
        """Go on with the PROXY header, the ClientHello, the handshake."""
        leg, opening = self._client_leg, self._opening
        terms = self._terms
        if mask & ENDING:
            leg.ending = True
        if opening is None:
            return
        now = terms.poller.now
        try:
            over = opening.proceed(now, ending=leg.ending)
            if over and self._names is not None:
                self._settle(self._names, opening)
        except OpeningFailed as failure:
            self.notes = {**(failure.notes or {}), **(self.notes or {})}
            self.close(failure.reason)
            return
        self.last_active = now
        if not over:
            if opening.state != self.state:
                self.state = opening.state
                self._set_deadline(opening.deadline - now)
            return
        header = opening.header
        if header is not None:
            self.client = header.source or self.client
            self.local = header.destination or self.local
        self.tls = opening.facts
        terms.poller.redirect(leg.sock.fileno(), self._on_client_early)
        # edges came and went while we read: what is still there must be looked for
        leg.readable = True
        self._connect(NO_BACKEND)

    def _settle(self, names: ServerNames[TcpTerms], opening: Opening) -> None:
        """
        Go on with the terms of the section that serves the name which the client asked for.

        :raises OpeningFailed: there is none.
        """
        hello = opening.hello
        if hello is None:
            raise RuntimeError("passed on without a ClientHello")
        terms = names.find(hello.server_name)
        if (terms or self._terms).notes_ja4:
            self.notes = {"ja4": hello.ja4()}
        if terms is None or terms.passing is None:
            raise opening.refused(NO_SECTION, NOT_SERVED)
        if hello.server_name:
            self.notes = {"sni": hello.server_name.decode("ascii"), **(self.notes or {})}
        opening.passed_on(terms.passing)
        self._terms = terms
        self._names = None
        self.cluster = terms.cluster.name
        terms.table.settle(self, terms.name)
        opening.state = "over"

    # -- backend ----------------------------------------------------------------------------------------------------

    def _on_client_early(self, mask: int) -> None:
        """The client's edges while there is no backend: kept for later, but for a reset."""
        leg = self._client_leg
        if mask & ENDING:
            leg.ending = True
            if mask & ERROR:
                self.close(CloseReason(Side.CLIENT, Phase.CONNECT, cause_of(pending_error(leg.sock))))
                return
        if mask & READ_SIDE:
            leg.readable = True
        if not self._attempts:
            self._connect(NO_BACKEND)

    def _connect(self, reason: CloseReason) -> None:
        """
        Try backends until one connection is on its way; each attempt another backend, where there is one.

        :param reason: what to close with when no further attempt is possible.
        """
        terms = self._terms
        now = terms.poller.now
        self.state = "connecting"
        speaks_first = self._client_leg.readable or terms.sends_header
        while self._attempts < terms.retries:
            if self._attempts and not (terms.retries_connects and terms.cluster.retry(now)):
                break
            backend = terms.cluster.choose(terms.cluster.client_key(self.client), now, self._tried or ())
            if backend is None:
                if reason is NO_BACKEND and terms.cluster.full(now):
                    reason = BACKENDS_FULL
                break
            self._attempts += 1
            self.backend = backend
            terms.cluster.connect_started(backend)
            try:
                sock = start_connect(backend.family, backend.sockaddr, speaks_first=speaks_first)
            except OSError as error:
                reason = self._attempt_failed(error)
                continue
            try:
                if backend.tls is None:
                    terms.poller.add(sock.fileno(), self._on_connecting)
                else:
                    self._shake_hands(sock, backend.tls)
            except OSError as error:
                sock.close()
                reason = self._attempt_failed(error)
                continue
            self._connecting = sock
            self._connect_started = now
            self._set_deadline(terms.connect_timeout_s)
            return
        self.close(reason)

    def _attempt_failed(self, error: OSError) -> CloseReason:
        """Book one failed attempt and return the reason to close with if it was the last."""
        backend, self.backend = self.backend, None
        cause = cause_of(error)
        local = cause is Cause.RESOURCE
        if backend is not None:
            # a lack of descriptors here says nothing about the backend
            self._terms.cluster.connect_failed(backend, self._terms.poller.now, blame=not local)
            if self._tried is None:
                self._tried = []
            self._tried.append(backend)
        return CloseReason(Side.PROXY if local else Side.BACKEND, Phase.CONNECT, cause)

    def _on_connecting(self, mask: int) -> None:
        sock = self._connecting
        if sock is None:
            return
        if mask & (ERROR | HANGUP):
            self._drop_attempt(pending_error(sock))
        elif mask & WRITABLE:
            # its words and its FIN may have come with the connection, in one edge
            self._connected(Leg(sock, self, self._terms.poller), mask, readable=bool(mask & READ_SIDE))

    def _shake_hands(self, sock: SocketType, peer: BackendPeer) -> None:
        """Begin a connection under TLS; a PROXY header goes before it, as receivers expect."""
        poller = self._terms.poller
        handshake = BackendHandshake(TlsTransport(sock), peer, poller, self, self._header())
        poller.add(sock.fileno(), handshake.on_ready)
        self._handshake = handshake

    def tls_established(self, mask: int) -> None:
        """The backend is who it should be; what it sent behind the handshake has no edge of its own."""
        handshake, sock = self._handshake, self._connecting
        if handshake is not None and sock is not None:
            self._connected(Leg(sock, self, self._terms.poller, handshake.transport), mask, readable=True)

    def tls_failed(self, error: OSError) -> None:
        """The attempt failed."""
        self._drop_attempt(error)

    def _header(self) -> bytes:
        """Return the PROXY header for the backend, empty for none."""
        header = self._opening.header if self._opening is not None else None
        return self._terms.first_bytes(self.client, self.local, header)

    def _drop_attempt(self, error: OSError) -> None:
        handshake, self._handshake = self._handshake, None
        if handshake is not None:
            handshake.timed_out()
        sock, self._connecting = self._connecting, None
        if sock is not None:
            self._terms.poller.close(sock)
        self._connect(self._attempt_failed(error))

    def _connected(self, leg: Leg, mask: int, *, readable: bool) -> None:
        terms = self._terms
        now = terms.poller.now
        backend = self.backend
        if backend is None:
            raise RuntimeError("connected without a backend")
        terms.cluster.connect_succeeded(backend, now - self._connect_started, now)
        self._connecting = None
        self._tried = None
        self.state = "open"
        self.backend_address = peer_address(backend.sockaddr)
        self.last_active = now
        # a later connect deadline on the wheel is left there: when it comes, idleness is looked at
        if terms.idle_timeout_s < terms.connect_timeout_s:
            self._set_deadline(terms.idle_timeout_s)
        client = self._client_leg
        self._backend_leg = leg
        leg.ending = bool(mask & ENDING)
        leg.readable = readable
        leg.peer = client
        client.peer = leg
        terms.poller.redirect(leg.sock.fileno(), leg.on_ready)
        terms.poller.redirect(client.sock.fileno(), client.on_ready)
        first = self._header() if terms.sends_header else b""
        self._opening = None
        client.pending = None
        if self._handshake is not None:
            leg.sent = len(first)
        elif first:
            leg.pending = memoryview(first)
        leg.flush()
        # a leg that is released has no bytes to move any more
        if leg.readable:
            leg.pump()

    # -- what the legs tell -----------------------------------------------------------------------------------------

    def leg_failed(self, leg: Leg, error: OSError, *, sending: bool) -> None:
        """A socket call failed: reset by that side, or timed out in the kernel."""
        side = Side.CLIENT if leg is self._client_leg else Side.BACKEND
        phase = Phase.CONNECT if self.state == "connecting" else Phase.DATA
        if side is Side.BACKEND and self.backend is not None:
            self._terms.cluster.misbehaved(self.backend, 0, 0.0, self._terms.poller.now)
            if sending:
                self._terms.totals.tx_errors += 1
            else:
                self._terms.totals.rx_errors += 1
            if self._handshake is not None and error.errno == errno.EPROTO:
                self._handshake.broke(error)
        self.close(CloseReason(side, phase, cause_of(error)))

    def relay_done(self, first: Leg) -> None:
        """Both sides said FIN and have everything."""
        behind = self._backend_leg
        if self.backend is not None and behind is not None and behind.received:
            self.backend.conduct.failures = 0
        self.close(CLIENT_FIN if first is self._client_leg else BACKEND_FIN)

    def crashed(self) -> None:
        """A bug in a callback of ours."""
        self.close(INTERNAL)

    # -- time -------------------------------------------------------------------------------------------------------

    def _set_deadline(self, seconds: float) -> None:
        """Set the deadline of the present state; 0 = none."""
        if seconds:
            self._deadline = self._terms.poller.now + seconds
            self._terms.timers.schedule(self, self._deadline)
        else:
            self._deadline = 0.0

    def on_timer(self, now: float) -> float:
        """A deadline may have come: the state's own, or idleness since the last traffic."""
        if self.state == "open":
            idle = self._terms.idle_timeout_s
            if not idle:
                return 0.0
            self.refresh()
            deadline = self.last_active + idle
            if now < deadline:
                return deadline
            self.close(IDLE)
        elif self._deadline and now < self._deadline:
            return self._deadline
        elif self.state == "connecting":
            self._drop_attempt(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        elif self._opening is not None:
            self.close(self._opening.expired())
        return 0.0

    # -- end --------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take the counters over from the legs."""
        client, backend = self._client_leg, self._backend_leg
        if backend is None:
            return
        self.tx_bytes = backend.sent
        self.rx_bytes = backend.received
        last = max(client.last, backend.last)
        self.last_active = max(last, self.last_active)

    def _undelivered(self) -> bool:
        backend = self._backend_leg
        return bool(self._client_leg.pending or (backend is not None and backend.pending))

    def sockets(self) -> Sequence[SocketType]:
        """Return the client's, and the backend's once there is one."""
        found = (
            self._client_leg.sock,
            self._backend_leg.sock if self._backend_leg is not None else None,
            self._connecting,
        )
        return [sock for sock in found if sock is not None]

    def close(self, reason: CloseReason) -> None:
        """End both connections; the side that did not end it learns of an abort by RST."""
        if self.state == "closed":
            return
        terms = self._terms
        poller = terms.poller
        abort = self.state == "open" and (reason.cause in _ABORTS or self._undelivered())
        self.state = "closed"
        terms.timers.cancel(self)
        if self._opening is not None:
            self._opening.abandoned()
            self._opening = None
        if self._names is not None:
            terms.table.settle(self, self.listener)
            self._names = None
        handshake, self._handshake = self._handshake, None
        if handshake is not None and self._backend_leg is not None and not abort:
            handshake.remember()
        for leg in (self._client_leg, self._backend_leg):
            if leg is not None:
                leg.close(abort=abort)
                leg.release()
        if self._connecting is not None:
            poller.close(self._connecting)
        if self.backend is not None:
            terms.cluster.released(self.backend)
        terms.table.closed(self, reason)
        terms.admission.release()
