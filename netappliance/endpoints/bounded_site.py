"""twisted.web with limits on everything a client can make grow: connections, headers, bodies, and time."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class BoundedRequest(Request):
    """A request whose body may not grow beyond the site's ``max_body_bytes``."""

    _body_bytes = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Refuse a declared body that is too large before it is read."""
        if length is not None and length > self._channel().site.max_body_bytes:
            self._refuse()
            length = 0
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        """Count the body; a chunked one that turns out too large is refused then."""
        self._body_bytes += len(data)
        if self._refused:
            return
        if self._body_bytes > self._channel().site.max_body_bytes:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        """Called with the whole request; one that was refused is answered already."""
        if not self._refused:
            super().process()

    def _channel(self) -> BoundedChannel:
        return cast("BoundedChannel", self.channel)

    def _refuse(self) -> None:
        if not self._refused:
            self._refused = True
            self._channel().refuse(413, "Content Too Large")


class BoundedChannel(HTTPChannel):
    """One connection: each request must be whole and answered within the site's ``request_timeout_s``."""

    site: BoundedSite
    totalHeadersSize = 16384
    maxHeaders = 100
    _deadline: IDelayedCall | None = None

    def dataReceived(self, data: bytes) -> None:
        """Start the request's clock with its first byte; later bytes do not extend it."""
        if self._deadline is None and self.site.request_timeout_s:
            self._deadline = self.callLater(self.site.request_timeout_s, self._too_slow)
        super().dataReceived(data)

    def requestDone(self, request: Request) -> None:
        """The answer is on its way; from here the idle timeout rules."""
        self._stop_clock()
        super().requestDone(request)

    def refuse(self, code: int, why: str) -> None:
        """Answer without looking at the rest of the request, and close."""
        cast("Any", self.transport).write(
            f"HTTP/1.1 {code} {why}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode("ascii")
        )
        self.loseConnection()

    def _too_slow(self) -> None:
        self._deadline = None
        self.forceAbortClient()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget the connection."""
        self._stop_clock()
        self.site.channels.discard(self)
        super().connectionLost(reason)


class BoundedSite(Site):
    """
    A site with limits.

    :param label: names the site in the log.
    :param max_connections: beyond it a new connection is closed at once and counted in ``refused_total``.
    :param request_timeout_s: from a request's first byte to the end of its answer; 0 = no limit.
    :param idle_timeout_s: how long a kept connection may say nothing.
    :param max_body_bytes: of a request.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        resource: Resource,
        *,
        label: str,
        reactor: Any,
        max_connections: int,
        request_timeout_s: float,
        idle_timeout_s: float,
        max_body_bytes: int,
        request_factory: type[BoundedRequest] = BoundedRequest,
    ) -> None:
        super().__init__(resource, requestFactory=request_factory, timeout=idle_timeout_s, reactor=reactor)
        self.protocol = BoundedChannel  # type: ignore[assignment, method-assign]
        self.displayTracebacks = False
        self.label = label
        self.max_connections = max_connections
        self.request_timeout_s = request_timeout_s
        self.max_body_bytes = max_body_bytes
        self.channels: set[BoundedChannel] = set()
        self.refused_total = 0

    def buildProtocol(self, addr: IAddress) -> BoundedChannel | None:  # type: ignore[override]
        """:return: None, which closes the connection, when there are too many."""
        if len(self.channels) >= self.max_connections:
            if not self.refused_total:
                self._log.warn(
                    "{label} refuses connections beyond {limit}", label=self.label, limit=self.max_connections
                )
            self.refused_total += 1
            return None
        channel = cast("BoundedChannel", super().buildProtocol(addr))
        self.channels.add(channel)
        return channel

    def close_connections(self) -> None:
        """End every connection, for the stop: idle ones now, busy ones when their answer is out."""
        for channel in list(self.channels):
            channel.loseConnection()

    def log(self, request: Any) -> None:
        """Requests to these pages are not worth a line each; failures are logged where they happen."""
