"""TLS under health checks: why it failed, in the words that traffic's failures have."""

from __future__ import annotations

import tempfile
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.to_backends.checks import CheckConnections
from netappliance.tls.to_backends.peer import BackendPeer, ClusterTls, HandshakeCounts
from netappliance.tls.to_backends.section import backend_tls
from tests.certificates import Authority, Credentials
from tests.tls.to_backends.loopback import server_context

ROOT = Authority("the root")


class CheckTests(SynchronousTestCase):
    """Bytes moved by hand."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        section = backend_tls(f"verify ca={ROOT.write(Path(folder.name, 'ca.pem'))}")
        assert section is not None
        self.counts = HandshakeCounts()
        self.peer: BackendPeer = ClusterTls("c", section, self.counts).peer("b", "a.test")

    def shake(self, credentials: Credentials) -> tuple[CheckConnections, Failure | None]:
        """Shake hands, as Twisted would; return how the client failed."""
        checks = CheckConnections(self.peer)
        client = checks.clientConnectionForTLS(None)
        client.set_app_data("Twisted's")
        server = SSL.Connection(server_context(credentials))
        server.set_accept_state()
        for _ in range(4):
            for near, far in ((client, server), (server, client)):
                try:
                    near.do_handshake()
                except SSL.WantReadError:
                    pass
                except SSL.Error:
                    if near is client:
                        return checks, Failure()
                try:
                    far.bio_write(near.bio_read(65536))
                except SSL.WantReadError:
                    pass
        return checks, None

    def test_a_good_backend(self) -> None:
        """Nothing is counted, for it is no traffic."""
        self.assertIsNone(self.shake(ROOT.leaf("a.test"))[1])
        self.assertEqual(sum(self.counts.results.values()), 0)

    def test_another_backend(self) -> None:
        """The verdict is the one on its certificate."""
        checks, failure = self.shake(ROOT.leaf("b.test"))
        assert failure is not None
        self.assertEqual(checks.why(failure), "its certificate is not for a.test but for b.test")

    def test_other_failures(self) -> None:
        """OpenSSL's words, or that the connection ended."""
        checks = CheckConnections(self.peer)
        checks.clientConnectionForTLS(None)
        for error, why in (
            (
                SSL.Error([("SSL routines", "", "wrong version number")]),
                "the handshake failed (TLS: wrong version number)",
            ),
            (SSL.Error(), "the handshake failed (TLS: unknown failure)"),
            (ConnectionDone(), "it ended the connection during the handshake (Connection reset by peer)"),
            (ConnectionLost(), "it ended the connection during the handshake (Connection reset by peer)"),
        ):
            self.assertEqual(checks.why(Failure(error)), why)
