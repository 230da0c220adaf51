"""A stream listener as a service: a busy or forbidden address is a StartError, never a silent log line."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from netappliance.errors import StartError


class ListeningService(StreamServerEndpointService):
    """
    Listens on one endpoint while it runs.

    :param owner: the section's name for messages, such as ``admin``.
    :param description: a Twisted server endpoint description, such as ``tcp:9901:interface=127.0.0.1``.
    :param reactor: parses and serves the endpoint.
    """

    _raiseSynchronously = True

    def __init__(self, owner: str, description: str, factory: IProtocolFactory, reactor: object) -> None:
        super().__init__(serverFromString(reactor, description), factory)
        self.description = description
        self.port: IListeningPort | None = None
        self._owner = owner

    def privilegedStartService(self) -> None:
        """
        Listen.

        :raises StartError: the address is busy, not ours or not permitted.
        """
        try:
            super().privilegedStartService()
        except (CannotListenError, OSError) as error:
            reason = error.socketError if isinstance(error, CannotListenError) else error
            raise StartError(f"[{self._owner}] cannot listen on {self.description}: {reason}") from error
        waiting: Any = self._waitingForPort
        waiting.addCallback(self._listening)

    def _listening(self, port: IListeningPort | None) -> IListeningPort | None:
        self.port = port
        return port

    def stopService(self) -> Deferred[None]:
        """Stop listening; nothing happens when listening never began."""
        if self._waitingForPort is None:
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        stopped: Deferred[None] = super().stopService()
        self._waitingForPort = None
        return stopped
