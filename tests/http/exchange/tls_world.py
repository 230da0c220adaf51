"""A world whose backend speaks TLS: real sockets and a real epoll on that side, all else as in any world."""

from __future__ import annotations

import select
import socket
from typing import Any

from OpenSSL import SSL

from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.http.streams.h1_backend import H1BackendConnection
from tests.http.exchange.world import FakeEpoll, World


class BothEpoll(FakeEpoll):
    """The kernel's for its sockets, the world's for those of the world."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._kernel = select.epoll()

    def register(self, fd: int, mask: int) -> None:
        """Watch."""
        if any(sock.fileno() == fd for sock in self._world.sockets):
            super().register(fd, mask)
        else:
            self._kernel.register(fd, mask)

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """Return the edges of both."""
        return [*self._kernel.poll(0, most), *super().poll(timeout, most)]

    def close(self) -> None:
        """Give the descriptor back."""
        self._kernel.close()


class TlsWorld(World):
    """
    One backend under TLS, whose side the test plays.

    :param context: of the backend. :ivar servers: its ends of the connections, in the order of their coming.
    """

    def __init__(self, context: SSL.Context, tls: str, cluster: str = "") -> None:
        super().__init__(cluster=f"tls = {tls}\n{cluster}")
        self.context = context
        self.servers: list[TlsTransport] = []
        self._sockets: list[socket.socket] = []
        self._epoll = BothEpoll(self)
        both: Any = self._epoll
        self.poller._epoll = both

    def _connect(self, family: int, address: Any) -> Any:
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
            self._sockets.append(end)
        server = TlsTransport(far)
        server.tls.attach(SSL.Connection(self.context, far))
        assert server.tls.connection is not None
        server.tls.connection.set_accept_state()
        self.servers.append(server)
        return near

    def close(self) -> None:
        """Close everything."""
        self._epoll.close()
        for sock in self._sockets:
            sock.close()

    def shake(self) -> None:
        """Let both sides of the youngest connection go on until neither can; the backend's failure is its own."""
        for _ in range(4):
            self.poller.doRead()
            try:
                self.servers[-1].tls.handshake()
            except OSError:
                break
        self.turn()

    def idle(self) -> list[H1BackendConnection]:
        """Return the connections that are kept."""
        return [connection for kept in self.pool.idle.values() for connection in kept]
