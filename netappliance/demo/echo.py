"""The demo's TCP and UDP echo backends."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IHalfCloseableProtocol)
class TcpEcho(Protocol, TimeoutMixin):
    """Sends back what it gets; reads no further while the client does not."""

    factory: TcpEchoFactory

    def connectionMade(self) -> None:
        """Let a full send buffer pause our own reading."""
        self.transport.registerProducer(self.transport, True)  # type: ignore[union-attr]
        self.callLater = self.factory.clock.callLater  # type: ignore[assignment, method-assign]
        self.setTimeout(self.factory.idle_timeout_s)

    def dataReceived(self, data: bytes) -> None:
        """Echo."""
        self.resetTimeout()
        self.transport.write(data)  # type: ignore[union-attr]

    def readConnectionLost(self) -> None:
        """The client has said all; it still gets all of it back."""
        self.transport.loseConnection()  # type: ignore[union-attr]

    def writeConnectionLost(self) -> None:
        """Called by Twisted after our own half-close, which we never do."""

    def timeoutConnection(self) -> None:
        """Nobody said anything for too long."""
        self.transport.abortConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the connection."""
        self.setTimeout(None)
        self.transport.unregisterProducer()  # type: ignore[union-attr]
        self.factory.connections.discard(self)


class TcpEchoFactory(Factory):
    """Bounded in connections; an idle one is closed."""

    noisy = False
    protocol = TcpEcho  # type: ignore[assignment]

    def __init__(self, *, max_connections: int, idle_timeout_s: float, clock: IReactorTime) -> None:
        self.clock = clock
        self.idle_timeout_s = idle_timeout_s
        self.connections: set[TcpEcho] = set()
        self._max_connections = max_connections

    def buildProtocol(self, addr: IAddress | None) -> TcpEcho | None:  # type: ignore[override]
        """:return: None, which closes the connection, when there are too many."""
        if len(self.connections) >= self._max_connections:
            return None
        connection = cast("TcpEcho", super().buildProtocol(addr))
        self.connections.add(connection)
        return connection


class UdpEcho(DatagramProtocol):
    """Sends each datagram back to where it came from; a full socket buffer loses it, as UDP does."""

    noisy = False

    def __init__(self) -> None:
        self.lost = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Echo."""
        try:
            self.transport.write(datagram, addr)  # type: ignore[union-attr]
        except OSError:
            self.lost += 1
