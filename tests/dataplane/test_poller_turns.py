"""A turn of the poller: how often the kernel is asked, with what patience, and when the reactor has its turn."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.dataplane.poller import READABLE, Poller, RoundOwner
from tests.dataplane.test_relay import FakeReactor

LINGER = 0.25


class ScriptedEpoll:
    """Gives one of the planned rounds at each poll, then nothing."""

    def __init__(self, rounds: list[list[tuple[int, int]]]) -> None:
        self.rounds = rounds
        self.waits: list[float] = []

    def register(self, fd: int, mask: int) -> None:
        """Everything is watched."""

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """Remember what was asked."""
        self.waits.append(timeout)
        return self.rounds.pop(0) if self.rounds else []

    def close(self) -> None:
        """There is nothing to close."""


class Late(RoundOwner):
    """Remembers when it was called, as the number of polls before."""

    def __init__(self, epoll: ScriptedEpoll) -> None:
        self.epoll = epoll
        self.called: list[int] = []

    def round_ended(self) -> None:
        """Remember."""
        self.called.append(len(self.epoll.waits))


class TurnTests(SynchronousTestCase):
    """What is asked of the kernel in one turn."""

    def poller(self, rounds: int, linger_s: float = LINGER) -> tuple[Poller, ScriptedEpoll]:
        """A poller with so many rounds of one event before it."""
        self.reactor = FakeReactor()
        reactor: Any = self.reactor
        poller = Poller(reactor, self.reactor.seconds, linger_s=linger_s)
        epoll = ScriptedEpoll([[(7, READABLE)] for _ in range(rounds)])
        poller._epoll = epoll  # type: ignore[assignment]
        return poller, epoll

    def test_a_turn_that_found_events_waits_for_more(self) -> None:
        """One that found none does not; without patience none ever waits."""
        for rounds, linger_s, waits in (
            (0, LINGER, [0.0]),
            (1, LINGER, [0.0, LINGER]),
            (3, LINGER, [0.0, LINGER, LINGER, LINGER]),
            (3, 0.0, [0.0] * 4),
        ):
            poller, epoll = self.poller(rounds, linger_s)
            poller.doRead()
            self.assertEqual((epoll.waits, poller.round), (waits, rounds + 1))

    def test_the_reactor_has_its_turn_after_a_while(self) -> None:
        """However much there is to do; by time, and by rounds."""
        poller, epoll = self.poller(100)

        def slow(mask: int) -> None:
            self.reactor.rightNow += Poller.MAX_TURN_S / 4

        poller.add(7, slow)
        poller.doRead()
        self.assertEqual(len(epoll.waits), 5)
        poller, epoll = self.poller(100)
        poller.doRead()
        self.assertEqual(len(epoll.waits), Poller.MAX_ROUNDS)

    def test_what_was_left_for_later_is_not_waited_over(self) -> None:
        """The rest of a budget comes with the reactor's next turn, which comes at once."""
        poller, epoll = self.poller(3)
        done: list[int] = []
        poller.add(7, lambda mask: poller.later(lambda: done.append(len(epoll.waits))))
        poller.doRead()
        self.assertEqual(len(epoll.waits), 1)
        self.reactor.step()
        self.assertEqual(done, [1])

    def test_what_was_put_off_does_not_wait(self) -> None:
        """It comes after the next round, or when there is none right now; then patience is back."""
        for rounds, waits, called in ((1, [0.0, 0.0, LINGER], 2), (2, [0.0, 0.0, LINGER], 2)):
            poller, epoll = self.poller(rounds)
            late = Late(epoll)
            asks = [late]

            def on_ready(mask: int, asks: list[Late] = asks, poller: Poller = poller) -> None:
                if asks:
                    poller.after_next_round(asks.pop())

            poller.add(7, on_ready)
            poller.doRead()
            self.assertEqual((epoll.waits, late.called), (waits, [called]), rounds)

    def test_what_was_put_off_is_not_lost_at_the_end_of_a_turn(self) -> None:
        """The last round of a turn may have put something off."""
        poller, epoll = self.poller(9)
        late = Late(epoll)

        def slow(mask: int) -> None:
            self.reactor.rightNow += Poller.MAX_TURN_S
            poller.after_next_round(late)

        poller.add(7, slow)
        poller.doRead()
        self.assertEqual((len(epoll.waits), late.called), (2, [2, 2]))
