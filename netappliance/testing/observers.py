"""The contract of connection observers."""

from __future__ import annotations

from typing import Any, get_args

from netappliance.interfaces import IConnectionObserver
from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side
from netappliance.sessions.session import Address, Kind, Session
from netappliance.testing.backends import backend
from netappliance.testing.promises import promise, promise_names, promise_plugin

#: (client, local): IPv4, IPv6 with a scope, a unix socket whose client has no path
ADDRESSES: tuple[tuple[Address, Address], ...] = (
    (("192.0.2.1", 50000), ("192.0.2.2", 80)),
    (("fe80::1%eth0", 50000), ("fe80::2%eth0", 443)),
    (("", 0), ("/run/web.sock", 0)),
)
DONE = CloseReason(Side.CLIENT, Phase.DATA, Cause.FIN)
LOST = CloseReason(Side.BACKEND, Phase.CONNECT, Cause.RST)


def session(kind: Kind = "tcp", client: Address = ADDRESSES[0][0], local: Address = ADDRESSES[0][1]) -> Session:
    """Return a session of the listener ``front``, begun at second 100, that has no backend yet."""
    return Session(kind, "front", client, local, 100.0)


def end(session: Session, reason: CloseReason = DONE) -> None:
    """Make the counters of a session final, as they are when observers are told of its end."""
    session.close_reason = reason
    session.duration = 2.5
    session.state = "closed"
    if reason is DONE:
        session.cluster = "web"
        session.backend = backend(1)
        session.backend_address = ("10.0.0.1", 7)
        session.rx_bytes, session.tx_bytes = 2**40, 512
        session.rx_packets, session.tx_packets = 2**30, 1


class ObserverContract:
    """Override :meth:`make`; :meth:`sessions` where yours looks at more than these have."""

    def make(self) -> Any:
        """Return the observer, new for each test."""
        raise NotImplementedError

    def sessions(self) -> list[Session]:
        """Return sessions to tell it of: every kind, from every sort of address."""
        found = [session(kind, *addresses) for kind in get_args(Kind) for addresses in ADDRESSES]
        for number, each in enumerate(found, 1):
            each.id = number
        return found

    def test_it_can_be_found_and_named(self) -> None:
        """As a plug-in of Twisted's, by its name."""
        promise_plugin(self.make(), IConnectionObserver)

    def test_it_allows_or_refuses_every_session(self) -> None:
        """With None or a text; a session that was refused ends too, and so does one that never had a backend."""
        observer = self.make()
        for reason in (DONE, LOST):
            for each in self.sessions():
                self._open(observer, each)
                self._close(observer, each, reason)

    def test_sessions_live_at_the_same_time(self) -> None:
        """And end in another order than they began in."""
        observer, sessions = self.make(), self.sessions()
        for each in sessions:
            self._open(observer, each)
        for each in sessions[1::2] + sessions[::2]:
            self._close(observer, each, DONE)

    def _open(self, observer: Any, session: Session) -> None:
        before = session.describe()
        answer = observer.session_opened(session)
        promise(
            answer is None or isinstance(answer, str),
            f"session_opened returns None or a text, not {type(answer).__name__}",
        )
        self._unchanged(session, before)

    def _close(self, observer: Any, session: Session, reason: CloseReason) -> None:
        end(session, reason)
        before = session.describe()
        observer.session_closed(session)
        self._unchanged(session, before)

    def _unchanged(self, session: Session, before: dict[str, Any]) -> None:
        promise(session.describe() == before, "an observer writes nothing in a session but its notes")
        if session.notes is not None:
            promise_names(session.notes, "notes")
