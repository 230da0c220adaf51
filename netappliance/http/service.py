"""The reverse proxy of one ``[http NAME]`` section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from socket import SocketType

from netappliance.config.answer_files import load_templates
from netappliance.dataplane.listener import ListenOptions
from netappliance.dataplane.listener_service import StreamService
from netappliance.dataplane.plane import DataPlane
from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.dataplane.transport import Transport
from netappliance.http.answers import Answers
from netappliance.http.backends.target import Target
from netappliance.http.exchange.exchanges import FrontendExchanges
from netappliance.http.framing.heads import response_head
from netappliance.http.frontend import Frontend
from netappliance.http.message import Answer
from netappliance.http.record import RequestLog
from netappliance.http.routing.route import Route
from netappliance.http.routing.router import Router
from netappliance.http.section import HttpSection
from netappliance.http.streams.h1_client import H1ClientConnection
from netappliance.http.streams.session import HttpSession
from netappliance.sessions.session import Address, Kind
from netappliance.tls.server import TlsServer


class HttpService(StreamService):
    """
    Listens, and gives every accepted connection to a session.

    :param routes: those that name this listener, in the order of the file.
    :param targets: cluster name -> what requests to it need. :param log: where requests are logged, if anywhere.
    :param tls: how TLS is ended, None for plain HTTP.
    :ivar frontend: what its connections and exchanges share.
    """

    def __init__(
        self,
        section: HttpSection,
        plane: DataPlane,
        options: ListenOptions,
        routes: Sequence[Route],
        targets: Mapping[str, Target],
        log: RequestLog | None,
        tls: TlsServer | None = None,
    ) -> None:
        kind: Kind = "http" if tls is None else "https"
        super().__init__(kind, section, plane, options)
        self.section = section
        self.routes = list(routes)
        answers = Answers(
            load_templates(section.answers),
            {name: load_templates(target.cluster.section.answers) for name, target in targets.items()},
        )
        self.table.declare("websocket", section.name, "")
        for name in targets:
            self.table.declare(kind, section.name, name)
        self.frontend = Frontend(section, plane, Router(routes), targets, answers, log, tls)
        if tls is not None:
            tls.plain_answer = plain_answer(answers)
        self._exchanges = FrontendExchanges(self.frontend)

    def start_session(self, sock: SocketType, client: Address, local: Address) -> None:
        """Begin."""
        transport = Transport(sock) if self.frontend.tls is None else TlsTransport(sock)
        H1ClientConnection(self.frontend, self._exchanges, transport, client, local).start()

    def stopService(self) -> None:
        """Stop accepting, close idle connections; requests under way are drained by the appliance."""
        super().stopService()
        self.frontend.draining = True
        for session in self.table:
            if isinstance(session, HttpSession) and session.listener == self.section.name:
                session.drain()
        for target in self.frontend.targets.values():
            target.pool.close()


def plain_answer(answers: Answers) -> bytes:
    """Return the response for a client that speaks HTTP where TLS is expected."""
    answer = Answer(400, "this port speaks HTTPS, and the request came without TLS", close=True)
    response, body = answers.render(answer)
    return response_head(response, 1, keep_alive=False, body=body)
