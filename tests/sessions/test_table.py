"""The session table: totals that add up, observers that are contained, zombies that are found."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netappliance.interfaces import IConnectionObserver
from netappliance.sessions.reasons import SHUTDOWN, ZOMBIE, Cause, CloseReason, Phase, Side
from netappliance.sessions.session import Session
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

    def test_a_session_is_counted_where_it_settles(self) -> None:
        """Until then it is active where it began, and no counter ever goes down."""
        session = PlainSession(self.table, self.now)
        self.table.open(session, settled=False)
        first = self.table.totals("tcp", "front")
        self.assertEqual((first.active, first.total), (1, 0))
        self.table.settle(session, "other")
        other = self.table.totals("tcp", "other")
        self.assertEqual((first.active, first.total, other.active, other.total), (0, 0, 1, 1))
        session.close(DONE)
        self.assertEqual((other.active, other.total, other.closed), (0, 1, {DONE: 1}))
        self.assertEqual(first.closed, {})

    def test_a_session_may_settle_where_it_began(self) -> None:
        """Which counts it there, once."""
        session = PlainSession(self.table, self.now)
        self.table.open(session, settled=False)
        self.table.settle(session, "front")
        totals = self.table.totals("tcp", "front")
        self.assertEqual((totals.active, totals.total), (1, 1))

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
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        session.close(DONE)
        self.assertEqual(after.told, [("opened", session.id), ("closed", session.id)])
        self.assertEqual(self.table.observer_errors, {"recorder": 2})
        self.assertEqual(self.flushLoggedErrors(ValueError), [])

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

    def test_counters_of_every_kind_add_up(self) -> None:
        """Two ended sessions and a live one; packets too; nobody can change the totals by what was returned."""
        self.open(rx_bytes=1, tx_bytes=2, rx_packets=3, tx_packets=4).close(DONE)
        self.open(rx_bytes=10, tx_bytes=20, rx_packets=30, tx_packets=40).close(DONE)
        self.open(rx_bytes=100, tx_bytes=200, rx_packets=300, tx_packets=400)
        self.open(rx_bytes=5, cluster="live")
        for _ in range(2):
            traffic = self.table.traffic()
            found = traffic["tcp", "front", "c"]
            counted = (found.rx_bytes, found.tx_bytes, found.rx_packets, found.tx_packets)
            self.assertEqual(counted, (111, 222, 333, 444))
            live = traffic["tcp", "front", "live"]
            self.assertEqual((live.rx_bytes, live.tx_bytes, live.rx_packets, live.tx_packets), (5, 0, 0, 0))
            found.rx_bytes = found.tx_bytes = found.rx_packets = found.tx_packets = 0

    def test_a_session_that_goes_on_with_another_cluster_leaves_its_bytes_there(self) -> None:
        """Also when it carried bytes one way only; no total ever goes down."""
        for rx, tx in ((5, 0), (0, 7)):
            session = self.open(rx_bytes=rx, tx_bytes=tx, rx_packets=1, tx_packets=2, cluster=f"from {rx}")
            self.table.rebook(session, f"to {rx}")
            session.rx_bytes += 1
            traffic = self.table.traffic()
            old, new = traffic["tcp", "front", f"from {rx}"], traffic["tcp", "front", f"to {rx}"]
            self.assertEqual((old.rx_bytes, old.tx_bytes, old.rx_packets, old.tx_packets), (rx, tx, 1, 2))
            self.assertEqual((new.rx_bytes, new.tx_bytes, new.rx_packets, new.tx_packets), (1, 0, 0, 0))
            session.close(DONE)

    def test_a_session_that_carried_nothing_moves_without_a_trace(self) -> None:
        """The cluster that it never reached has no series of it."""
        session = self.open(cluster="")
        self.table.rebook(session, "next")
        self.assertEqual(list(self.table.traffic()), [("tcp", "front", "next")])

    def test_sessions_have_numbers_of_their_own(self) -> None:
        """From 1 on, never given again; what lives is counted."""
        first, second = self.open(), self.open()
        first.close(DONE)
        third = self.open()
        self.assertEqual([first.id, second.id, third.id], [1, 2, 3])
        totals = self.table.totals("tcp", "front")
        self.assertEqual((totals.active, totals.total, len(self.table)), (2, 3, 2))
        self.assertEqual(list(self.table), [second, third])

    def test_reasons_are_counted(self) -> None:
        """Of ends and of refusals, each for itself."""
        for reason in (DONE, SHUTDOWN, DONE):
            self.open().close(reason)
        totals = self.table.totals("tcp", "front")
        self.assertEqual(totals.closed, {DONE: 2, SHUTDOWN: 1})
        for refusal in ("limit", "policy", "limit"):
            totals.reject(refusal)
        self.assertEqual(totals.rejected, {"limit": 2, "policy": 1})
        fresh = self.table.totals("udp", "front")
        self.assertEqual((fresh.active, fresh.total, fresh.rx_errors, fresh.tx_errors), (0, 0, 0, 0))
        self.assertEqual((fresh.closed, fresh.rejected, fresh.drops, fresh.durations.count), ({}, {}, {}, 0))

    def test_durations_never_are_negative(self) -> None:
        """A session whose start lies ahead of the clock lasted nothing."""
        session = self.open(started=self.now + 5)
        session.close(DONE)
        self.assertEqual((session.duration, self.table.totals("tcp", "front").durations.sum), (0.0, 0.0))
        longer = self.open()
        self.now += 0.5
        longer.close(DONE)
        self.assertEqual((longer.duration, self.table.totals("tcp", "front").durations.sum), (0.5, 0.5))

    def test_the_first_refusal_counts_and_all_observers_are_told(self) -> None:
        """An empty text is a refusal too; a refused session stays until its owner closes it."""
        silent, first, second = Recorder(), Recorder(""), Recorder("later")
        self.table.observers.extend([silent, first, second])
        session = PlainSession(self.table)
        self.assertEqual(self.table.open(session), "")
        self.assertEqual(second.told, [("opened", session.id)])
        self.assertEqual(list(self.table), [session])
        session.close(DONE)
        self.assertEqual(silent.told, [("opened", session.id), ("closed", session.id)])
        self.table.observers[:] = [silent]
        self.assertIsNone(self.table.open(PlainSession(self.table)))

    def test_a_session_silent_for_exactly_the_interval_is_a_zombie(self) -> None:
        """A moment less, and it is none; it is logged with how long it was silent."""
        self.open()
        self.assertEqual(self.table.sweep_zombies(self.now + 99.9, 100.0), 0)
        with capturedLogs() as logged:
            self.assertEqual(self.table.sweep_zombies(self.now + 100.0, 100.0), 1)
        self.assertEqual([(event["id"], event["silent"]) for event in logged], [(1, 100.0)])
        self.open()
        self.open()
        self.assertEqual(self.table.sweep_zombies(self.now + 101.0, 100.0), 2)
        self.assertEqual(self.table.zombies_total, 3)

    def test_nothing_to_wait_for_is_told_at_once(self) -> None:
        """An empty table is empty."""
        fired: list[int] = []
        self.table.when_empty(lambda: fired.append(1))
        self.assertEqual(fired, [1])
