"""TLS listeners under loads that wear programs out; ``make soak`` has the long ones."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

from tests.certificates import Authority
from tests.integration.http_support import HttpProxyTestCase, get
from tests.integration.https_load_client import Handshakes, replace
from tests.integration.support import Proxy, reset, wait_for
from tests.integration.transports import PLAIN, TLS, Tls
from tests.tls import hellos
from tests.tls.captures import CAPTURES

MIB = 1024 * 1024
#: damaged connections that are open at once
AT_ONCE = 64


def storm(port: int, count: int, seed: int) -> None:
    """
    Open ``count`` connections with damaged ClientHellos; some half-close, some reset, and all come to an end.

    :raises TimeoutError: the listener left one open.
    """
    draw = random.Random(seed)
    bases = [bytes.fromhex(capture.data) for capture in CAPTURES]
    for start in range(0, count, AT_ONCE):
        waiting = []
        for _ in range(min(AT_ONCE, count - start)):
            sock = PLAIN.connect(port)
            with contextlib.suppress(OSError):  # it is refused and closed already
                sock.sendall(hellos.mutated(draw.choice(bases), draw))
                if draw.random() < 0.2:
                    reset(sock)
                    continue
                sock.shutdown(socket.SHUT_WR)
            waiting.append(sock)
        for sock in waiting:
            with sock, contextlib.suppress(ConnectionError):
                while sock.recv(65536):
                    pass


class DamagedHelloTests(HttpProxyTestCase):
    """ClientHellos with faults at random."""

    transport = TLS
    #: the first let the process reach its size
    WARM_UP, COUNT = 3000, 5000

    def test_each_is_counted_and_nothing_is_left(self) -> None:
        """No descriptor, no traceback, no session, little memory, and honest clients are served."""
        proxy = self.front(self.backend())
        self.assertEqual(self.ask(get()).status, 200)
        storm(self.port, self.WARM_UP, seed=1)
        self.wait_over(proxy, self.WARM_UP + 1)
        descriptors, memory = proxy.descriptors(), proxy.rss_bytes()
        storm(self.port, self.COUNT, seed=2)
        self.wait_over(proxy, self.WARM_UP + self.COUNT + 1)
        wait_for(lambda: proxy.descriptors() <= descriptors, f"{descriptors} descriptors, not {proxy.descriptors()}")
        self.assertLess(proxy.rss_bytes() - memory, 8 * MIB)
        self.assertEqual(self.ask(get()).status, 200)

    def wait_over(self, proxy: Proxy, count: int) -> None:
        """Wait until as many handshakes are counted as there were connections, and none goes on."""
        wait_for(
            lambda: proxy.metric("tls_handshakes_total") == count and proxy.metric("session_active") == 0,
            f"{count} handshakes: {[each for each in proxy.get('/metrics')[1].splitlines() if 'handshakes' in each]}",
        )


class ReplacedCertificateTests(HttpProxyTestCase):
    """Files that change while clients shake hands."""

    COUNT = 10

    def test_no_handshake_fails_and_no_connection_breaks(self) -> None:
        """Ten certificates one after the other, of both kinds."""
        authority, folder = Authority(), Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        served = folder / "localhost.pem"
        serial = replace(served, authority)
        self.transport = Tls(f"certificates = {folder}\nstrict_sni = no\n")
        proxy = self.front(self.backend())
        with Handshakes(self.port, authority.pem) as load:
            for number in range(self.COUNT):
                self.assertEqual(load.serial(), serial)
                serial = replace(served, authority, kind="rsa" if number % 5 == 4 else "ecdsa")
                seen = load.asked
                wait_for(lambda: load.serial() == serial, f"the new certificate is served: {proxy.log()}")  # noqa: B023
                wait_for(lambda: load.asked > seen + 20 or bool(load.failures), "requests go on")  # noqa: B023
        self.assertEqual(load.failures, [])
