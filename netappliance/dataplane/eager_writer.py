"""Writes that try at once and keep what the kernel does not take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING


class EagerWriter:
    """
    What the owner of a stream socket that writes for itself inherits.

    :ivar send: of its socket. :ivar out: bytes that the kernel did not take yet, or None.
    :ivar sent: bytes that it took.
    """

    if TYPE_CHECKING:
        __slots__ = ("out", "send", "sent")
    else:
        # the slots are the owner's: of several slotted bases only one may have any
        __slots__ = ()

    send: Callable[[bytes | memoryview], int]
    out: memoryview | None
    sent: int

    def write(self, data: bytes | memoryview) -> None:
        """Send, or keep what the kernel does not take."""
        if self.out is not None:
            self.out = memoryview(b"".join((self.out, data)))
            return
        try:
            sent = self.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.write_failed(error)
            return
        self.sent += sent
        if sent < len(data):
            self.out = memoryview(bytes(memoryview(data)[sent:]))

    def flush(self) -> None:
        """Send what waits; to be called when the socket became writable."""
        out = self.out
        if out is None:
            return
        try:
            sent = self.send(out)
        except BlockingIOError:
            return
        except OSError as error:
            self.write_failed(error)
            return
        self.sent += sent
        if sent < len(out):
            self.out = out[sent:]
            self.took()
        else:
            self.out = None
            self.drained()

    def write_failed(self, error: OSError) -> None:
        """The connection broke; what was given is lost."""

    def took(self) -> None:
        """A part of what waits was sent."""

    def drained(self) -> None:
        """All that waited was sent."""
