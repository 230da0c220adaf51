"""
The HTTP side of ``[admin]``: a flat table of pages on twisted.web, strict about methods, sizes and time.

Reading needs no token; every page that changes state must ask :class:`netappliance.admin.token.TokenGuard` first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any, cast

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from netappliance.admin.scrape import SlicedRegistry, scrape
from netappliance.endpoints.bounded_site import BoundedSite

_CONTENT_POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = (
    (b"Server", b"netappliance"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Content-Security-Policy", _CONTENT_POLICY),
)

TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"


class Page(Resource):
    """
    One page: a path, what it is, and a function that answers.

    :param answer: takes the request, may set code and headers on it, returns the body or a Deferred of it (cancelled
        when the client goes); anything it raises is a 500 and a traceback in the log.
    :param summary: one line for the index page; empty keeps the page off it.
    :param methods: what is allowed; HEAD is answered where GET is.
    """

    isLeaf = True

    def __init__(
        self,
        answer: Callable[[Request], bytes | Deferred[bytes]],
        summary: str = "",
        content_type: bytes = TEXT,
        methods: tuple[bytes, ...] = (b"GET",),
    ) -> None:
        super().__init__()
        self.summary = summary
        self.methods = (*methods, b"HEAD") if b"GET" in methods else methods
        self._answer = answer
        self._content_type = content_type

    def render(self, request: IRequest) -> bytes | int:
        """Answer, or refuse the method (405 with Allow, RFC 9110 section 15.5.6)."""
        made = cast("Request", request)
        for name, value in _SECURITY_HEADERS:
            made.setHeader(name, value)
        if made.method not in self.methods:
            made.setHeader(b"Allow", b", ".join(self.methods))
            return refusal(made, 405, "method not allowed")
        made.setHeader(b"Content-Type", self._content_type)
        body = self._answer(made)
        if isinstance(body, Deferred):
            made.notifyFinish().addErrback(lambda _gone: body.cancel())
            body.addCallbacks(partial(_finish, made), partial(_fail, made))
            return NOT_DONE_YET
        if made.method == b"HEAD":
            made.setHeader(b"Content-Length", b"%d" % len(body))
            return b""
        return body


def _finish(request: Request, body: bytes) -> None:
    request.setHeader(b"Content-Length", b"%d" % len(body))
    if request.method != b"HEAD":
        request.write(body)
    request.finish()


def _fail(request: Request, failure: Failure) -> None:
    if not failure.check(CancelledError):
        request.processingFailed(failure)


def refusal(request: Request, code: int, why: str) -> bytes:
    """Set ``code`` and return the plain body that says why."""
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", TEXT)
    return f"{code} {why}\n".encode()


class AdminSite(BoundedSite):
    """
    The pages by exact path.

    :param limits: see :class:`netappliance.endpoints.bounded_site.BoundedSite`.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        label: str = "[admin]",
        max_connections: int = 64,
        request_timeout_s: float = 30.0,
        idle_timeout_s: float = 60.0,
        max_body_bytes: int = 65536,
    ) -> None:
        super().__init__(
            Resource(),
            label=label,
            reactor=reactor,
            max_connections=max_connections,
            request_timeout_s=request_timeout_s,
            idle_timeout_s=idle_timeout_s,
            max_body_bytes=max_body_bytes,
        )
        self._pages: dict[bytes, Page] = {}
        self._prefixes: list[tuple[bytes, Page]] = []
        self._unknown = Page(lambda request: refusal(request, 404, "no such page"))
        self.add_page("/", Page(self._index, content_type=HTML))

    def add_page(self, path: str, page: Page) -> None:
        """
        Serve ``page`` at ``path``; one that ends in ``/*`` gets every path below it that has no page of its own.
        A later page replaces an earlier one, which is how the dashboard takes ``/``.
        """
        key = path.encode("ascii")
        if key.endswith(b"/*"):
            self._prefixes.insert(0, (key[:-1], page))
        else:
            self._pages[key] = page

    def getResourceFor(self, request: Request) -> Page:
        """The page of the request's path, or the one that answers 404."""
        page = self._pages.get(request.path)
        if page is not None:
            return page
        for prefix, below in self._prefixes:
            if request.path.startswith(prefix):
                return below
        return self._unknown

    def _index(self, request: Request) -> bytes:
        rows = "".join(
            f'<li><a href="{path}">{path}</a> {escape(page.summary)}</li>'
            for path, page in sorted((escape(key.decode("ascii")), page) for key, page in self._pages.items())
            if page.summary
        )
        return f"<!DOCTYPE html><html lang=en><title>netappliance</title><h1>netappliance</h1><ul>{rows}</ul>".encode()


def metrics_page(registry: SlicedRegistry, reactor: Any) -> Page:
    """``/metrics`` in the format that Accept asks for: Prometheus text 0.0.4 unless the scraper knows better."""

    def answer(request: Request) -> Deferred[bytes]:
        accept = (request.getHeader(b"Accept") or b"")[:1024].decode("latin-1")
        try:
            encoder, content_type = choose_encoder(accept)
        except (ValueError, TypeError):  # a version that is not a number
            encoder, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        request.setHeader(b"Content-Type", content_type.encode("ascii", "replace"))
        text = scrape(registry.steps(), encoder, time.monotonic, partial(deferLater, reactor, 0))
        return Deferred.fromCoroutine(text)

    return Page(answer, "metrics for Prometheus")


def live_page() -> Page:
    """``/live``: 200 as long as the process can answer at all."""
    return Page(lambda _request: b"live\n", "200 while the process runs")


def ready_page(readiness: Callable[[], str]) -> Page:
    """
    ``/ready``: 200 when new sessions are welcome, else 503 with the reason.

    :param readiness: returns an empty text when ready, else why not: ``starting`` or ``draining``.
    """

    def answer(request: Request) -> bytes:
        why = readiness()
        if why:
            request.setHeader(b"Retry-After", b"1")
            return refusal(request, 503, why)
        return b"ready\n"

    return Page(answer, "200 when new sessions are welcome, 503 while starting or draining")


def config_page(text: str) -> Page:
    """``/config``: the effective configuration as ini text, secrets replaced."""
    encoded = text.encode("utf-8", "backslashreplace")
    return Page(lambda _request: encoded, "the effective configuration")
