"""How an HTTP/1.1 client gets a response: its framing, and whether the connection goes on (RFC 9112)."""

from __future__ import annotations

from netappliance.dataplane.connection import MOST_AT_ROUND_END
from netappliance.dataplane.transport import Transport
from netappliance.http.framing import chunked, heads
from netappliance.http.framing.chunked import Pieces
from netappliance.http.frontend import Frontend
from netappliance.http.message import Response
from netappliance.http.streams.h1 import H1Connection


class H1Responder(H1Connection):
    """
    The side of a client's connection that responses go out on.

    :ivar state: see :class:`netappliance.http.streams.h1_client.H1ClientConnection`. :ivar requests: so far.
    :ivar processing: requests are being taken up, so what is said now is our own answer.
    :ivar minor: of the present request's version. :ivar goes_on: a further request may follow this one; of the
        request first, then as its response says. :ivar began: a part of the response was given.
    :ivar responded: all of it was.
    """

    def __init__(self, frontend: Frontend, transport: Transport) -> None:
        super().__init__(transport, frontend.poller)
        self.frontend = frontend
        self.state = "new"
        self.requests = 0
        self.processing = False
        self.minor = 1
        self.goes_on = False
        self.began = False
        self.responded = False

    def interim(self, response: Response) -> None:
        """Pass a 1xx on to a client that knows what it is."""
        if self.minor:
            self.write(heads.interim_head(response))

    def respond(
        self, response: Response, pieces: Pieces, size: int, trailers: list[bytes] | None, *, close: bool
    ) -> None:
        """Send the head of the final response and the beginning of its body."""
        length, minor = response.length, self.minor
        if self.state != "exchange":
            return
        # a body of unknown length ends with the connection of a client that knows no chunks, and the rest of a
        # request's body is never read as a request, so it has to be there
        goes_on = self.goes_on and not close and not self.body_left and (length >= 0 or minor == 1)
        if goes_on and (self.frontend.draining or self.requests == self.frontend.limits.max_requests):
            goes_on = False
        self.goes_on = goes_on
        self.chunks_out = length < 0 and minor == 1
        self.began = True
        self.responded = trailers is not None
        if self.chunks_out:
            pieces, size = chunked.encode(pieces, size, trailers)
        if trailers is not None and size <= MOST_AT_ROUND_END and not self.processing:
            body = b"" if not size else bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
            self.outgoing = heads.response_head(response, minor, keep_alive=goes_on, body=body)
            self.poller.at_round_end(self)
            return
        head = heads.response_head(response, minor, keep_alive=goes_on)
        self.write_all([head, *pieces], size + len(head))
        self.delivered_yet()

    def send_more(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> None:
        """Send a further part of the response's body."""
        if self.chunks_out:
            pieces, size = chunked.encode(pieces, size, trailers)
        self.responded = trailers is not None
        if size:
            self.write_all(pieces, size)
        if trailers is not None:
            self.delivered_yet()

    def round_ended(self) -> None:
        """Send a whole response, unless the exchange ended meanwhile."""
        data = self.outgoing
        if data:
            self.outgoing = b""
            self.write(data)
            self.delivered_yet()

    def delivered_yet(self) -> None:
        """The response was given: once the client's kernel has it too, the exchange is over."""
        raise TypeError
