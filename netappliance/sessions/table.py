"""The live table of all sessions, and the totals that outlive them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from netappliance.metrics.histogram import SESSION_DURATION_BUCKETS, Histogram
from netappliance.sessions.reasons import ZOMBIE, CloseReason
from netappliance.sessions.session import Kind, Session

if TYPE_CHECKING:
    from netappliance.interfaces import IConnectionObserver

_log = Logger(__name__)


class ListenerTotals:
    """What ended sessions of one (kind, listener) leave behind, and what never became a session."""

    __slots__ = ("active", "closed", "drops", "durations", "rejected", "rx_errors", "total", "tx_errors")

    def __init__(self) -> None:
        self.active = 0
        self.total = 0
        self.closed: dict[CloseReason, int] = {}
        self.rejected: dict[str, int] = {}
        #: (direction, reason) of datagrams
        self.drops: dict[tuple[str, str], int] = {}
        self.rx_errors = 0
        self.tx_errors = 0
        self.durations = Histogram(SESSION_DURATION_BUCKETS)

    def reject(self, reason: str) -> None:
        """Count a connection or datagram that was refused before it had a session; ``reason`` is of a closed set."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


class TrafficTotals:
    """Bytes and packets of ended sessions of one (kind, listener, cluster)."""

    __slots__ = ("rx_bytes", "rx_packets", "tx_bytes", "tx_packets")

    def __init__(self) -> None:
        self.rx_bytes = 0
        self.tx_bytes = 0
        self.rx_packets = 0
        self.tx_packets = 0

    def add(self, session: Session) -> None:
        """Add the counters of a session (already refreshed)."""
        self.rx_bytes += session.rx_bytes
        self.tx_bytes += session.tx_bytes
        self.rx_packets += session.rx_packets
        self.tx_packets += session.tx_packets


TrafficKey = tuple[Kind, str, str]


