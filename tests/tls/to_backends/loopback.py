"""Handshakes between a cluster's TLS and a server, on a pair of sockets."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from OpenSSL import SSL

from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.tls.to_backends.peer import BackendPeer
from tests.certificates import Credentials


def server_context(credentials: Credentials, version: int = SSL.TLS1_3_VERSION) -> SSL.Context:
    """A server with this certificate, of one version; its sessions can be resumed."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(credentials.certificate)
    for certificate in credentials.chain:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(credentials.key)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_session_id(b"tests")
    return context


@dataclass
class Outcome:
    """
    What became of a handshake.

    :ivar error: of the client, None when it is over. :ivar server_error: of the server.
    """

    client: TlsTransport
    server: TlsTransport
    error: OSError | None = None
    server_error: OSError | None = None

    @property
    def connection(self) -> SSL.Connection:
        """The client's."""
        assert self.client.tls.connection is not None
        return self.client.tls.connection

    @property
    def server_connection(self) -> SSL.Connection:
        """The server's."""
        assert self.server.tls.connection is not None
        return self.server.tls.connection

    def close(self) -> None:
        """End both as they should."""
        for transport in (self.client, self.server):
            transport.farewell()
            transport.sock.close()


def shake(peer: BackendPeer, context: SSL.Context, now: float = 0.0) -> Outcome:
    """Shake hands, and tell ``peer`` how it went; when it went well, read what the server's tickets came with."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    server, client = TlsTransport(ends[0]), TlsTransport(ends[1])
    far: Any = ends[0]
    accepting = SSL.Connection(context, far)
    accepting.set_accept_state()
    server.tls.attach(accepting)
    near: Any = ends[1]
    client.tls.attach(peer.connection(near, now))
    outcome = Outcome(client, server)
    done = [False, False]
    for _ in range(10):
        for index, transport in enumerate((client, server)):
            error = outcome.server_error if index else outcome.error
            if not done[index] and error is None:
                try:
                    done[index] = transport.tls.handshake()
                except OSError as failed:
                    if index:
                        outcome.server_error = failed
                    else:
                        outcome.error = failed
    if outcome.error is not None:
        peer.failed(outcome.connection, outcome.error, now)
        client.sock.close()
        server.sock.close()
    elif done[0]:
        peer.established(outcome.connection, now)
        if outcome.server_error is None:
            server.send(b"greeting")
            assert client.recv(100) == b"greeting"
    return outcome
