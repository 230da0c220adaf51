"""A connection to a backend from its first edge until TLS is there."""

from __future__ import annotations

import errno
import os

from mypy_extensions import trait
from OpenSSL import SSL

from netappliance.dataplane.poller import ERROR, HANGUP, WRITABLE, Poller
from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.tls.to_backends.peer import BackendPeer


@trait
class HandshakeOwner:
    """Whose connection it is."""

    __slots__ = ()

    def tls_established(self, mask: int) -> None:
        """The backend is who it should be; there may be bytes to read, or the end: ``mask`` has the last edges."""
        raise TypeError

    def tls_failed(self, error: OSError) -> None:
        """Connecting or the handshake failed; the latter was counted and logged."""
        raise TypeError

    def crashed(self) -> None:
        """A callback raised."""


class BackendHandshake:
    """
    Connects, then shakes hands; to be watched by the poller until it has told its owner the outcome.

    :ivar transport: of a socket that is being connected.
    :param first: bytes that go before TLS, few enough for an empty socket: a PROXY header.
    """

    def __init__(
        self, transport: TlsTransport, peer: BackendPeer, poller: Poller, owner: HandshakeOwner, first: bytes = b""
    ) -> None:
        self.transport = transport
        self._first = first
        self._peer = peer
        self._poller = poller
        self._owner = owner
        self._connection: SSL.Connection | None = None
        self._over = False

    def on_ready(self, mask: int) -> None:
        """Edges of the socket."""
        transport = self.transport
        connection = self._connection
        now = self._poller.now
        if connection is None:
            if mask & (ERROR | HANGUP):
                self._owner.tls_failed(transport.error())
                return
            if not mask & WRITABLE:
                return
            self._connection = connection = self._peer.connection(transport.sock, now)
            transport.tls.attach(connection)
        try:
            if self._first:
                transport.sock.sendall(self._first)
                self._first = b""
            if not transport.tls.handshake():
                return
        except OSError as error:
            self._over = True
            self._peer.failed(connection, error, now)
            self._owner.tls_failed(error)
            return
        self._over = True
        self._peer.established(connection, now)
        self._owner.tls_established(mask)

    def timed_out(self) -> None:
        """Nobody waits any longer: count a handshake that was begun, unless it is over."""
        if self._connection is not None and not self._over:
            self._over = True
            error = OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            self._peer.failed(self._connection, error, self._poller.now)

    def remember(self) -> None:
        """Keep the session of a connection that has been used for the next one."""
        if self._connection is not None:
            self._peer.remember(self._connection)

    def broke(self, error: OSError) -> None:
        """TLS failed after the handshake: log why."""
        self._peer.broke(error, self._poller.now)

    def crashed(self) -> None:
        """A callback of ours raised."""
        self._owner.crashed()
