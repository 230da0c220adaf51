"""The demo's HTTP backend: says who it is, shows what it was sent, and makes bytes on demand."""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from netappliance.endpoints.bounded_site import BoundedSite

MAX_BYTES = 1 << 30
"""Largest ``N`` of ``/bytes/N``."""

MAX_ECHO_BYTES = 1 << 20
"""Largest body that ``/echo`` takes."""

_BLOCK = bytes(range(256)) * 256


@implementer(IPushProducer)
class PatternProducer:
    """Sends ``length`` bytes of a repeating 00 01 … ff pattern; a full send buffer pauses it."""

    def __init__(self, request: Request, length: int) -> None:
        self._request = request
        self._left = length
        self._paused = False

    def resumeProducing(self) -> None:
        """Send until paused or done."""
        self._paused = False
        while self._left and not self._paused:
            block = _BLOCK[: self._left]
            self._left -= len(block)
            self._request.write(block)
            if not self._left:
                self._request.unregisterProducer()
                self._request.finish()

    def pauseProducing(self) -> None:
        """The client does not read fast enough."""
        self._paused = True

    def stopProducing(self) -> None:
        """The client went away."""
        self._left = 0


class DemoResource(Resource):
    """
    Answers ``/``, ``/healthz``, ``/headers``, ``/echo`` (POST) and ``/bytes/N``; any other path is 404.

    :param identity: shown on the page and sent as ``X-Demo-Backend``.
    """

    isLeaf = True

    def __init__(self, identity: str) -> None:
        super().__init__()
        self._identity = identity

    def render(self, request: IRequest) -> Any:
        """Answer one request."""
        made = cast("Request", request)
        made.setHeader(b"Server", b"netappliance-demo")
        made.setHeader(b"X-Demo-Backend", self._identity.encode("ascii", "replace"))
        made.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        if made.method == b"POST" and made.path == b"/echo":
            return self._echo(made)
        if made.method not in (b"GET", b"HEAD"):
            made.setHeader(b"Allow", b"GET, HEAD")
            return self._say(made, 405, "method not allowed\n")
        if made.path == b"/":
            return self._say(made, 200, f"netappliance demo backend {self._identity}\n")
        if made.path == b"/healthz":
            return self._say(made, 200, "ok\n")
        if made.path == b"/headers":
            made.setHeader(b"Content-Type", b"application/json")
            return self._say(made, 200, json.dumps(_headers(made), indent=1) + "\n")
        if made.path.startswith(b"/bytes/"):
            return self._bytes(made, made.path[len(b"/bytes/") :])
        return self._say(made, 404, "no such page\n")

    def _say(self, request: Request, code: int, text: str) -> bytes:
        request.setResponseCode(code)
        body = text.encode("utf-8")
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return b"" if request.method == b"HEAD" else body

    def _echo(self, request: Request) -> bytes:
        assert request.content is not None
        request.setHeader(b"Content-Type", b"application/octet-stream")
        body: bytes = request.content.read(MAX_ECHO_BYTES)
        return body

    def _bytes(self, request: Request, count: bytes) -> Any:
        length = int(count) if count.isdigit() and len(count) <= 10 else -1
        if not 0 <= length <= MAX_BYTES:
            return self._say(request, 400, f"expected /bytes/N with N from 0 to {MAX_BYTES}\n")
        request.setHeader(b"Content-Type", b"application/octet-stream")
        request.setHeader(b"Content-Length", b"%d" % length)
        if request.method == b"HEAD" or not length:
            return b""
        producer = PatternProducer(request, length)
        cast("IConsumer", request).registerProducer(producer, True)
        producer.resumeProducing()
        return NOT_DONE_YET


def _headers(request: Request) -> list[list[str]]:
    rows = [["method", request.method.decode("latin-1")], ["uri", request.uri.decode("latin-1")]]
    for name, values in request.requestHeaders.getAllRawHeaders():
        rows.extend([name.decode("latin-1"), value.decode("latin-1")] for value in values)
    return rows


def demo_site(identity: str, *, max_connections: int, idle_timeout_s: float, reactor: Any) -> BoundedSite:
    """Return the site of one demo listener. :param identity: what it says it is, such as ``127.0.0.1:9801``."""
    return BoundedSite(
        DemoResource(identity),
        label="[demo]",
        reactor=reactor,
        max_connections=max_connections,
        request_timeout_s=0,  # /bytes/N may take a slow client long; silence is bounded
        idle_timeout_s=idle_timeout_s,
        max_body_bytes=MAX_ECHO_BYTES,
    )
