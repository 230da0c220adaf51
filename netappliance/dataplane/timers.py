"""A timer wheel: tens of thousands of deadlines that cost only when they expire."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

_log = Logger(__name__)


class Timed(Protocol):
    """What can be put on the wheel; ``timer_slot`` belongs to the wheel (0 = not on it)."""

    timer_slot: int

    def on_timer(self, now: float) -> float:
        """
        The deadline may have come.

        :return: the next deadline in monotonic seconds, or 0.0 for none. An owner that saw activity returns the new
            deadline, so activity itself never touches the wheel.
        """


class TimerWheel:
    """
    Deadlines in slots of ``tick`` seconds; each owner has at most one.

    Pure but for the log of a callback that raised: the caller drives it with :meth:`advance`. A deadline is met at
    the first tick after it, never before.
    """

    def __init__(self, now: float, tick: float = 0.1) -> None:
        self.tick = tick
        self._slots: dict[int, dict[Timed, None]] = {}
        self._next = int(now / tick) + 1

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots.values())

    def schedule(self, owner: Timed, deadline: float) -> None:
        """Set or move the owner's deadline."""
        slot = int(deadline / self.tick) + 1
        if slot < self._next:
            slot = self._next
        old = owner.timer_slot
        if old == slot:
            return
        if old:
            self._drop(owner, old)
        owner.timer_slot = slot
        entries = self._slots.get(slot)
        if entries is None:
            entries = self._slots[slot] = {}
        entries[owner] = None

    def cancel(self, owner: Timed) -> None:
        """Take the owner off the wheel; harmless when it is not on it."""
        if owner.timer_slot:
            self._drop(owner, owner.timer_slot)
            owner.timer_slot = 0

    def _drop(self, owner: Timed, slot: int) -> None:
        entries = self._slots.get(slot)
        if entries is not None:
            entries.pop(owner, None)
            if not entries:
                del self._slots[slot]

    def advance(self, now: float) -> int:
        """
        Call every owner whose deadline has come.

        :return: how many were called. A callback that raises is logged and its ``crashed`` is called, the others go on.
        """
        last = int(now / self.tick)
        called = 0
        if last - self._next > len(self._slots):
            due = sorted(slot for slot in self._slots if slot <= last)
        else:
            due = [slot for slot in range(self._next, last + 1) if slot in self._slots]
        self._next = max(self._next, last + 1)
        for slot in due:
            entries = self._slots.pop(slot, {})
            for owner in list(entries):
                if owner.timer_slot != slot:
                    continue  # an earlier callback cancelled or moved it
                owner.timer_slot = 0
                called += 1
                try:
                    deadline = owner.on_timer(now)
                except Exception:  # noqa: BLE001 - one session's bug ends that session only
                    _log.failure("a timer of {owner} raised; its session is closed", owner=type(owner).__name__)
                    crashed = getattr(owner, "crashed", None)
                    if crashed is not None:
                        try:
                            crashed()
                        except Exception:  # noqa: BLE001 - nothing more can be done for it, and others are due
                            _log.failure("closing after the failure above failed too")
                    continue
                if deadline:
                    self.schedule(owner, deadline)
        return called
