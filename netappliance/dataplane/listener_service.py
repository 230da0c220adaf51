"""What the services of listeners share: they bind and begin, and those of streams give every connection a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from socket import SocketType
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service

from netappliance.dataplane.listener import StreamListener
from netappliance.sessions.session import Address, Kind

if TYPE_CHECKING:
    from netappliance.process.appliance import Appliance


class Listening(Protocol):
    """A listener of a service: of streams or of datagrams."""

    def open(self) -> None:
        """Bind; raises StartError."""

    def start(self) -> None:
        """Begin to take what comes."""


class ListenerService(Service):
    """Binds and starts its ``listeners``; how it stops is its own."""

    listeners: Sequence[Listening]

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


class StreamService(ListenerService):
    """
    Listens on the addresses of one section.

    :param kind: of the section and of its sessions. :param section: has ``name``, ``listen``, ``backlog`` and
        ``reuse_port``. :param cluster: where its sessions go, or empty when each one decides.
    :ivar totals: what ended sessions of the section leave behind.
    """

    def __init__(self, kind: Kind, section: Any, appliance: Appliance, cluster: str = "") -> None:
        self.name = section.name
        self.appliance = appliance
        self.poller = appliance.poller
        self.timers = appliance.timers
        self.table = appliance.sessions
        self.admission = appliance.admission
        self.totals = self.table.declare(kind, section.name, cluster)
        self.listeners: list[StreamListener] = [
            StreamListener(
                f"[{kind} {section.name}]",
                endpoint,
                appliance.listen_options(section.backlog, reuse_port=section.reuse_port),
                poller=self.poller,
                timers=self.timers,
                admission=self.admission,
                totals=self.totals,
                start_session=self._starter(index),
            )
            for index, endpoint in enumerate(section.listen)
        ]
        appliance.register_listeners(kind, section.name, self.listeners)

    def _starter(self, index: int) -> Callable[[SocketType, Address], None]:
        def start(sock: SocketType, client: Address) -> None:
            self.start_session(sock, client, self.listeners[index].address)

        return start

    def start_session(self, sock: SocketType, client: Address, local: Address) -> None:
        """Begin the session of an accepted connection, which owns the socket from then on."""
        raise TypeError(f"{type(self).__name__} does not say what its sessions are")

    def stopService(self) -> None:
        """Stop accepting; live sessions are drained by the appliance."""
        super().stopService()
        for listener in self.listeners:
            listener.stop()
