"""What the connections and exchanges of one listener share."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from netappliance.dataplane.plane import DataPlane
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.http.answers import Answers
from netappliance.http.backends.target import Target
from netappliance.http.framing.request import RequestFraming
from netappliance.http.framing.response import ResponseFraming
from netappliance.http.identity import IdentityRules
from netappliance.http.record import RequestLog
from netappliance.http.routing.https_redirect import https_route
from netappliance.http.routing.router import Router
from netappliance.http.section import HttpSection, HttpsSection
from netappliance.http.statistics import Refusals, RequestStatistics
from netappliance.sessions.admission import Admission
from netappliance.sessions.session import Kind
from netappliance.sessions.table import ListenerTotals, SessionTable
from netappliance.tls.server import TlsServer


class Limits:
    """
    The numbers of a section that are looked at for each request or connection; as in its documentation.

    :ivar max_body_size: bytes, 0 = any. :ivar max_requests: of one connection, 0 = any, which no count ever is.
    :ivar proxy_header_timeout_s: None = no PROXY header is expected.
    :ivar shortest_timeout_s: the longest time that a connection's timer may be late for a deadline set meanwhile.
    """

    __slots__ = (
        "abort_on_fin",
        "backend_timeout_s",
        "client_timeout_s",
        "linger_timeout_s",
        "max_body_size",
        "max_requests",
        "max_trailers",
        "min_body_rate",
        "proxy_header_timeout_s",
        "request_timeout_s",
        "shortest_timeout_s",
        "tunnel_timeout_s",
    )

    def __init__(self, section: HttpSection) -> None:
        self.abort_on_fin = section.half_close == "abort"
        self.backend_timeout_s = section.backend_timeout_s
        self.client_timeout_s = section.client_timeout_s
        self.linger_timeout_s = section.linger_timeout_s
        self.max_body_size = section.max_body_size
        self.max_requests = section.max_requests
        self.max_trailers = section.max_header_size
        self.min_body_rate = section.min_body_rate
        self.proxy_header_timeout_s = section.proxy_protocol_timeout_s if section.proxy_protocol == "expect" else None
        self.request_timeout_s = section.request_timeout_s
        self.tunnel_timeout_s = section.tunnel_timeout_s
        self.shortest_timeout_s = min(self.request_timeout_s, self.client_timeout_s, self.backend_timeout_s)


class RequestIds:
    """Ids of 32 hexadecimal digits, unlike any other of this process and, in all likelihood, of others."""

    __slots__ = ("_block", "_next", "_prefix")

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8).encode()
        self._next = 0
        self._block = b""

    def next(self) -> bytes:
        """Return one that was not given before."""
        number = self._next
        self._next = number + 1
        if not number & 0xFFF:
            self._block = self._prefix + b"%013x" % (number >> 12)
        return self._block + _LAST_DIGITS[number & 0xFFF]

    def of_session(self, number: int) -> bytes:
        """Return the id of a client's connection, for backends and logs."""
        return b"%b-%x" % (self._prefix, number)


_LAST_DIGITS: Final = [b"%03x" % number for number in range(0x1000)]


class Frontend:
    """
    The parts of one ``[http NAME]`` section that its traffic needs.

    :ivar kind: of its sessions. :ivar tls: how TLS is ended, None = there is none.
    :ivar totals: what ended sessions of it leave behind.
    :ivar framing, response_framing: judge heads. :ivar targets: cluster name -> what requests to it need.
    :ivar local: statistics of requests without a cluster. :ivar log: where requests are logged, None = nowhere.
    :ivar https_route: what answers requests that came without TLS; None = they are served. :ivar guarded: requests are
        looked at for that, or for whether the certificate is for their host.
    :ivar draining: the process ends: no connection has a further request.
    """

    def __init__(
        self,
        section: HttpSection,
        plane: DataPlane,
        router: Router,
        targets: Mapping[str, Target],
        answers: Answers,
        log: RequestLog | None,
        tls: TlsServer | None = None,
    ) -> None:
        kind: Kind = "http" if tls is None else "https"
        self.name = section.name
        self.kind: Kind = kind
        self.tls = tls
        self.limits = Limits(section)
        if tls is not None:
            self.limits.shortest_timeout_s = min(self.limits.shortest_timeout_s, tls.keys.handshake_timeout_s)
        self.poller: Poller = plane.poller
        self.timers: TimerWheel = plane.timers
        self.table: SessionTable = plane.sessions
        self.admission: Admission = plane.admission
        self.totals: ListenerTotals = plane.sessions.totals(kind, section.name)
        self.router = router
        self.targets = dict(targets)
        self.answers = answers
        self.log = log
        self.https_route = https_route(section)
        self.guarded = self.https_route is not None or (isinstance(section, HttpsSection) and section.strict_sni)
        self.local = RequestStatistics()
        self.refusals = Refusals()
        self.ids = RequestIds()
        self.draining = False
        self.framing = RequestFraming(
            section.max_header_size,
            section.max_target_size,
            section.max_header_fields,
            frozenset(protocol.encode() for protocol in section.upgrades),
            (section.session_header.lower().encode(),) if section.session_header else (),
        )
        self.response_framing = ResponseFraming(section.max_response_header_size)
        self.identity_rules = IdentityRules(
            section.identity_headers,
            section.session_header.encode(),
            section.trusted_proxies,
            secure=tls is not None,
        )
