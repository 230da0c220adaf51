"""Bodies on their way: from the client to a backend and back, in bounded memory and re-framed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netappliance.dataplane.relay import BUFFER, BUFFER_SIZE, FIRST_READ, VIEW
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


class RequestBody:
    """
    The body that a client sends.

    :ivar left: bytes to come of a body of known length. :ivar received: bytes of content so far.
    :ivar done: all of it went to the backend's connection. :ivar started: monotonic seconds.
    """

    __slots__ = ("_client", "_decoder", "_forwarding", "_limit", "_queued", "done", "left", "received", "started")

    def __init__(self, forwarding: Forwarding, client: ClientConnection, length: int, limit: int) -> None:
        self._forwarding = forwarding
        self._client = client
        self._limit = limit
        self._queued = False
        self._decoder = ChunkedDecoder(client.service.section.max_header_size) if length == CHUNKED else None
        self.left = length
        self.received = 0
        self.done = not length
        self.started = client.poller.now

    def take(self, data: bytes) -> tuple[bytes, bytes] | Refusal:
        """
        Judge the next bytes.

        :return: what goes to the backend for them, and what follows the body.
        """
        if self._decoder is None:
            mine = data[: self.left]
            self.left -= len(mine)
            self.received += len(mine)
            self.done = not self.left
            return mine, data[len(mine) :]
        taken = self._decoder.feed(data)
        if isinstance(taken, Refusal):
            return taken
        pieces, rest = taken
        self.received += sum(map(len, pieces))
        if self._limit and self._decoder.total > self._limit:
            return TOO_LARGE
        framed = chunked.encode(pieces)
        if self._decoder.done:
            self.done = True
            framed += chunked.encode_end(self._decoder.trailers)
        return framed, rest

    def pump(self, upstream: Upstream) -> None:
        """Move what the client has sent to the backend until there is no more, the backend is full or gone, or the
        budget is used up."""
        client, forwarding = self._client, self._forwarding
        for _ in range(BUDGET):
            if self.done or upstream.out is not None or forwarding.upstream is not upstream or forwarding.broke:
                return
            want = min(self.left, BUFFER_SIZE) if self._decoder is None else FIRST_READ
            count = client.receive(want)
            if count <= 0:
                if not count:
                    forwarding.client_ended()
                return
            taken = self.take(bytes(VIEW[:count]))
            if isinstance(taken, Refusal):
                forwarding.request_refused(taken)
                return
            framed, client.inbuf = taken
            forwarding.body_sent(framed)
            upstream.write(framed)
            if not client.readable and not self.done:
                return
        if not self.done and not self._queued:
            self._queued = True
            client.poller.later(self._resume)

    def _resume(self) -> None:
        self._queued = False
        upstream = self._forwarding.upstream
        if upstream is not None and self._forwarding.request_body is self:
            self.pump(upstream)

    def crashed(self) -> None:
        """A callback raised."""
        self._forwarding.crashed()


class ResponseBody:
    """
    The body that a backend sends.

    :ivar left: bytes to come, CHUNKED or UNTIL_CLOSE. :ivar done: all of it went to the client's connection.
    """

    __slots__ = ("_client", "_decoder", "_forwarding", "_framed", "_queued", "_window", "done", "left")

    def __init__(self, forwarding: Forwarding, client: ClientConnection, length: int, *, framed: bool) -> None:
        """:param framed: the client gets chunks when the length is not known."""
        self._forwarding = forwarding
        self._client = client
        self._decoder = ChunkedDecoder(client.service.section.max_header_size) if length == CHUNKED else None
        self._framed = framed
        self._queued = False
        self._window = FIRST_READ
        self.left = length
        self.done = False

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
            framed = chunked.encode(pieces)
            if self._decoder.done:
                self.done = True
                framed += chunked.encode_end(self._decoder.trailers)
            return framed, rest
        if self.left == UNTIL_CLOSE:
            return (chunked.encode([data]) if self._framed else data), b""
        mine = data[: self.left]
        self.left -= len(mine)
        self.done = not self.left
        return mine, data[len(mine) :]

    def pump(self, upstream: Upstream) -> None:
        """Move what the backend has sent to the client, as :meth:`RequestBody.pump`."""
        if self.left > 0:
            self._pump_plain(upstream)
            return
        client, forwarding = self._client, self._forwarding
        for _ in range(BUDGET):
            if client.out is not None or forwarding.upstream is not upstream:
                return
            count = self._receive(upstream, FIRST_READ)
            if count <= 0:
                return
            taken = self.take(bytes(VIEW[:count]))
            if isinstance(taken, Refusal):
                forwarding.response_refused(taken)
                return
            framed, rest = taken
            client.write(framed)
            if self.done:
                forwarding.response_done(rest)
                return
            if count < FIRST_READ and not upstream.ending:
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
            client.write(VIEW[:count])
            if not self.left:
                self.done = True
                forwarding.response_done(b"")
                return
            if count < want and not upstream.ending:
                upstream.readable = False
                return
            if count == window and window < BUFFER_SIZE:
                self._window = window = window * 2
        self._again()

    def _receive(self, upstream: Upstream, want: int) -> int:
        """Read into the shared buffer: the count, or 0 when there is nothing to go on with."""
        try:
            count = upstream.recv_into(BUFFER, want)
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

    def _again(self) -> None:
        if not self._queued:
            self._queued = True
            self._client.poller.later(self._resume)

    def _resume(self) -> None:
        self._queued = False
        upstream = self._forwarding.upstream
        if upstream is not None and self._forwarding.response_body is self:
            self.pump(upstream)

    def crashed(self) -> None:
        """A callback raised."""
        self._forwarding.crashed()
