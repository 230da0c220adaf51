"""TLS under health checks, whose bytes Twisted moves: verified as traffic is, in full each time."""

from __future__ import annotations

import errno
import os
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from netappliance.tls.to_backends.attempt import Attempt
from netappliance.tls.to_backends.peer import BackendPeer


@implementer(IOpenSSLClientConnectionCreator)
class CheckConnections:
    """For one check of one backend."""

    def __init__(self, peer: BackendPeer) -> None:
        self._peer = peer
        self._attempt: Attempt | None = None

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Called by Twisted."""
        connection, self._attempt = self._peer.connection_in_memory()
        return connection

    def why(self, reason: Failure) -> str:
        """Return the sentence that says why the handshake failed; ``reason`` is what the connection was lost for."""
        error = OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        if isinstance(reason.value, SSL.Error):
            # a list of (library, function, reason)
            words = ", ".join(entry[2] for entry in reason.value.args[0]) if reason.value.args else "unknown failure"
            error = OSError(errno.EPROTO, f"TLS: {words}")
        return str(error) if self._attempt is None else self._attempt.outcome(error)[1]
