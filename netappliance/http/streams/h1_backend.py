"""A connection to a backend that carries requests, one after another, of whichever client."""

from __future__ import annotations

import errno
import os
from socket import SocketType

from mypy_extensions import trait

from netappliance.clusters.backend import Backend
from netappliance.dataplane.connection import MOST_AT_ROUND_END
from netappliance.dataplane.poller import ENDING, ERROR, HANGUP, READ_SIDE, READY, WRITABLE, Poller
from netappliance.dataplane.transport import Transport
from netappliance.http.framing import chunked, heads
from netappliance.http.framing.chunked import Pieces
from netappliance.http.framing.response import ResponseFraming
from netappliance.http.identity import ClientIdentity
from netappliance.http.message import CHUNKED, UNTIL_CLOSE, Refusal, Request, Response
from netappliance.http.streams.h1 import H1Connection
from netappliance.http.streams.stream import BackendStream, Detached, StreamUser
from netappliance.sessions.reasons import Cause, cause_of


@trait
class Lender:
    """The pool that a connection belongs to."""

    def take_back(self, connection: H1BackendConnection, *, clean: bool) -> None:
        """It has served; ``clean``: it can serve again."""
        raise TypeError

    def spoke(self, connection: H1BackendConnection) -> None:
        """It ended or spoke unasked while idle."""
        raise TypeError


