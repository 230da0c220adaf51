"""One client connection through the framing code, without sockets: what would be forwarded, and what was refused."""

from __future__ import annotations

from collections.abc import Iterable

from netappliance.http.framing.chunked import ChunkedDecoder
from netappliance.http.framing.request import RequestFraming
from netappliance.http.message import CHUNKED, Refusal, Request

FRAMING = RequestFraming()


class FramedConnection:
    """
    Feeds a client's bytes to the framing code as a client's connection does.

    :ivar complete: the requests whose end was seen, each with its body and trailers. :ivar refusal: ended by this.
    :ivar closing: the last complete request was the last one that counts.
    """

    def __init__(self, framing: RequestFraming = FRAMING) -> None:
        self.complete: list[tuple[Request, bytes, list[bytes]]] = []
        self.refusal: Refusal | None = None
        self.closing = False
        self._framing = framing
        self._pending = b""
        self._request: Request | None = None
        self._decoder: ChunkedDecoder | None = None
        self._body: list[bytes] = []
        self._left = 0

    @property
    def outcome(self) -> tuple[int, tuple[tuple[bytes, bytes, bytes], ...]]:
        """(status of the refusal or 0, what was complete before)."""
        seen = tuple((request.method, request.target, body) for request, body, _ in self.complete)
        return (self.refusal.status if self.refusal else 0), seen

    def feed_all(self, pieces: Iterable[bytes]) -> FramedConnection:
        """Feed every piece."""
        for piece in pieces:
            self.feed(piece)
        return self

    def feed(self, data: bytes) -> None:
        """Take what one read gave."""
        self._pending += data
        while self._pending and self.refusal is None and not self.closing:
            progressed = self._read_head() if self._request is None else self._read_body()
            if not progressed:
                break

    def _read_head(self) -> bool:
        found = self._framing.parse(self._pending)
        if found is None:
            return False
        request, end = found
        if isinstance(request, Refusal):
            self.refusal = request
            return False
        self._pending = self._pending[end:]
        self._request = request
        self._body = []
        self._left = max(request.length, 0)
        self._decoder = ChunkedDecoder() if request.length == CHUNKED else None
        if not request.length:
            self._finish([])
        return True

    def _read_body(self) -> bool:
        if self._decoder is None:
            piece, self._pending = self._pending[: self._left], self._pending[self._left :]
            self._body.append(piece)
            self._left -= len(piece)
            if not self._left:
                self._finish([])
            return True
        result = self._decoder.feed(self._pending)
        if isinstance(result, Refusal):
            self.refusal = result
            return False
        pieces, self._pending = result
        self._body += map(bytes, pieces)
        if self._decoder.done:
            self._finish(self._decoder.trailers)
        return True

    def _finish(self, trailers: list[bytes]) -> None:
        assert self._request is not None
        self.complete.append((self._request, b"".join(self._body), trailers))
        self.closing = not self._request.keep_alive
        self._request = None
