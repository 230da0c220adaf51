"""A connection to a backend under TLS: a handshake before the first request, and tickets between responses."""

from __future__ import annotations

import errno

from netappliance.clusters.backend import Backend
from netappliance.dataplane.backend_handshake import BackendHandshake, HandshakeOwner
from netappliance.dataplane.poller import ENDING, Poller
from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.http.streams.h1_backend import H1BackendConnection, Lender
from netappliance.http.streams.stream import Detached
from netappliance.tls.to_backends.peer import BackendPeer


class H1TlsBackendConnection(H1BackendConnection, HandshakeOwner):
    """
    One connection to a backend under TLS; it is ``connecting`` until the backend has proved who it is.

    :ivar handshake: while connecting; watched by the poller in the connection's place.
    """

    def __init__(
        self, transport: TlsTransport, peer: BackendPeer, backend: Backend, lender: Lender, poller: Poller
    ) -> None:
        super().__init__(transport, backend, lender, poller)
        self._tls = transport.tls
        self._peer = peer
        self._remembered = False
        self.handshake: BackendHandshake | None = BackendHandshake(transport, peer, poller, self)

    # -- the handshake ------------------------------------------------------------------------------------------------

    def tls_established(self, mask: int) -> None:
        """Send the request, and read what came behind the handshake: no edge will tell of it."""
        self.handshake = None
        self.connecting = False
        self.ending = bool(mask & ENDING)
        self.round = self.poller.round
        self.poller.redirect(self.transport.fd, self.on_ready)
        user = self.user
        if user is not None:
            user.backend_connected()
            if self.user is user:
                self.readable = True
                self.received(mask)

    def tls_failed(self, error: OSError) -> None:
        """Connecting failed."""
        super().lost(error)

    # -- edges --------------------------------------------------------------------------------------------------------

    def on_ready(self, mask: int) -> None:
        """Edges of the socket: what came while idle may be a ticket, which is nothing that was said."""
        if self.user is None and not mask & ENDING and self.transport.silent():
            self.round = self.poller.round
            self._remember()
            return
        super().on_ready(mask)

    def received(self, mask: int) -> None:
        """Read what comes next; a ticket that comes before the request was sent does not count."""
        if self.outgoing and not mask & ENDING and self.transport.silent():
            self.readable = False
            return
        super().received(mask)

    def silent(self, *, surely: bool) -> bool:
        """Say whether neither bytes nor the end wait: an edge that is still to be handed out may be a ticket's."""
        if not surely and self.round:
            poller = self.poller
            if self.round == poller.round:
                return True
            waiting = poller.waiting()
            if waiting is not None and self.transport.fd not in waiting:
                return True
        return self.transport.silent()

    def lost(self, error: OSError) -> None:
        """Reading or writing failed; on a fresh connection that may be how the backend refuses our certificate."""
        if error.errno == errno.EPROTO or not self.served:
            self._peer.broke(error, self.poller.now)
        super().lost(error)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        """Keep the session for the next connection."""
        connection = self._tls.connection
        if connection is not None:
            self._remembered = True
            self._peer.remember(connection)

    def release(self, *, clean: bool) -> None:
        """Give the connection back; its ticket has come before the first response."""
        if clean and not self._remembered:
            self._remember()
        super().release(clean=clean)

    def abort(self) -> None:
        """Close a connection attempt that failed, or came to no end in time."""
        if self.handshake is not None:
            self.handshake.timed_out()
        super().abort()

    def detach(self) -> Detached:
        """Give the connection away."""
        self._remember()
        return super().detach()

    def close(self) -> None:
        """Close it, with a word: without it the backend could not tell this from an attack, nor resume the session."""
        if self.handshake is None:
            self.transport.farewell()
        super().close()

    def _leave(self) -> None:
        self.handshake = None
        super()._leave()
