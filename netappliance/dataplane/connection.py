"""One end of a byte stream on the data plane: eager writes, edges remembered until they are used up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from netappliance.dataplane.poller import ENDING, ERROR, READ_SIDE, READY, WRITABLE, Poller, RoundOwner
from netappliance.dataplane.transport import Transport

#: bytes of a second buffer from which on copying it behind the first costs more than a call that takes both
GATHER: Final = 8192
#: bytes that wait for the end of a round rather than go out at once: what one read may bring
MOST_AT_ROUND_END: Final = 64 * 1024
#: buffers that the kernel takes in one call (IOV_MAX, limits.h)
MOST_BUFFERS: Final = 1024


class StreamConnection(RoundOwner):
    """
    A connected socket, or one that is being connected, with its owner's reactions.

    :ivar transport: moves the bytes. :ivar recv, recv_into, send: its calls.
    :ivar out: bytes that the kernel did not take yet, or None. :ivar sent: bytes that it took.
    :ivar outgoing: what is sent when the poller's round is over, or empty.
    :ivar readable: an edge came that was not read to its end.
    :ivar ending: FIN, error or hang-up was seen, so a short read proves nothing.
    """

    __slots__ = (
        "ending",
        "out",
        "outgoing",
        "poller",
        "readable",
        "recv",
        "recv_into",
        "send",
        "sent",
        "transport",
    )

    def __init__(self, transport: Transport, poller: Poller) -> None:
        self.transport = transport
        self.poller = poller
        self.recv = transport.recv
        self.recv_into = transport.recv_into
        self.send = transport.send
        self.out: memoryview | None = None
        self.outgoing = b""
        self.sent = 0
        self.readable = False
        self.ending = False

    # -- edges --------------------------------------------------------------------------------------------------------

    def on_ready(self, mask: int) -> None:
        """Edges of the socket: :meth:`received` when there is something to read, or the end."""
        if mask != READY:
            if mask & ENDING:
                self.ending = True
                if mask & ERROR:
                    self.lost(self.transport.error())
                    return
            if mask & WRITABLE and self.out is not None:
                self.flush()
            if not mask & READ_SIDE:
                return
        elif self.out is not None:
            self.flush()
        self.readable = True
        self.received(mask)

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """Send, or keep what the kernel does not take."""
        if self.out is not None:
            self.out = memoryview(b"".join((self.out, data)))
            return
        try:
            count = self.send(data)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self.lost(error)
            return
        self.sent += count
        if count < len(data):
            self.out = memoryview(bytes(memoryview(data)[count:]))

    def write_all(self, pieces: Sequence[bytes | memoryview], size: int) -> None:
        """
        Send pieces one behind the other, with one call and without a copy where they are large.

        :param size: bytes of all of them.
        """
        if len(pieces) == 1:
            self.write(pieces[0])
            return
        sendmsg = self.transport.sendmsg
        if self.out is not None or size < GATHER or sendmsg is None or len(pieces) > MOST_BUFFERS:
            self.write(b"".join(pieces))
            return
        try:
            count = sendmsg(pieces)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self.lost(error)
            return
        self.sent += count
        if count < size:
            self.out = memoryview(_beyond(pieces, count))

    def round_ended(self) -> None:
        """Send what is ``outgoing``, unless it was taken back meanwhile; see :meth:`Poller.at_round_end`."""
        data = self.outgoing
        if data:
            self.outgoing = b""
            self.write(data)

    def flush(self) -> None:
        """Send what waits; to be called when the socket became writable."""
        out = self.out
        if out is None:
            return
        try:
            count = self.send(out)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(error)
            return
        self.sent += count
        if count < len(out):
            self.out = out[count:]
            self.took()
        else:
            self.out = None
            self.drained()

    # -- what the owner does ------------------------------------------------------------------------------------------

    def received(self, mask: int) -> None:
        """There is something to read, or the end; ``mask`` has the edges."""

    def lost(self, error: OSError) -> None:
        """The connection broke; what waits is lost."""

    def took(self) -> None:
        """A part of what waits was sent."""

    def drained(self) -> None:
        """All that waited was sent."""

    def crashed(self) -> None:
        """A callback raised."""


def _beyond(pieces: Sequence[bytes | memoryview], count: int) -> bytes:
    """Return a copy of what follows the first ``count`` bytes of the pieces."""
    rest: list[bytes | memoryview] = []
    for piece in pieces:
        size = len(piece)
        if count >= size:
            count -= size
        else:
            rest.append(memoryview(piece)[count:] if count else piece)
            count = 0
    return b"".join(rest)