class SessionTable:
    """
    Every live session by id, and per listener what the ended ones add up to.

    A live session's bytes are added to the totals at the time of reading, so the data path writes each number once.
    """

    def __init__(self, clock: Callable[[], float], observers: Iterable[IConnectionObserver] = ()) -> None:
        self.clock = clock
        self.observers = list(observers)
        self.live: dict[int, Session] = {}
        self.listeners: dict[tuple[Kind, str], ListenerTotals] = {}
        self.zombies_total = 0
        self.observer_errors: dict[str, int] = {}
        self._ended: dict[TrafficKey, TrafficTotals] = {}
        self._next_id = 1
        self._when_empty: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self.live)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self.live.values()))

    def totals(self, kind: Kind, listener: str) -> ListenerTotals:
        """Return the totals of one listener, made at first use so that they are exposed from the start."""
        found = self.listeners.get((kind, listener))
        if found is None:
            found = self.listeners[kind, listener] = ListenerTotals()
        return found

    def declare(self, kind: Kind, listener: str, cluster: str) -> ListenerTotals:
        """Make the zero-valued series of a listener and its cluster appear before the first session."""
        self._ended.setdefault((kind, listener, cluster), TrafficTotals())
        return self.totals(kind, listener)

    def open(self, session: Session, *, settled: bool = True) -> str | None:
        """
        Enter a new session and tell the observers.

        :param settled: False while it is open which listener it belongs to; :meth:`settle` must follow.
        :return: None, or why an observer refused it. A refused session stays in the table until its owner closes it.
        """
        session.id = self._next_id
        self._next_id += 1
        self.live[session.id] = session
        totals = self.totals(session.kind, session.listener)
        totals.active += 1
        totals.total += settled
        refusal: str | None = None
        for observer in self.observers:
            try:
                answer: Any = observer.session_opened(session)
                if answer is not None and not isinstance(answer, str):
                    raise TypeError(f"session_opened returned {type(answer).__name__}, not a text or None")
            except Exception:  # noqa: BLE001 - a plug-in's crash is contained
                self._observer_failed(observer)
                continue
            if refusal is None:
                refusal = answer
        return refusal

    def settle(self, session: Session, listener: str) -> None:
        """Say which listener a session belongs to, once; it has had no traffic. Only now is it one of those opened."""
        self.listeners[session.kind, session.listener].active -= 1
        session.listener = listener
        totals = self.totals(session.kind, listener)
        totals.active += 1
        totals.total += 1

    def closed(self, session: Session, reason: CloseReason) -> None:
        """Take a session out, once; its counters move to the totals and the observers are told."""
        if self.live.pop(session.id, None) is None:
            return
        session.refresh()
        session.close_reason = reason
        session.duration = max(0.0, self.clock() - session.started)
        totals = self.listeners[session.kind, session.listener]
        totals.active -= 1
        totals.closed[reason] = totals.closed.get(reason, 0) + 1
        totals.durations.observe(session.duration)
        key = (session.kind, session.listener, session.cluster)
        ended = self._ended.get(key)
        if ended is None:
            ended = self._ended[key] = TrafficTotals()
        ended.add(session)
        for observer in self.observers:
            try:
                observer.session_closed(session)
            except Exception:  # noqa: BLE001 - a plug-in's crash is contained
                self._observer_failed(observer)
        if not self.live:
            waiting, self._when_empty = self._when_empty, []
            for callback in waiting:
                callback()

    def rebook(self, session: Session, cluster: str) -> None:
        """
        A session goes on with another cluster: what it carried so far stays with the old one.

        Its counters begin anew, so that no cluster's total ever goes down.
        """
        session.refresh()
        key = (session.kind, session.listener, session.cluster)
        if session.rx_bytes or session.tx_bytes:
            self._ended.setdefault(key, TrafficTotals()).add(session)
            session.rx_bytes = session.tx_bytes = session.rx_packets = session.tx_packets = 0
        session.cluster = cluster

    def traffic(self) -> dict[TrafficKey, TrafficTotals]:
        """Return bytes and packets by (kind, listener, cluster), ended and live sessions together; a fresh dict."""
        result: dict[TrafficKey, TrafficTotals] = {}
        for key, ended in self._ended.items():
            copy = result[key] = TrafficTotals()
            copy.rx_bytes, copy.tx_bytes = ended.rx_bytes, ended.tx_bytes
            copy.rx_packets, copy.tx_packets = ended.rx_packets, ended.tx_packets
        for session in self.live.values():
            session.refresh()
            key = (session.kind, session.listener, session.cluster)
            totals = result.get(key)
            if totals is None:
                totals = result[key] = TrafficTotals()
            totals.add(session)
        return result

    def when_empty(self, callback: Callable[[], None]) -> None:
        """Call once as soon as no session lives (at once when none does)."""
        if self.live:
            self._when_empty.append(callback)
        else:
            callback()

    def close_all(self, reason: CloseReason) -> None:
        """End every live session; a session that fails to end is taken out all the same."""
        for session in list(self.live.values()):
            self._end(session, reason)

    def sweep_zombies(self, now: float, silent_for: float) -> int:
        """
        End the sessions that had no event for ``silent_for`` seconds: bugs that outlived every timeout.

        :return: how many there were; each is logged with its state.
        """
        found = 0
        for session in list(self.live.values()):
            session.refresh()
            if now - session.last_active < silent_for:
                continue
            found += 1
            self.zombies_total += 1
            _log.warn(
                "zombie session {id} without an event for {silent:.0f} s: {state}",
                id=session.id,
                silent=now - session.last_active,
                state=session.describe(),
            )
            self._end(session, ZOMBIE)
        return found

    def _end(self, session: Session, reason: CloseReason) -> None:
        try:
            session.close(reason)
        except Exception:  # noqa: BLE001 - one broken session must not keep the others alive
            _log.failure("session {id} failed to close", id=session.id)
        self.closed(session, reason)

    def _observer_failed(self, observer: IConnectionObserver) -> None:
        name = str(getattr(observer, "name", type(observer).__name__))
        seen = self.observer_errors.get(name, 0)
        self.observer_errors[name] = seen + 1
        if not seen:
            _log.failure("connection observer {name} raised; it stays contained and is counted from now on", name=name)
