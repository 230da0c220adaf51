"""
What an exchange and its two streams say to each other.

A client's connection yields a :class:`ClientStream` for each request, a pool lends a :class:`BackendStream` for each
attempt; both tell the :class:`StreamUser` what happens. With HTTP/1.1 a connection is its own only stream, one request
after another, so that a stream costs nothing.
"""

from __future__ import annotations

from socket import SocketType

from mypy_extensions import trait

from netappliance.clusters.backend import Backend
from netappliance.dataplane.transport import Transport
from netappliance.http.framing.chunked import Pieces
from netappliance.http.framing.response import ResponseFraming
from netappliance.http.identity import ClientIdentity
from netappliance.http.message import Refusal, Request, Response
from netappliance.http.streams.session import HttpSession
from netappliance.sessions.reasons import Cause, CloseReason


class Detached:
    """
    A connection that leaves HTTP, for a tunnel.

    :ivar unsent: bytes that its peer has still to get. :ivar unread: bytes of its peer that nobody has read.
    :ivar ending: FIN, error or hang-up was seen.
    """

    __slots__ = ("ending", "transport", "unread", "unsent")

    def __init__(self, transport: Transport, unsent: bytes, unread: bytes, *, ending: bool) -> None:
        self.transport = transport
        self.unsent = unsent
        self.unread = unread
        self.ending = ending


