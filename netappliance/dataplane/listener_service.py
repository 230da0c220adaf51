"""What the services of listeners share: they bind and begin, and those of streams give every connection a session."""

from __future__ import annotations

from collections.abc import Sequence
from socket import SocketType
from typing import Any, Protocol

from twisted.application.service import Service

from netappliance.config.values import Endpoint
from netappliance.dataplane.listener import ListenOptions, StartSession, StreamListener
from netappliance.dataplane.plane import DataPlane
from netappliance.sessions.session import Address, Kind


class Listening(Protocol):
    """A listener of a service: of streams or of datagrams."""

    def open(self) -> None:
        """Bind; raises StartError."""

    def start(self) -> None:
        """Begin to take what comes."""


class ListenerService(Service):
    """
    Binds and starts its ``listeners``; how they stop is its own.

    :ivar draining: the stop has begun: what lives is served to its end, nothing new begins.
    """

    listeners: Sequence[Listening]
    draining = False

    def privilegedStartService(self) -> None:
        """Bind, while the process may still bind to low ports."""
        super().privilegedStartService()
        for listener in self.listeners:
            listener.open()

    def startService(self) -> None:
        """Take what comes."""
        super().startService()
        for listener in self.listeners:
            listener.start()

    def stopService(self) -> None:
        """Begin to drain."""
        super().stopService()
        self.draining = True


class StreamService(ListenerService):
    """
    Listens on the addresses of one section.

    :param kind: of the section and of its sessions. :param section: has ``name`` and ``listen``.
    :param cluster: where its sessions go, or empty when each one decides.
    :param endpoints: those of the section's addresses that another section does not listen on for it; None = all.
    :ivar totals: what ended sessions of the section leave behind.
    """

    def __init__(
        self,
        kind: Kind,
        section: Any,
        plane: DataPlane,
        options: ListenOptions,
        cluster: str = "",
        endpoints: Sequence[Endpoint] | None = None,
    ) -> None:
        #: of its own among the services of a process, as the section is in its file
        self.name = f"{kind} {section.name}"
        self.poller = plane.poller
        self.timers = plane.timers
        self.table = plane.sessions
        self.admission = plane.admission
        self.totals = self.table.declare(kind, section.name, cluster)
        self.listeners: list[StreamListener] = [
            StreamListener(
                f"[{kind} {section.name}]",
                endpoint,
                options,
                poller=self.poller,
                timers=self.timers,
                admission=self.admission,
                totals=self.totals,
                start_session=self.starter(endpoint),
            )
            for endpoint in (section.listen if endpoints is None else endpoints)
        ]

    def starter(self, endpoint: Endpoint) -> StartSession:
        """Return what begins the sessions of one address."""
        return self.start_session

    def start_session(self, sock: SocketType, client: Address, local: Address) -> None:
        """Begin the session of an accepted connection, which owns the socket from then on."""
        raise TypeError(f"{type(self).__name__} does not say what its sessions are")

    def stopService(self) -> None:
        """Stop accepting; live sessions are drained by the appliance."""
        super().stopService()
        for listener in self.listeners:
            listener.stop()
