"""Bodies on their way: from the client to a backend and back, in bounded memory and re-framed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netappliance.http.framing import chunked
from netappliance.http.framing.chunked import ChunkedDecoder
from netappliance.http.message import CHUNKED, UNTIL_CLOSE, Refusal

if TYPE_CHECKING:
    from netappliance.http.backends.upstream import Upstream
    from netappliance.http.forwarding.client import ClientConnection
    from netappliance.http.forwarding.forwarding import Forwarding

#: reads in one turn of one body, the fairness budget
BUDGET = 8
TOO_LARGE = Refusal(413, "body too large")


class _Body:
    """
    What both ways have in common.

    :ivar left: bytes to come, CHUNKED or UNTIL_CLOSE. :ivar done: all of it went to the other side's connection.
    """

    __slots__ = ("_buffer", "_client", "_decoder", "_forwarding", "_queued", "done", "left")

    def __init__(self, forwarding: Forwarding, client: ClientConnection, length: int) -> None:
        self._forwarding = forwarding
        self._client = client
        self._decoder = ChunkedDecoder(client.service.section.max_header_size) if length == CHUNKED else None
        self._buffer = client.poller.buffer
        self._queued = False
        self.left = length
        self.done = False

    def _take_plain(self, data: bytes) -> tuple[bytes, bytes]:
        """Split what belongs to a body of known length from what follows it."""
        mine = data[: self.left]
        self.left -= len(mine)
        self.done = not self.left
        return mine, data[len(mine) :]

    def _in_chunks(self, decoder: ChunkedDecoder, pieces: list[bytes]) -> bytes:
        """Write what was decoded as chunks of our own."""
        framed = chunked.encode(pieces)
        if decoder.done:
            self.done = True
            framed += chunked.encode_end(decoder.trailers)
        return framed

    def pump(self, upstream: Upstream) -> None:
        """Move what there is until there is no more, the other side is full or gone, or the budget is used up."""

    def _again(self) -> None:
        """Go on in the next turn."""
        if not self._queued:
            self._queued = True
            self._client.poller.later(self._resume)

    def _resume(self) -> None:
        self._queued = False
        forwarding = self._forwarding
        if forwarding.upstream is not None and self in (forwarding.request_body, forwarding.response_body):
            self.pump(forwarding.upstream)

    def crashed(self) -> None:
        """A callback raised."""
        self._forwarding.crashed()


class RequestBody(_Body):
    """
    The body that a client sends.

    :ivar received: bytes of content so far. :ivar started: monotonic seconds.
    """

    __slots__ = ("_limit", "received", "started")

    def __init__(self, forwarding: Forwarding, client: ClientConnection, length: int, limit: int) -> None:
        super().__init__(forwarding, client, length)
        self._limit = limit
        self.received = 0
        self.done = not length
        self.started = client.poller.now

    def take(self, data: bytes) -> tuple[bytes, bytes] | Refusal:
        """
        Judge the next bytes.

        :return: what goes to the backend for them, and what follows the body.
        """
        if self._decoder is None:
            mine, rest = self._take_plain(data)
            self.received += len(mine)
            return mine, rest
        taken = self._decoder.feed(data)
        if isinstance(taken, Refusal):
            return taken
        pieces, rest = taken
        self.received += sum(map(len, pieces))
        if self._limit and self._decoder.total > self._limit:
            return TOO_LARGE
        return self._in_chunks(self._decoder, pieces), rest

    def pump(self, upstream: Upstream) -> None:
        """Move what the client has sent to the backend."""
        client, forwarding = self._client, self._forwarding
        for _ in range(BUDGET):
            if self.done or upstream.out is not None or forwarding.upstream is not upstream or forwarding.broke:
                return
            want = min(self.left, self._buffer.size) if self._decoder is None else self._buffer.first_read
            count = client.receive(want)
            if count <= 0:
                if not count:
                    forwarding.client_ended()
                return
            taken = self.take(bytes(self._buffer.view[:count]))
            if isinstance(taken, Refusal):
                forwarding.request_refused(taken)
                return
            framed, client.inbuf = taken
            forwarding.body_sent(framed)
            upstream.write(framed)
            if not client.readable and not self.done:
                return
        if not self.done:
            self._again()


class ResponseBody(_Body):
    """The body that a backend sends."""

    __slots__ = ("_framed", "_window")

    def __init__(self, forwarding: Forwarding, client: ClientConnection, length: int, *, framed: bool) -> None:
        """:param framed: the client gets chunks when the length is not known."""
        super().__init__(forwarding, client, length)
        self._framed = framed
        self._window = self._buffer.first_read

    def take(self, data: bytes) -> tuple[bytes, bytes] | Refusal:
        """As :meth:`RequestBody.take`."""
        if self._decoder is not None:
            taken = self._decoder.feed(data)
            if isinstance(taken, Refusal):
                return taken
            pieces, rest = taken
            if not self._framed:
                self.done = self._decoder.done
                return b"".join(pieces), rest
            return self._in_chunks(self._decoder, pieces), rest
        if self.left == UNTIL_CLOSE:
            return (chunked.encode([data]) if self._framed else data), b""
        return self._take_plain(data)

    def pump(self, upstream: Upstream) -> None:
        """Move what the backend has sent to the client."""
        if self.left > 0:
            self._pump_plain(upstream)
            return
        client, forwarding = self._client, self._forwarding
        for _ in range(BUDGET):
            if client.out is not None or forwarding.upstream is not upstream:
                return
            count = self._receive(upstream, self._buffer.first_read)
            if count <= 0:
                return
            taken = self.take(bytes(self._buffer.view[:count]))
            if isinstance(taken, Refusal):
                forwarding.response_refused(taken)
                return
            framed, rest = taken
            client.write(framed)
            if self.done:
                forwarding.response_done(rest)
                return
            if count < self._buffer.first_read and not upstream.ending:
                upstream.readable = False
                return
        self._again()

    def _pump_plain(self, upstream: Upstream) -> None:
        """Known length: bytes pass untouched, and no more are read than belong to the body."""
        client, forwarding = self._client, self._forwarding
        window = self._window
        for _ in range(BUDGET):
            if client.out is not None or forwarding.upstream is not upstream:
                return
            want = min(window, self.left)
            count = self._receive(upstream, want)
            if count <= 0:
                return
            self.left -= count
            client.write(self._buffer.view[:count])
            if not self.left:
                self.done = True
                forwarding.response_done(b"")
                return
            if count < want and not upstream.ending:
                upstream.readable = False
                return
            if count == window and window < self._buffer.size:
                self._window = window = min(window * 2, self._buffer.size)
        self._again()

    def _receive(self, upstream: Upstream, want: int) -> int:
        """Read into the shared buffer: the count, or 0 when there is nothing to go on with."""
        try:
            count = upstream.recv_into(self._buffer.data, want)
        except BlockingIOError:
            upstream.readable = False
            return 0
        except OSError as error:
            self._forwarding.upstream_failed(error)
            return 0
        if not count:
            self._ended()
            return 0
        self._forwarding.received(count)
        return count

    def _ended(self) -> None:
        forwarding = self._forwarding
        if self.left != UNTIL_CLOSE or forwarding.broke is not None:
            forwarding.upstream_ended()
            return
        self.done = True
        if self._framed:
            self._client.write(chunked.LAST_CHUNK)
        forwarding.response_done(b"")
