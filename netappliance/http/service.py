"""The reverse proxy of one ``[http NAME]`` section."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from socket import SocketType
from typing import TYPE_CHECKING

from netappliance.config.answer_files import load_templates
from netappliance.dataplane.listener import ListenOptions
from netappliance.dataplane.listener_service import StreamService
from netappliance.dataplane.plane import DataPlane
from netappliance.http.access_log import request_line
from netappliance.http.answers import Answers
from netappliance.http.backends.balance_key import BalanceKey
from netappliance.http.backends.pool import BackendPool
from netappliance.http.backends.sticky import Sticky
from netappliance.http.forwarding.client import ClientConnection
from netappliance.http.forwarding.identity import IdentityRules
from netappliance.http.framing.request import RequestFraming
from netappliance.http.framing.response import ResponseFraming
from netappliance.http.routing.route import Route
from netappliance.http.routing.router import Router
from netappliance.http.statistics import Refusals, RequestStatistics
from netappliance.sessions.session import Address

if TYPE_CHECKING:
    from netappliance.clusters.cluster import Cluster
    from netappliance.http.forwarding.forwarding import Forwarding
    from netappliance.http.section import HttpSection
    from netappliance.logs.access_log import AccessLog


class Target:
    """A cluster as one listener sees it, with what a request needs of its section."""

    __slots__ = (
        "balance_key",
        "cluster",
        "connect_timeout_s",
        "particular",
        "pool",
        "queue_timeout_s",
        "retries",
        "statistics",
        "sticky",
    )

    def __init__(self, cluster: Cluster, pool: BackendPool) -> None:
        section = cluster.section
        self.cluster = cluster
        self.pool = pool
        self.statistics = RequestStatistics()
        self.sticky = Sticky(cluster) if section.sticky_cookie else None
        #: None for policies that hash nothing
        self.balance_key = BalanceKey(section.balance_key) if cluster.needs_key else None
        #: the choice of a backend depends on the request
        self.particular = self.sticky is not None or self.balance_key is not None
        self.retries = section.retries
        self.connect_timeout_s = section.connect_timeout_s
        self.queue_timeout_s = section.queue_timeout_s


class HttpService(StreamService):
    """
    Listens, and gives every accepted connection a session.

    :param routes: those that name this listener, in the order of the file.
    :param targets: cluster name -> what requests to it need. :param access_log: where requests are logged, if anywhere.
    :cvar secure: clients speak TLS.
    :ivar local: statistics of requests without a cluster.
    """

    secure = False

    def __init__(
        self,
        section: HttpSection,
        plane: DataPlane,
        options: ListenOptions,
        routes: Sequence[Route],
        targets: Mapping[str, Target],
        access_log: AccessLog | None,
    ) -> None:
        super().__init__("http", section, plane, options)
        self.section = section
        self.router = Router(routes)
        self.routes = list(routes)
        self.framing = RequestFraming(
            section.max_header_size,
            section.max_target_size,
            section.max_header_fields,
            frozenset(protocol.encode() for protocol in section.upgrades),
            (section.session_header.lower().encode(),) if section.session_header else (),
        )
        self.response_framing = ResponseFraming(section.max_response_header_size)
        self.identity_rules = IdentityRules(
            section.identity_headers, section.session_header.encode(), section.trusted_proxies, secure=self.secure
        )
        #: 0 = unlimited, which no count of a connection ever is
        self.max_requests = section.max_requests
        #: the longest time that a connection's timer may be late for a deadline set meanwhile
        self.shortest_timeout_s = min(section.request_timeout_s, section.client_timeout_s, section.backend_timeout_s)
        self.targets = targets
        self.local = RequestStatistics()
        self.refusals = Refusals()
        self.answers = Answers(
            load_templates(section.answers),
            {name: load_templates(target.cluster.section.answers) for name, target in self.targets.items()},
        )
        self.table.declare("websocket", section.name, "")
        for name in self.targets:
            self.table.declare("http", section.name, name)
        self._id_prefix = secrets.token_hex(8).encode()
        self._request_ids = 0
        self._log_line = request_line(access_log)

    def start_session(self, sock: SocketType, client: Address, local: Address) -> None:
        """Begin."""
        ClientConnection(self, sock, client, local).start()

    def next_request_id(self) -> bytes:
        """Return an id of 32 hexadecimal digits, unlike any other of this process and, in all likelihood, of others."""
        self._request_ids += 1
        return b"%b%016x" % (self._id_prefix, self._request_ids)

    def session_id(self, number: int) -> bytes:
        """Return the id of a client's connection for backends and logs."""
        return b"%b-%x" % (self._id_prefix, number)

    def finished(self, forwarding: Forwarding) -> None:
        """An exchange ended: count it, log it."""
        request, target = forwarding.request, forwarding.target
        statistics = self.local if target is None else target.statistics
        seconds = self.poller.now - forwarding.started
        statistics.finished(request.method if request is not None else b"", forwarding.status, seconds)
        if forwarding.retries:
            statistics.retries += forwarding.retries
        if self._log_line is not None:
            self._log_line(forwarding, seconds)

    def stopService(self) -> None:
        """Stop accepting, close idle connections; requests under way are drained by the appliance."""
        super().stopService()
        for session in self.table:
            if isinstance(session, ClientConnection) and session.service is self:
                session.drain()
        for target in self.targets.values():
            target.pool.close()