class StreamUser:
    """An exchange, as its streams see it. Where bool is returned, it says whether more of the body may come now."""

    __slots__ = ()

    # -- of the client's stream ---------------------------------------------------------------------------------------

    def client_body(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """A part of the request's body, ``size`` bytes; ``trailers`` when it was the last one, else None."""
        raise TypeError

    def client_refused(self, refusal: Refusal) -> None:
        """The body is not what its framing says."""
        raise TypeError

    def client_room(self) -> None:
        """The client took all that waited."""
        raise TypeError

    def client_gone(self, cause: Cause) -> None:
        """The client ended or broke the connection while the exchange was under way."""
        raise TypeError

    def delivered(self, *, goes_on: bool) -> CloseReason:
        """The client has the whole response: book the exchange and return how it ended."""
        raise TypeError

    def abandoned(self, reason: CloseReason) -> None:
        """The client's stream ends here and now, whatever there still was to do."""
        raise TypeError

    def check(self, now: float) -> float:
        """A deadline may have come; return the next one, monotonic seconds."""
        raise TypeError

    def sockets(self) -> tuple[SocketType, ...]:
        """Return those of the backends that serve the exchange now."""
        raise TypeError

    # -- of the backend's stream --------------------------------------------------------------------------------------

    def backend_connected(self) -> None:
        """The connection is there: the request can be sent."""
        raise TypeError

    def backend_sent(self, count: int) -> None:
        """Bytes are going to be sent, to be booked."""
        raise TypeError

    def backend_received(self, count: int) -> None:
        """Bytes came, to be booked."""
        raise TypeError

    def backend_interim(self, response: Response, rest: bytes) -> bool:
        """A response of 1xx; ``rest`` is what follows a 101 in the same read. False when that ended the stream."""
        raise TypeError

    def backend_responded(self, response: Response, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """The head of the final response and what came of its body with it; as :meth:`client_body`."""
        raise TypeError

    def backend_body(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> bool:
        """A further part of the response's body; as :meth:`client_body`."""
        raise TypeError

    def backend_refused(self, refusal: Refusal) -> None:
        """What the backend sends is no response."""
        raise TypeError

    def backend_failed(self, cause: Cause, error: OSError) -> None:
        """A system call failed, or the connection ended before the response did."""
        raise TypeError

    def backend_took(self) -> None:
        """A part of what waited was sent."""
        raise TypeError

    def backend_room(self) -> None:
        """All that waited was sent."""
        raise TypeError

    def backend_freed(self) -> None:
        """A place on some backend may be free for who waits in the queue."""
        raise TypeError

    def crashed(self) -> None:
        """A callback raised."""
        raise TypeError


@trait
class ClientStream:
    """The client's side of one exchange."""

    def attach(self, user: StreamUser) -> None:
        """Tell this one what happens from now on."""
        raise TypeError

    def take_body(self) -> tuple[bytes, list[bytes] | None] | Refusal:
        """Take what has come of the request's body: (content, trailers if it is complete or None)."""
        raise TypeError

    def resume(self) -> None:
        """Go on with the request's body: it is told by ``client_body`` as long as there is room on the other side."""
        raise TypeError

    def pause(self) -> None:
        """Read no more of the request's body for now."""
        raise TypeError

    def interim(self, response: Response) -> None:
        """Pass a 1xx on, where the client can take it."""
        raise TypeError

    def respond(
        self, response: Response, pieces: Pieces, size: int, trailers: list[bytes] | None, *, close: bool
    ) -> None:
        """
        Send the head of the final response and the beginning of its body.

        :param trailers: None while more of the body is to come. :param close: the connection ends after it.
        """
        raise TypeError

    def send_more(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> None:
        """Send a further part of the response's body; as :meth:`respond`."""
        raise TypeError

    def blocked(self) -> bool:
        """Return True while bytes wait for the client to take them."""
        raise TypeError

    def cut(self, reason: CloseReason) -> None:
        """End the stream now; a response that has begun is seen to be incomplete."""
        raise TypeError

    def expect(self, seconds: float) -> None:
        """Have :meth:`StreamUser.check` called after so long at most."""
        raise TypeError

    def response_bytes(self) -> int:
        """Return how much was sent of the response, interim ones included."""
        raise TypeError

    def switch(self, response: Response) -> Detached:
        """Answer with a 101 and give the connection away; the exchange goes on without this stream."""
        raise TypeError


@trait
class BackendStream:
    """The backend's side of one attempt; lent by a pool until it is released."""

    def whose(self) -> Backend:
        """Return the backend."""
        raise TypeError

    def socket(self) -> SocketType:
        """Return the socket of its connection."""
        raise TypeError

    def connect_started(self) -> float:
        """Return when connecting began, monotonic seconds."""
        raise TypeError

    def is_connecting(self) -> bool:
        """Return True until the connection is there."""
        raise TypeError

    def begin(self, user: StreamUser, method: bytes, framing: ResponseFraming) -> None:
        """Serve this user from now on; responses are judged by ``framing``."""
        raise TypeError

    def request(
        self, request: Request, identity: ClientIdentity, request_id: bytes, body: bytes, trailers: list[bytes] | None
    ) -> None:
        """Send the head and the beginning of the body; ``trailers`` are None while more of it is to come."""
        raise TypeError

    def recall(self) -> int:
        """Take the request back while none of it was sent; return its bytes, 0 when it is too late."""
        raise TypeError

    def send_more(self, pieces: Pieces, size: int, trailers: list[bytes] | None) -> None:
        """Send a further part of the body; as :meth:`request`."""
        raise TypeError

    def blocked(self) -> bool:
        """Return True while bytes wait for the backend to take them."""
        raise TypeError

    def resume(self) -> None:
        """Read on."""
        raise TypeError

    def last_words(self) -> None:
        """Nothing can be sent any more: look whether a response is there all the same."""
        raise TypeError

    def begun(self) -> bool:
        """Return True when a part of a response's head has come."""
        raise TypeError

    def release(self, *, clean: bool) -> None:
        """Give the connection back; unless all that it carried is over and ``clean`` it is closed."""
        raise TypeError

    def abort(self) -> None:
        """Close a connection attempt that failed; its place is given back by whoever books the failure."""
        raise TypeError

    def detach(self) -> Detached:
        """Give the connection away; its place on the backend stays taken."""
        raise TypeError


@trait
class Exchanges:
    """Begins an exchange for each request; the streams only know that there is somebody."""

    def begin(self, stream: ClientStream, session: HttpSession, request: Request) -> None:
        """Take up a request; what has come of its body is the stream's to give."""
        raise TypeError

    def refuse(self, stream: ClientStream, session: HttpSession, refusal: Refusal) -> None:
        """Answer what was no request."""
        raise TypeError
