"""The TLS of one cluster's backends: connections, the session that each backend resumes, results, log lines."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.logger import Logger

from netappliance.tls.to_backends.attempt import Attempt
from netappliance.tls.to_backends.context import client_context
from netappliance.tls.to_backends.section import BackendTls
from netappliance.tls.to_backends.verification import (
    OK,
    RESULTS,
    sent_name,
    service_identity,
)

_log = Logger(__name__)

#: seconds after which a backend has to show its certificate again, instead of resuming a session
VERIFIED_FOR_S = 3600.0
#: a backend's failures of one kind are logged at most once in this time (seconds)
LOG_EVERY_S = 60.0


class HandshakeCounts:
    """
    What became of a cluster's handshakes; kept when its section changes.

    :ivar results: result -> handshakes that ended so. :ivar resumed_total: those that resumed a session.
    """

    __slots__ = ("results", "resumed_total")

    def __init__(self) -> None:
        self.results = dict.fromkeys(RESULTS, 0)
        self.resumed_total = 0


class ClusterTls:
    """The context of a cluster's connections."""

    __slots__ = ("cluster", "context", "counts", "section")

    def __init__(self, cluster: str, section: BackendTls, counts: HandshakeCounts) -> None:
        """:raises ValueError: files of the section cannot be used."""
        self.cluster = cluster
        self.section = section
        self.context = client_context(section.settings)
        self.counts = counts

    def peer(self, backend: str, host: str) -> BackendPeer:
        """
        Return what connections to a backend need.

        :param backend: its id, for log lines. :param host: as in the configuration; empty for a unix socket.
        """
        return BackendPeer(self, backend, self.section.name or host)


class BackendPeer:
    """
    One backend as the peer of TLS connections.

    :ivar tls: its cluster's. :ivar host: that its certificate must be for.
    """

    __slots__ = (
        "_backend",
        "_identity",
        "_logged",
        "_sent_name",
        "_session",
        "_unlogged",
        "_verified_at",
        "host",
        "tls",
    )

    def __init__(self, tls: ClusterTls, backend: str, host: str) -> None:
        self.tls = tls
        self.host = host
        self._backend = backend
        self._identity = service_identity(host) if tls.section.verify else None
        self._sent_name = sent_name(host)
        self._session: SSL.Session | None = None
        self._verified_at = 0.0
        #: result -> when it was logged last, and how often it was not since
        self._logged: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}

    # -- connections --------------------------------------------------------------------------------------------------

    def connection(self, sock: Any, now: float) -> SSL.Connection:
        """Begin TLS on a connected socket; resumes a session where there is one."""
        connection = self._begin(sock)
        if self._session is not None:
            if now - self._verified_at < VERIFIED_FOR_S:
                connection.set_session(self._session)
            else:
                self._session = None
        return connection

    def connection_in_memory(self) -> tuple[SSL.Connection, Attempt]:
        """Begin TLS whose bytes somebody else moves; nothing is resumed, and the ``app_data`` is free for others."""
        connection = self._begin(None)
        attempt: Attempt = connection.get_app_data()
        connection.set_verify(connection.get_verify_mode(), attempt.verified)
        return connection, attempt

    def _begin(self, sock: Any) -> SSL.Connection:
        connection = SSL.Connection(self.tls.context, sock)
        connection.set_app_data(Attempt(self._identity, self.host))
        if self._sent_name is not None:
            connection.set_tlsext_host_name(self._sent_name)
        connection.set_connect_state()
        return connection

    def established(self, connection: SSL.Connection, now: float) -> None:
        """The handshake is over, and the backend is who it should be."""
        attempt: Attempt = connection.get_app_data()
        self.tls.counts.results[OK] += 1
        if attempt.full:
            self._session = None
            self._verified_at = now
        else:
            self.tls.counts.resumed_total += 1

    def remember(self, connection: SSL.Connection) -> None:
        """Keep the session of a connection for the next one; in TLS 1.3 it comes behind the handshake."""
        self._session = connection.get_session()

    # -- failures -----------------------------------------------------------------------------------------------------

    def failed(self, connection: SSL.Connection, error: OSError, now: float) -> None:
        """Count and log a failed handshake; ``error`` as for :func:`judge_failure`."""
        attempt: Attempt = connection.get_app_data()
        self._session = None
        result, why = attempt.outcome(error)
        self.tls.counts.results[result] += 1
        self._complain(result, why, now)

    def broke(self, error: OSError, now: float) -> None:
        """Log a failure after the handshake: this is how servers of TLS 1.3 refuse client certificates."""
        self._session = None
        self._complain("", f"the connection broke after the handshake ({error.strerror})", now)

    def _complain(self, kind: str, why: str, now: float) -> None:
        if now - self._logged.get(kind, float("-inf")) < LOG_EVERY_S:
            self._unlogged[kind] = self._unlogged.get(kind, 0) + 1
            return
        self._logged[kind] = now
        before = self._unlogged.pop(kind, 0)
        _log.warn(
            "TLS with backend {backend} of cluster {cluster}: {why}{more}",
            backend=self._backend,
            cluster=self.tls.cluster,
            why=why,
            more=f" ({before} like it were not logged)" if before else "",
        )