class H1BackendConnection(H1Connection, BackendStream):
    """
    One connection to a backend.

    :ivar user: the exchange it serves, None while idle in the pool. :ivar connecting: no edge has come yet.
    :ivar round: the poller's, of the last edge; 0 = there may be bytes that were not looked at.
    :ivar idle_since, started: monotonic seconds; ``started`` of connecting.
    :ivar served: a request, or an attempt at one. :ivar awaits_head: of the final response.
    :ivar reusable: the backend goes on after this response, as far as it has said.
    :ivar excess: bytes came that nobody asked for. :ivar broken: nothing can be sent any more.
    """

    def __init__(self, transport: Transport, backend: Backend, lender: Lender, poller: Poller) -> None:
        super().__init__(transport, poller)
        self.backend = backend
        self.lender = lender
        self.user: StreamUser | None = None
        self.connecting = True
        self.started = poller.now
        self.idle_since = 0.0
        self.round = 0
        self.served = False
        self.method = b""
        self.framing: ResponseFraming | None = None
        self.awaits_head = False
        self.reusable = False
        self.excess = False
        self.broken = False

    # -- edges --------------------------------------------------------------------------------------------------------

    def on_ready(self, mask: int) -> None:
        """Edges of the socket."""
        self.round = self.poller.round
        user = self.user
        if user is None:
            # unasked bytes or the end: nothing that a next request may meet
            if mask & READ_SIDE:
                self.lender.spoke(self)
            return
        usual = mask == READY and not self.connecting and self.out is None
        if usual or self._other_edges(user, mask):
            self.readable = True
            self.received(mask)

    def _other_edges(self, user: StreamUser, mask: int) -> bool:
        """See to what is not just something to read; True when there is that too."""
        if mask & ENDING:
            self.ending = True
            if mask & ERROR or (self.connecting and mask & HANGUP):
                self.lost(self.transport.error())
                return False
        if mask & WRITABLE:
            if self.connecting:
                self.connecting = False
                user.backend_connected()
            elif self.out is not None:
                self.flush()
        return bool(mask & READ_SIDE) and self.user is user

    def received(self, mask: int) -> None:
        """Read what comes next: the response's head, or its body."""
        if self.outgoing:
            # it spoke or ended before it was asked: that is no answer to this request
            self._failed(Cause.FIN)
        elif self.awaits_head:
            self._read_head()
        elif self.body_left:
            self.pump()

    def _failed(self, cause: Cause) -> None:
        if self.user is not None:
            self.user.backend_failed(cause, OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def lost(self, error: OSError) -> None:
        """Connecting, reading or writing failed."""
        if self.user is not None:
            self.user.backend_failed(cause_of(error), error)

    def took(self) -> None:
        """A part of what waited was sent."""
        if self.user is not None:
            self.user.backend_took()

    def drained(self) -> None:
        """All that waited was sent."""
        if self.user is not None:
            self.user.backend_room()

    def crashed(self) -> None:
        """A callback raised."""
        if self.user is not None:
            self.user.crashed()
        else:
            self.lender.spoke(self)

    # -- the request --------------------------------------------------------------------------------------------------

    def begin(self, user: StreamUser, method: bytes, framing: ResponseFraming) -> None:
        """Serve this user from now on."""
        self.user = user
        self.method = method
        self.framing = framing
        self.awaits_head = True
        self.reusable = self.excess = False

    def request(
        self, request: Request, identity: ClientIdentity, request_id: bytes, body: bytes, trailers: list[bytes] | None
    ) -> None:
        """Send the head and the beginning of the body."""
        self.chunks_out = request.length == CHUNKED
        size = len(body)
        if trailers is not None and self.served and size <= MOST_AT_ROUND_END and not self.chunks_out:
            data = heads.request_head(request, identity, request_id, body)
            if self.user is not None:
                self.user.backend_sent(len(data))
            self.outgoing = data
            self.poller.at_round_end(self)
            return
        head = heads.request_head(request, identity, request_id)
        pieces: Pieces = [body] if size else []
        if self.chunks_out:
            pieces, size = chunked.encode(pieces, size, trailers)
        size += len(head)
        if self.user is not None:
            self.user.backend_sent(size)
        self.write_all([head, *pieces], size)

    def recall(self) -> int:
        """Take the request back while none of it was sent."""
        size = len(self.outgoing)
        self.outgoing = b""
        return size

    def send_more(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> None:
        """Send a further part of the body."""
        if self.chunks_out:
            pieces, size = chunked.encode(pieces, size, trailers)
        if size:
            if self.user is not None:
                self.user.backend_sent(size)
            self.write_all(pieces, size)

    def last_words(self) -> None:
        """Nothing can be sent any more: look whether a response is there all the same."""
        self.broken = self.readable = self.ending = True
        self.out = None
        self.received(READ_SIDE)

    # -- the response -------------------------------------------------------------------------------------------------

    def begun(self) -> bool:
        """Say whether a part of a response's head has come."""
        return self.awaits_head and bool(self.hold)

    def _read_head(self) -> None:
        """Read until the final head is there, or there is no more."""
        user, framing = self.user, self.framing
        size = self.poller.buffer.size
        while user is not None and framing is not None and self.awaits_head and self.user is user:
            try:
                data = self.recv(size)
            except BlockingIOError:
                self.readable = False
                return
            except OSError as error:
                self.lost(error)
                return
            count = len(data)
            if not count:
                self.readable = False
                self._failed(Cause.FIN)
                return
            self.readable = more = count == size or self.ending
            user.backend_received(count)
            if self.hold:
                data = self.hold + data
                self.hold = b""
            at = 0
            while True:
                parsed = framing.parse(data, self.method, at)
                if parsed is None:
                    self.hold = data[at:]
                    break
                response, at = parsed
                if isinstance(response, Refusal):
                    user.backend_refused(response)
                    return
                if response.status >= 200:
                    self._responded(user, response, data, at)
                    return
                if not user.backend_interim(response, data[at:] if response.status == 101 else b""):
                    return
            if not more:
                return

    def _responded(self, user: StreamUser, response: Response, data: bytes, at: int) -> None:
        """The final head is there, and what of the body came with it."""
        self.awaits_head = False
        self.reusable = response.keep_alive
        length = response.length
        end = at + length
        if at <= end <= len(data):
            self.excess = end < len(data)
            user.backend_responded(response, [data[at:end]] if length else [], length, [])
            return
        self.flowing = False
        self.expect_body(length, self.framing.max_head if self.framing is not None else 0)
        taken = self.take_first(data, at)
        if isinstance(taken, Refusal):
            self.stop_reading()
            user.backend_refused(taken)
            return
        pieces, size, trailers = taken
        self._look_behind(trailers)
        if user.backend_responded(response, pieces, size, trailers) and self.user is user:
            self.resume()

    def _look_behind(self, trailers: list[bytes] | None) -> None:
        if trailers is not None and self.hold:
            self.excess = True
            self.hold = b""

    def deliver(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """Hand a part of the body to the exchange."""
        user = self.user
        if trailers is not None:
            self._look_behind(trailers)
        return user is not None and user.backend_body(pieces, size, trailers)

    def counted(self, count: int) -> None:
        """Have it booked."""
        if self.user is not None:
            self.user.backend_received(count)

    def body_cut(self) -> None:
        """The end of a body that nothing else ends, or of the connection before its response was complete."""
        user = self.user
        if self.body_left == UNTIL_CLOSE and not self.broken and user is not None:
            self.stop_reading()
            user.backend_body([], 0, [])
        else:
            self._failed(Cause.FIN)

    def body_refused(self, refusal: Refusal) -> None:
        """The chunks are none."""
        if self.user is not None:
            self.user.backend_refused(refusal)

    # -- the end ------------------------------------------------------------------------------------------------------

    def release(self, *, clean: bool) -> None:
        """Give the connection back; unless all that it carried is over and ``clean`` it is closed."""
        over = not self.awaits_head and not self.body_left and self.out is None and not self.outgoing
        if over:
            self.user = None
            self.served = True
            clean = clean and self.reusable and not self.excess and not self.ending
        else:
            clean = False
            self._leave()
        self.lender.take_back(self, clean=clean)

    def abort(self) -> None:
        """Close a connection attempt that failed."""
        self._leave()
        self.close()

    def close(self) -> None:
        """Close the socket; for the connection's owner, who has taken it off its books."""
        self.poller.close(self.transport.sock)

    def detach(self) -> Detached:
        """Give the connection away."""
        unsent = b"" if self.out is None else bytes(self.out)
        self._leave()
        return Detached(self.transport, unsent, b"", ending=self.ending)

    def _leave(self) -> None:
        self.user = None
        self.out = None
        self.outgoing = self.hold = b""
        self.awaits_head = False
        self.served = True
        self.stop_reading()

    # -- what others ask ----------------------------------------------------------------------------------------------

    def whose(self) -> Backend:
        """Return the backend."""
        return self.backend

    def socket(self) -> SocketType:
        """Return its socket."""
        return self.transport.sock

    def connect_started(self) -> float:
        """Return when connecting began."""
        return self.started

    def is_connecting(self) -> bool:
        """Return True until the connection is there."""
        return self.connecting

    def silent(self, *, surely: bool) -> bool:
        """
        Say whether nothing waits to be read, as must be before a request is sent: it would be taken for its response.

        In a round of the poller it is known whose edges are still to be handed out; else the kernel is asked.

        :param surely: ask the kernel in any case, for a request that must not be sent twice.
        """
        if not surely and self.round:
            poller = self.poller
            if self.round == poller.round:
                return True
            waiting = poller.waiting()
            if waiting is not None:
                return self.transport.fd not in waiting
        return self.transport.silent()
