"""The session of a client's HTTP connection, whatever its version."""

from __future__ import annotations

from collections.abc import Sequence
from socket import SocketType
from typing import ClassVar

from mypy_extensions import trait

from netappliance.http.identity import ClientIdentity
from netappliance.sessions.reasons import CloseReason
from netappliance.sessions.session import Address, Kind, Session


@trait
class Carrier:
    """The connection that a session stands for."""

    def close(self, reason: CloseReason) -> None:
        """End it now."""
        raise TypeError

    def drain(self) -> None:
        """The process ends: go when there is no request under way."""
        raise TypeError

    def phase(self) -> str:
        """Return its state in a word."""
        raise TypeError

    def carrying(self) -> Sequence[SocketType]:
        """Return its socket, and those of the backends that serve it now."""
        raise TypeError


class HttpSession(Session):
    """
    What the table of sessions and the logs see of a connection.

    :ivar carrier: None once it is closed. :ivar identity: what backends are told about the client, from the first
        request on. :ivar head_began: when the first byte of the present request's head was read, monotonic seconds.
    :ivar log_texts: what lines of the access log say of it, kept by whoever writes them; None before the first.
    """

    #: the access log has a line for each request instead of one for the connection
    logged: ClassVar[bool] = False

    __slots__ = ("carrier", "head_began", "identity", "log_texts")

    def __init__(self, kind: Kind, listener: str, client: Address, local: Address, now: float) -> None:
        super().__init__(kind, listener, client, local, now)
        self.carrier: Carrier | None = None
        self.identity: ClientIdentity | None = None
        self.head_began = now
        self.log_texts: tuple[str, str] | None = None

    def refresh(self) -> None:
        """Bring the state up to date."""
        self.state = "closed" if self.carrier is None else self.carrier.phase()

    def close(self, reason: CloseReason) -> None:
        """End the connection now."""
        if self.carrier is not None:
            self.carrier.close(reason)

    def drain(self) -> None:
        """End the connection if it is idle, now that the process ends."""
        if self.carrier is not None:
            self.carrier.drain()

    def sockets(self) -> Sequence[SocketType]:
        """Return the client's, and the backend's while an exchange has one."""
        return () if self.carrier is None else self.carrier.carrying()
