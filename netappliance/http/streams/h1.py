"""What both ends of an HTTP/1.1 exchange have in common: a body comes in, another goes out (RFC 9112 section 6)."""

from __future__ import annotations

from typing import Final

from netappliance.dataplane.connection import StreamConnection
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.transport import Transport
from netappliance.http.framing.chunked import ChunkedDecoder, Pieces
from netappliance.http.message import CHUNKED, UNTIL_CLOSE, Refusal

#: reads in one turn of one body, the fairness budget
BUDGET: Final = 8
TOO_LARGE = Refusal(413, "body too large")


class H1Connection(StreamConnection):
    """
    A connection with the body of the message that is being read on it.

    :ivar body_left: bytes to come, CHUNKED or UNTIL_CLOSE; 0 = the message was read to its end.
    :ivar decoder: of a body in chunks. :ivar max_content: bytes that chunks may add up to, 0 = any number.
    :ivar hold: the beginning of a head, or of a line between chunks. :ivar flowing: somebody takes what comes.
    :ivar chunks_out: the body that goes out is sent in chunks.
    """

    def __init__(self, transport: Transport, poller: Poller) -> None:
        super().__init__(transport, poller)
        self.body_left = 0
        self.decoder: ChunkedDecoder | None = None
        self.max_content = 0
        self.hold = b""
        self.flowing = False
        self.chunks_out = False
        self._resumes = False

    # -- the body that comes ------------------------------------------------------------------------------------------

    def expect_body(self, length: int, max_trailers: int) -> None:
        """A body comes next; ``max_trailers`` are bytes."""
        self.body_left = length
        self.decoder = ChunkedDecoder(max_trailers) if length == CHUNKED else None

    def take_first(self, data: bytes, at: int = 0) -> tuple[Pieces, int, list[bytes] | None] | Refusal:
        """
        Take the body out of what came with the head; what follows it, or has to wait, is in ``hold``.

        :param at: where it begins.
        :return: the pieces, their size, and the trailers when that was all of the body, else None.
        """
        left = self.body_left
        if left == CHUNKED:
            return self._take_chunks(data, memoryview(data), len(data), at)
        size = len(data) - at
        if left == UNTIL_CLOSE or size < left:
            if left > 0:
                self.body_left = left - size
            self.hold = b""
            return [memoryview(data)[at:]] if size else [], size, None
        self.body_left = 0
        self.hold = data[at + left :]
        if size == left and not at:
            return [data], left, []  # compiled, a slice of all of it would be a copy
        return [data[at : at + left]] if left else [], left, []

    def _take_chunks(
        self, data: bytes | bytearray, view: memoryview, size: int, at: int
    ) -> tuple[Pieces, int, list[bytes] | None] | Refusal:
        decoder = self.decoder
        if decoder is None:
            raise RuntimeError("no body in chunks is being read")
        taken = decoder.take(data, view, size, at)
        if isinstance(taken, Refusal):
            return taken
        if self.max_content and decoder.total > self.max_content:
            return TOO_LARGE
        pieces, at = taken
        self.hold = bytes(view[at:size]) if at < size else b""
        content = 0
        for piece in pieces:
            content += len(piece)
        if not decoder.done:
            return pieces, content, None
        self.body_left = 0
        self.decoder = None
        return pieces, content, decoder.trailers

    def pump(self) -> None:
        """Read on and deliver, until there is no more, nobody takes it or the budget is used up."""
        if self.body_left > 0:
            self._pump_plain()
        elif self.body_left:
            self._pump_framed()

    def _pump_plain(self) -> None:
        """Known length: no more is read than belongs to the body."""
        buffer = self.poller.buffer
        window = buffer.size
        for _ in range(BUDGET):
            if not self.flowing:
                return
            left = self.body_left
            count = self._read(min(window, left))
            if not count:
                return
            more = self.readable
            left -= count
            self.body_left = left
            if not left:
                self.flowing = False
                self.deliver([buffer.view[:count]], count, [])
                return
            self.flowing = self.deliver([buffer.view[:count]], count, None)
            if not more:
                return
        self._resume_later()

    def _pump_framed(self) -> None:
        """In chunks, or until the connection ends."""
        buffer = self.poller.buffer
        for _ in range(BUDGET):
            if not self.flowing or not self.body_left:
                return
            count = self._read(buffer.size)
            if not count:
                return
            more = self.readable
            if not self._pass_on(count) or not more:
                return
        self._resume_later()

    def _read(self, want: int) -> int:
        """Read into the shared buffer; return the count, 0 when there is nothing to go on with, which is seen to."""
        try:
            count = self.recv_into(self.poller.buffer.data, want)
        except BlockingIOError:
            self.readable = False
            return 0
        except OSError as error:
            self.lost(error)
            return 0
        if not count:
            self.readable = False
            self.body_cut()
            return 0
        self.readable = count == want or self.ending
        self.counted(count)
        return count

    def _pass_on(self, count: int) -> bool:
        """Deliver what is in the shared buffer; False when that was the end."""
        buffer = self.poller.buffer
        if self.decoder is None:
            self.flowing = self.deliver([buffer.view[:count]], count, None)
            return True
        if self.hold:
            # the beginning of a line is rare: it is put in front by a copy
            data = self.hold + bytes(buffer.view[:count])
            taken = self._take_chunks(data, memoryview(data), len(data), 0)
        else:
            taken = self._take_chunks(buffer.data, buffer.view, count, 0)
        if isinstance(taken, Refusal):
            self.flowing = False
            self.body_refused(taken)
            return False
        pieces, size, trailers = taken
        if trailers is not None:
            self.flowing = False
            self.deliver(pieces, size, trailers)
            return False
        if size:
            self.flowing = self.deliver(pieces, size, None)
        return True

    def resume(self) -> None:
        """Somebody takes what comes of the body (again)."""
        self.flowing = True
        if self.readable:
            self.pump()

    def _resume_later(self) -> None:
        if not self._resumes:
            self._resumes = True
            self.poller.later(self._resume)

    def _resume(self) -> None:
        self._resumes = False
        if self.flowing and self.readable:
            self.pump()

    def stop_reading(self) -> None:
        """The message that is being read is given up."""
        self.flowing = False
        self.body_left = 0
        self.decoder = None

    def blocked(self) -> bool:
        """Say whether bytes wait for the peer to take them."""
        return self.out is not None

    def pause(self) -> None:
        """Nobody takes what comes of the body for now."""
        self.flowing = False

    # -- what the connection's owner does -----------------------------------------------------------------------------

    def deliver(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """Hand a part of the body on, with ``trailers`` when it was the last; False when no more is taken for now."""
        raise TypeError

    def counted(self, count: int) -> None:
        """Bytes were read."""

    def body_cut(self) -> None:
        """The peer said FIN before its message was complete, or to end a body that nothing else ends."""

    def body_refused(self, refusal: Refusal) -> None:
        """The chunks are none."""
