"""The timer wheel against a naive model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.dataplane.timers import TimerWheel


class Item:
    """Counts its calls; may ask for another deadline, or break."""

    def __init__(self, again: float = 0.0, error: bool = False) -> None:
        self.timer_slot = 0
        self.called_at: list[float] = []
        self.again = again
        self.error = error
        self.crashes = 0

    def on_timer(self, now: float) -> float:
        """Record."""
        self.called_at.append(now)
        if self.error:
            raise ValueError("boom")
        again, self.again = self.again, 0.0
        return again

    def crashed(self) -> None:
        """Record."""
        self.crashes += 1


class TimerWheelTests(SynchronousTestCase):
    """Deadlines are met at the first tick after them."""

    def test_a_deadline_is_met_neither_early_nor_twice(self) -> None:
        """One call, at the first tick behind it."""
        wheel, item = TimerWheel(0.0), Item()
        wheel.schedule(item, 1.0)
        for tenth in range(1, 30):
            wheel.advance(tenth / 10)
        self.assertEqual(len(item.called_at), 1)
        self.assertTrue(1.0 <= item.called_at[0] <= 1.11, item.called_at)

    def test_an_owner_that_saw_activity_moves_its_deadline(self) -> None:
        """The answer of on_timer is the next deadline."""
        wheel, item = TimerWheel(0.0), Item(again=5.0)
        wheel.schedule(item, 1.0)
        wheel.advance(2.0)
        wheel.advance(4.5)
        self.assertEqual(len(item.called_at), 1)
        wheel.advance(5.2)
        self.assertEqual(len(item.called_at), 2)

    def test_a_cancelled_deadline_leaves_nothing_behind(self) -> None:
        """So closed sessions are free at once."""
        wheel, item = TimerWheel(0.0), Item()
        wheel.schedule(item, 60.0)
        wheel.cancel(item)
        self.assertEqual((len(wheel), wheel.advance(100.0)), (0, 0))

    def test_a_jump_of_the_clock_calls_all_that_is_due(self) -> None:
        """A stopped process catches up at once."""
        wheel = TimerWheel(0.0)
        items = [Item() for _ in range(50)]
        for number, item in enumerate(items):
            wheel.schedule(item, number * 10.0)
        self.assertEqual(wheel.advance(10_000.0), 50)

    def test_a_callback_that_raises_closes_its_owner_and_no_other(self) -> None:
        """Contained."""
        wheel, bad, good = TimerWheel(0.0), Item(error=True), Item()
        wheel.schedule(bad, 1.0)
        wheel.schedule(good, 1.0)
        wheel.advance(2.0)
        self.assertEqual((bad.crashes, len(good.called_at)), (1, 1))
        self.flushLoggedErrors(ValueError)

    def test_an_owner_that_cannot_even_be_closed_hurts_no_other(self) -> None:
        """Those that are due with it and after it are called."""

        class Hopeless(Item):
            def crashed(self) -> None:
                raise KeyError("again")

        wheel, bad, good, later = TimerWheel(0.0), Hopeless(error=True), Item(), Item()
        for item, deadline in ((bad, 1.0), (good, 1.0), (later, 1.5)):
            wheel.schedule(item, deadline)
        self.assertEqual(wheel.advance(2.0), 3)
        self.assertEqual((len(good.called_at), len(later.called_at)), (1, 1))
        self.assertEqual(len(self.flushLoggedErrors(ValueError, KeyError)), 2)

    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(st.tuples(st.integers(0, 5), st.floats(0, 50), st.booleans()), max_size=30),
        st.lists(st.floats(0.01, 20), max_size=12),
    )
    def test_it_agrees_with_a_naive_model(self, operations: list[tuple[int, float, bool]], steps: list[float]) -> None:
        """Whatever is scheduled, moved and cancelled: called once it is a tick overdue, never before it is due."""
        wheel = TimerWheel(0.0)
        items = [Item() for _ in range(6)]
        due: dict[int, float] = {}
        for which, deadline, cancel in operations:
            if cancel:
                wheel.cancel(items[which])
                due.pop(which, None)
            else:
                wheel.schedule(items[which], deadline)
                due[which] = deadline
        self.assertEqual(len(wheel), len(due))
        now = 0.0
        for step in steps:
            now += step
            wheel.advance(now)
            for which, deadline in list(due.items()):
                called = bool(items[which].called_at)
                if called:
                    self.assertGreaterEqual(now, deadline)
                    del due[which]
                else:
                    self.assertLess(now, deadline + 3 * wheel.tick)
        self.assertEqual(sum(len(item.called_at) for item in items), sum(bool(item.called_at) for item in items))
