"""Programs that people use, through the HTTPS proxy: those of plain HTTP, and clients of other languages."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from http.client import HTTPSConnection
from pathlib import Path
from tempfile import mkdtemp
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.integration import test_http_programs
from tests.integration.http_front import HttpTestCase, WebServer
from tests.integration.support import BUDGET_S, Proxy, wait_for
from tests.integration.transports import TLS

CLIENTS = Path(__file__).with_name("clients")
#: Go compiles its library once, on slow machines for a while
COMPILING_S = 300


class CurlOverTlsTests(test_http_programs.CurlTests):
    """All that curl does over plain HTTP."""

    transport = TLS

    def test_who_is_not_trusted(self) -> None:
        """curl refuses a certificate of an authority that it does not know."""
        _, url = self.start()
        self.curl("--cacert", "/etc/ssl/certs/ca-certificates.crt", f"{url}/small", status=60)

    def test_versions(self) -> None:
        """1.2 and 1.3, by choice; what was agreed upon."""
        _, url = self.start()
        for arguments in (("--tls-max", "1.2"), ("--tlsv1.3",)):
            said = self.curl("-w", "%{ssl_verify_result} %{http_version}", *arguments, f"{url}/small")
            self.assertEqual(said, b"small\n0 1.1")


class WebSocketOverTlsTests(test_http_programs.WebSocketTests):
    """wss."""

    transport = TLS


class GitOverTlsTests(test_http_programs.GitTests):
    """clone, push and fetch over https."""

    transport = TLS


class BrowserOverTlsTests(test_http_programs.BrowserTests):
    """Chromium; it is told to trust our key, and nothing else."""

    transport = TLS

    @property
    def flags(self) -> tuple[str, ...]:  # type: ignore[override]
        """What makes it trust the certificate."""
        return (f"--ignore-certificate-errors-spki-list={(TLS.folder / 'spki').read_text()}",)


class ClientTests(HttpTestCase):
    """Libraries, with a backend that says what it got."""

    transport = TLS

    def start(self) -> tuple[WebServer, Proxy, str]:
        """Start a web server and a proxy; they, and its URL."""
        server = self.web_server()
        server.site.files = {"/small": ("text/plain", b"small\n")}
        proxy, port = self.front(server)
        return server, proxy, self.transport.url(port)

    def run_program(self, *command: str, folder: Path | None = None, budget: float = 60) -> list[str]:
        """Run it; the lines that it printed."""
        environment = {**os.environ, **self.transport.environment, "GO111MODULE": "off", "GOFLAGS": ""}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=budget, check=False, env=environment, cwd=folder
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.splitlines()

    def test_python(self) -> None:
        """urllib, and http.client on one connection; both ends agree on a large upload."""
        _, proxy, url = self.start()
        context = TLS.context()
        body = os.urandom(1 << 20)
        with urlopen(Request(f"{url}/up", body), context=context, timeout=BUDGET_S) as answer:
            self.assertEqual(answer.read().decode().split()[1], hashlib.sha256(body).hexdigest())
        port = int(url.rpartition(":")[2])
        connection = HTTPSConnection("localhost", port, context=context, timeout=BUDGET_S)
        for _ in range(3):
            connection.request("GET", "/small")
            self.assertEqual(connection.getresponse().read(), b"small\n")
        connection.close()
        self.assertEqual(proxy.metric("tls_handshakes_total", result="ok"), 2)
        with self.assertRaises(URLError):
            urlopen(f"{url}/small", timeout=BUDGET_S)
        wait_for(lambda: proxy.metric("tls_handshakes_total", result="alert") == 1, "its alert is counted")

    def test_go(self) -> None:
        """net/http: both versions, kept connections, resumed sessions, twenty at once."""
        if shutil.which("go") is None:
            self.skipTest("go is not installed")
        folder = Path(mkdtemp(prefix="go-"))
        self.addCleanup(shutil.rmtree, folder)
        source, program = str(CLIENTS / "https_client.go"), str(folder / "client")
        self.run_program("go", "build", "-o", program, source, folder=folder, budget=COMPILING_S)
        _, _, url = self.start()
        said = self.run_program(program, url, str(TLS.folder / "ca.pem"))
        both = ["TLS 1.2 true true false true", "TLS 1.3 true true false true"]
        self.assertEqual(said, [*both, "20 at once", "untrusted: true"])

    def test_node(self) -> None:
        """https: both versions, kept connections, resumed sessions, twenty at once."""
        if shutil.which("node") is None:
            self.skipTest("node is not installed")
        _, _, url = self.start()
        said = self.run_program("node", str(CLIENTS / "https_client.js"), url)
        both = ["TLSv1.2 true true false true", "TLSv1.3 true true false true"]
        self.assertEqual(said, [*both, "20 at once"])

    def test_many_clients_of_one_process(self) -> None:
        """Forty threads, each with connections of its own: nobody gets another's answer."""
        server, _, url = self.start()
        server.site.files |= {f"/{number}": ("text/plain", b"%d" % number) for number in range(40)}
        context, wrong = TLS.context(), []

        def ask(number: int) -> None:
            for _ in range(3):
                with urlopen(f"{url}/{number}", context=context, timeout=BUDGET_S) as answer:
                    if answer.read() != b"%d" % number:
                        wrong.append(number)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(len(server.site.arrived), 120)
