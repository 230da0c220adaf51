"""The process-wide limit on client connections: full at the limit, open again below nine tenths of it (seed 001)."""

from __future__ import annotations

from collections.abc import Callable


class Admission:
    """
    Counts client connections against ``max_connections``.

    At the limit the gate closes and accepted sockets wait in their queues; it opens again when the count falls below
    90 %, so that a full proxy does not flap between the two states. Pure: it calls back, it does not touch a socket.
    """

    __slots__ = ("_resumed", "active", "full_total", "limit", "open", "resume_below")

    def __init__(self, limit: int) -> None:
        self.active = 0
        self.full_total = 0
        self._resumed: list[Callable[[], None]] = []
        self.set_limit(limit)

    def set_limit(self, limit: int) -> None:
        """Change the limit; connections above a lowered one stay."""
        self.limit = limit
        self.resume_below = max(1, limit * 9 // 10)
        self.open = self.active < limit

    def on_resume(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever the gate opens again; listeners drain their accept queue then."""
        self._resumed.append(callback)

    def admit(self) -> bool:
        """Take a place; False when the gate is closed."""
        if not self.open:
            return False
        self.active += 1
        if self.active >= self.limit:
            self.open = False
            self.full_total += 1
        return True

    def release(self) -> None:
        """Give a place back."""
        self.active -= 1
        if not self.open and self.active < self.resume_below:
            self.open = True
            for callback in self._resumed:
                callback()
