"""The session table: totals that add up, observers that are contained, zombies that are found."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netappliance.interfaces import IConnectionObserver
from netappliance.sessions.reasons import SHUTDOWN, ZOMBIE, Cause, CloseReason, Phase, Side
from netappliance.sessions.session import Session, format_address
from netappliance.sessions.table import SessionTable

DONE = CloseReason(Side.CLIENT, Phase.DATA, Cause.FIN)


class PlainSession(Session):
    """A session that ends when told to."""

    def __init__(self, table: SessionTable, now: float = 0.0, cluster: str = "c") -> None:
        super().__init__("tcp", "front", ("192.0.2.1", 1), ("192.0.2.2", 2), now)
        self.cluster = cluster
        self.table = table

    def close(self, reason: CloseReason) -> None:
        """End."""
        self.table.closed(self, reason)


@implementer(IConnectionObserver)
class Recorder:
    """Remembers what it was told; may refuse or break."""

    name = "recorder"

    def __init__(self, answer: str | None = None, error: Exception | None = None) -> None:
        self.answer = answer
        self.error = error
        self.told: list[tuple[str, int]] = []

    def session_opened(self, session: Session) -> str | None:
        """Answer or raise as told."""
        self.told.append(("opened", session.id))
        if self.error is not None:
            raise self.error
        return self.answer

    def session_closed(self, session: Session) -> None:
        """Remember, or raise as told."""
        self.told.append(("closed", session.id))
        if self.error is not None:
            raise self.error


class TableTests(SynchronousTestCase):
    """One table, a clock that stands still unless moved."""

    def setUp(self) -> None:
        self.now = 100.0
        self.table = SessionTable(lambda: self.now)

    def open(self, **attributes: object) -> PlainSession:
        """Enter a session."""
        session = PlainSession(self.table, self.now)
        for name, value in attributes.items():
            setattr(session, name, value)
        self.table.open(session)
        return session

    def test_traffic_is_the_same_before_and_after_a_session_ends(self) -> None:
        """Live and ended bytes are one sum, so the counter never goes down."""
        session = self.open(rx_bytes=5, tx_bytes=7)
        before = self.table.traffic()["tcp", "front", "c"]
        session.close(DONE)
        after = self.table.traffic()["tcp", "front", "c"]
        self.assertEqual((before.rx_bytes, before.tx_bytes), (5, 7))
        self.assertEqual((after.rx_bytes, after.tx_bytes), (5, 7))

    def test_closing_twice_counts_once(self) -> None:
        """The first reason stays."""
        session = self.open()
        self.now += 2
        session.close(DONE)
        session.close(SHUTDOWN)
        totals = self.table.totals("tcp", "front")
        self.assertEqual((totals.active, totals.total, totals.closed), (0, 1, {DONE: 1}))
        self.assertEqual((session.close_reason, session.duration), (DONE, 2.0))
        self.assertEqual(totals.durations.count, 1)

    def test_a_declared_listener_shows_zero(self) -> None:
        """Series exist before the first session."""
        self.table.declare("tcp", "idle", "c")
        self.assertEqual(self.table.traffic()["tcp", "idle", "c"].rx_bytes, 0)
        self.assertEqual(self.table.listeners["tcp", "idle"].total, 0)

    def test_an_observer_may_refuse(self) -> None:
        """The refusal reaches whoever opens the session."""
        recorder = Recorder("not you")
        verifyObject(IConnectionObserver, recorder)
        self.table.observers.append(recorder)
        session = PlainSession(self.table)
        self.assertEqual(self.table.open(session), "not you")

    def test_an_exception_in_an_observer_is_contained_and_logged_once(self) -> None:
        """Others are still told; the second failure is only counted."""
        broken, after = Recorder(error=ValueError("boom")), Recorder()
        self.table.observers.extend([broken, after])
        session = self.open()
        session.close(DONE)
        self.assertEqual(after.told, [("opened", session.id), ("closed", session.id)])
        self.assertEqual(self.table.observer_errors, {"recorder": 2})
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_zombies_are_ended_and_counted(self) -> None:
        """Only those without an event for the whole interval."""
        self.open()
        self.now += 50
        young = self.open()
        self.now += 60
        self.assertEqual(self.table.sweep_zombies(self.now, 100.0), 1)
        self.assertEqual(list(self.table), [young])
        self.assertEqual((self.table.zombies_total, self.table.totals("tcp", "front").closed), (1, {ZOMBIE: 1}))

    def test_close_all_takes_out_a_session_that_fails_to_close(self) -> None:
        """One broken session does not keep the process."""
        session = self.open()
        session.close = lambda reason: 1 / 0  # type: ignore[method-assign,assignment]
        self.open()
        self.table.close_all(SHUTDOWN)
        self.assertEqual(len(self.table), 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_when_empty_fires_once_with_the_last_session(self) -> None:
        """For draining."""
        fired: list[int] = []
        session = self.open()
        self.table.when_empty(lambda: fired.append(1))
        self.assertEqual(fired, [])
        session.close(DONE)
        self.open().close(DONE)
        self.assertEqual(fired, [1])


class AddressTests(SynchronousTestCase):
    """Addresses as text."""

    def test_ipv6_is_bracketed_and_unix_is_named(self) -> None:
        """So that a port can be told from the address."""
        addresses = (("192.0.2.1", 80), ("2001:db8::1", 80), ("/run/x", 0), ("", 0))
        written = [format_address(address) for address in addresses]
        self.assertEqual(written, ["192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/x", "unix:"])
