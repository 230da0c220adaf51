"""Judged heads of messages, and what filters see of an exchange. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from mypy_extensions import mypyc_attr

from netappliance.tls.facts import TlsFacts

#: ``length`` of a body in chunks, and of a response body that ends with the connection
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2


@mypyc_attr(acyclic=True)
class Request:
    """
    The head of one request, after framing judged it (RFC 9112).

    :ivar method: a token, as sent. :ivar target: origin form (``/path?query``) or ``*`` (OPTIONS). An absolute-form
        target was split into ``target`` and ``authority``.
    :ivar minor: of the client's HTTP version, 0 or 1.
    :ivar authority: the Host value as sent (empty only in HTTP/1.0); what the backend gets as Host.
    :ivar forwarded_host: the ``authority`` before a filter rewrote it, for X-Forwarded-Host; empty = not rewritten.
    :ivar host: the same for routing: lower case, no port, no trailing dot, IPv6 in brackets.
    :ivar port: of Host, 0 = none given.
    :ivar lines: end-to-end field lines, without Host, framing, hop-by-hop and identity fields; see
        :mod:`netappliance.http.fields`.
    :ivar identity: (lower-case name, value) of the fields that only trusted proxies may set (X-Forwarded-For and such),
        or None.
    :ivar length: bytes of body, or CHUNKED; 0 = no body.
    :ivar declared: the client sent Content-Length (so ``length`` 0 is passed on as such).
    :ivar keep_alive: the client wants to go on after this exchange.
    :ivar expect_continue: it waits for 100 before it sends the body.
    :ivar upgrade: value of Upgrade when Connection names it, else empty.
    :ivar takes_trailers: it reads those of the response (TE, RFC 9110 section 10.1.4).
    :ivar binds: it holds credentials that bind a backend's connection to this user (NTLM, Negotiate).
    """

    authority: bytes = b""
    forwarded_host: bytes = b""
    host: bytes = b""
    port: int = 0
    length: int = 0
    declared: bool = False
    expect_continue: bool = False
    upgrade: bytes = b""
    takes_trailers: bool = False
    binds: bool = False
    identity: list[tuple[bytes, bytes]] | None = None

    def __init__(self, method: bytes, target: bytes, minor: int, lines: list[bytes]) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.lines = lines
        self.keep_alive = minor == 1

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]


@mypyc_attr(acyclic=True, free_list_len=1)
class Response:
    """
    The head of one response of a backend, after framing judged it.

    :ivar status: 100 to 999; those from 600 on are of no class (RFC 9110 section 15), but real.
    :ivar reason: the phrase, may be empty.
    :ivar lines: end-to-end field lines, without framing and hop-by-hop fields.
    :ivar length: bytes of body, CHUNKED or UNTIL_CLOSE; 0 also for those that have none by rule (HEAD, 1xx, 204, 304).
    :ivar declared: the Content-Length that was sent, or -1; passed on even where there is no body (HEAD, 304).
    :ivar keep_alive: the backend's connection can carry another request. :ivar upgrade: as in :class:`Request`.
    """

    length: int = 0
    declared: int = -1
    upgrade: bytes = b""

    def __init__(self, status: int, reason: bytes, minor: int, lines: list[bytes]) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.lines = lines
        self.keep_alive = minor == 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A message that is not forwarded.

    :ivar status: what the client is answered (400, 413, 414, 431, 501; 502 for responses). :ivar why: a fixed short
        text of a closed set, safe as a metric label.
    """

    status: int
    why: str


@dataclass(slots=True)
class Answer:
    """
    A response of our own instead of a backend's.

    :ivar status: HTTP status. :ivar why: one sentence for people, shown in the body (and escaped there).
    :ivar lines: further field lines (``b"Location: ..."``), made with :func:`netappliance.http.fields.line`.
    :ivar close: end the client's connection after it. :ivar filter: name of the [filter] that gave it, for the log.
    :ivar body: sent as it is instead of a page about the status; its Content-Type is one of ``lines``.
    """

    status: int
    why: str = ""
    lines: list[bytes] = field(default_factory=list)
    close: bool = False
    filter: str = ""
    body: bytes | None = None


class Exchange:
    """
    One request and its response, as filters see it.

    :ivar request: filters may change ``target``, ``authority`` and ``lines`` of it. :ivar client: the client's address
        as text (from the PROXY header or a trusted X-Forwarded-For where there is one); empty for a unix socket.
    :ivar listener: section name. :ivar port: where we listen (0 for a unix socket).
    :ivar secure: the client speaks TLS.
    :ivar route: the route's section name. :ivar cluster: its cluster or empty.
    :ivar now: monotonic seconds. :ivar request_id: X-Request-Id, ASCII.
    :ivar tls: what the handshake with the client came to, its verified certificate for one; None without TLS.
    :ivar notes: what filters want in the access log: field -> value. :ivar state: filter -> whatever it keeps for
        this exchange.
    :ivar reached: how many of the route's filters the request got to; kept by the chain.
    """

    def __init__(
        self,
        request: Request,
        client: str,
        listener: str,
        port: int,
        secure: bool,
        route: str,
        cluster: str,
        captures: tuple[bytes, ...] | Callable[[bytes, bytes], tuple[bytes, ...]],
        now: float,
        request_id: bytes,
        tls: TlsFacts | None = None,
    ) -> None:
        """
        Take what is known.

        :param captures: they, or what finds them in the request's host and path as they are now.
        """
        self.request = request
        self.client = client
        self.listener = listener
        self.port = port
        self.secure = secure
        self.route = route
        self.cluster = cluster
        self.now = now
        self.request_id = request_id
        self.tls = tls
        self.notes: dict[str, Any] = {}
        self.state: dict[Any, Any] = {}
        self.reached = 0
        self._captures: tuple[bytes, ...] | None = None
        self._find: Callable[[bytes, bytes], tuple[bytes, ...]] | None = None
        if isinstance(captures, tuple):
            self._captures = captures
        else:
            self._find = captures
        # what the route was found by, whatever filters make of it
        self._host, self._target = request.host, request.target

    @property
    def captures(self) -> tuple[bytes, ...]:
        """Groups of the route's host, then of its path, in order, found when first asked for; ``$1`` is the first."""
        found, find = self._captures, self._find
        if found is None:
            found = find(self._host, self._target.partition(b"?")[0]) if find is not None else ()
            self._captures = found
        return found
