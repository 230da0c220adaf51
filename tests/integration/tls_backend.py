"""Backends that speak TLS, as they should or not, and the certificates that they show."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.certificates import Authority, Credentials
from tests.integration.http_support import ECHO, BackendConnection, HttpProxyTestCase, RecordingBackend, Talk
from tests.integration.support import Proxy

ROOT = Authority("the root")
GOOD = ROOT.leaf("backend.test", "127.0.0.1")


class TlsBackend(RecordingBackend):
    """
    A recording backend under TLS.

    :ivar resumed: of each handshake that came to its end, whether it resumed a session.
    :ivar refused: the errors of those that did not.
    """

    def __init__(self, talk: Talk, context: ssl.SSLContext) -> None:
        self.context = context
        self.resumed: list[bool] = []
        self.names: list[str | None] = []
        self.refused: list[OSError] = []
        super().__init__(talk)

    def _run(self, connection: BackendConnection) -> None:
        plain = connection.sock
        try:
            connection.sock = under = self.context.wrap_socket(plain, server_side=True)
        except OSError as error:
            self.refused.append(error)
            plain.close()
            return
        self.resumed.append(bool(under.session_reused))
        super()._run(connection)


class TlsBackendTestCase(HttpProxyTestCase):
    """A proxy in front of backends under TLS; a folder for their certificates."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.ca = ROOT.write(self.folder / "ca.pem")

    def server_context(self, credentials: Credentials = GOOD) -> ssl.SSLContext:
        """Return what a server with this certificate needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(credentials.write(self.folder / "server.pem"))
        return context

    def tls_backend(
        self,
        talk: Talk = ECHO,
        credentials: Credentials = GOOD,
        change: Callable[[ssl.SSLContext], object] = lambda context: None,
    ) -> TlsBackend:
        """Start a backend; ``change`` is done to its context."""
        context = self.server_context(credentials)
        change(context)
        backend = TlsBackend(talk, context)
        self.addCleanup(self._check_backend, backend)
        return backend

    def handshakes(self, proxy: Proxy, result: str) -> float:
        """Return how many ended so."""
        return proxy.metric("backend_tls_handshakes_total", result=result)

    def verify(self, options: str = "") -> str:
        """Return the key of a cluster that trusts the tests' authority."""
        return f"tls = verify ca={self.ca} {options}"
