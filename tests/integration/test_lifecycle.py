"""Start and stop of a real process: what it says, what it waits for, and its exit status."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from urllib.request import urlopen

from tests.integration.support import BUDGET_S, RUN, Proxy, ProxyTestCase, echo, free_ports, wait_for


def twistd(*arguments: str, cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``twistd ... proxy ...`` to its end."""
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        capture_output=True,
        text=True,
        timeout=BUDGET_S,
        check=False,
        cwd=cwd or mkdtemp(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


class StartTests(ProxyTestCase):
    """What can be wrong at the start is said in one line, with exit status 1."""

    def ini(self, text: str) -> str:
        """A configuration file; its path."""
        path = Path(mkdtemp()) / "p.ini"
        path.write_text(text)
        return str(path)

    def test_the_version_says_which_build_it_is(self) -> None:
        """Compiled, or pure Python and maybe why."""
        done = twistd("proxy", "--version")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^netappliance [\d.]+ \((compiled|pure Python(: .+)?)\)$")

    def test_check_prints_the_effective_configuration(self) -> None:
        """And it is a configuration itself."""
        done = twistd("proxy", "--check", "--config", self.ini("[appliance]\nmax_connections = 5\n"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("max_connections = 5\naccept_queue_size = 1024\n", done.stdout)
        again = twistd("proxy", "--check", "--config", self.ini(done.stdout))
        self.assertEqual(again.stdout, done.stdout)

    def test_every_error_of_a_bad_file_is_printed_without_a_traceback(self) -> None:
        """With and without --check."""
        path = self.ini("[appliance]\nmax_connections = -1\nlog_fromat = x\n")
        for arguments in (("proxy", "--check"), ("-n", "proxy"), ("proxy",)):
            done = twistd(*arguments, "--config", path)
            self.assertEqual(done.returncode, 1, done)
            self.assertEqual(done.stderr.count("[appliance]"), 2, done.stderr)
            self.assertNotIn("Traceback", done.stdout + done.stderr)

    def test_a_missing_file_is_named(self) -> None:
        """Not a traceback of open()."""
        done = twistd("-n", "proxy", "--config", "/no/such/file.ini")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "/no/such/file.ini: cannot read the file: No such file or directory\n")

    def test_help_names_the_options(self) -> None:
        """As every twistd command does."""
        done = twistd("proxy", "--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--config=", done.stdout)
        self.assertIn("--check", done.stdout)

    def test_sections_of_different_kinds_may_have_one_name(self) -> None:
        """Names are told apart by the kind, also from services that have no section's name."""
        tcp, udp, http, qcmp = (f"{port}:interface=127.0.0.1\n" for port in free_ports(4))
        proxy = self.proxy(
            "[cluster admin]\nbackends = 127.0.0.1:1\n"
            f"[tcp admin]\ncluster = admin\nlisten = tcp:{tcp}[udp admin]\ncluster = admin\nlisten = udp:{udp}"
            f"[http admin]\nlisten = tcp:{http}[qcmp admin]\nlisten = udp:{qcmp}"
        )
        self.assertIn("ready", proxy.log())

    def test_a_busy_port_is_an_error_with_the_address(self) -> None:
        """In the foreground and as a daemon; nothing keeps running, no pid file is left."""
        with socket.create_server(("127.0.0.1", 0)) as busy:
            endpoint = f"tcp:{busy.getsockname()[1]}:interface=127.0.0.1"
            admin = f"tcp:{free_ports(1)[0]}:interface=127.0.0.1"
            path = self.ini(
                f"[admin]\nlisten = {admin}\n"
                f"[cluster c]\nbackends = 127.0.0.1:1\n[tcp front]\nlisten = {endpoint}\ncluster = c\n"
            )
            folder = mkdtemp()
            done = twistd("-n", "proxy", "--config", path, cwd=folder)
            self.assertEqual(done.returncode, 1)
            message = f"[tcp front] listen: cannot listen on {endpoint}: Address already in use"
            self.assertIn(message, done.stderr)
            self.assertNotIn("Traceback", done.stdout + done.stderr)
            daemon = twistd("proxy", "--config", path, cwd=folder)
            self.assertEqual(daemon.returncode, 1)
            self.assertFalse((Path(folder) / "twistd.pid").exists())


class StopTests(ProxyTestCase):
    """SIGTERM drains."""

    def drained(self, grace: str) -> tuple[Proxy, socket.socket, int]:
        """A proxy with one open session."""
        port = free_ports(1)[0]
        proxy = self.proxy(
            f"[appliance]\nshutdown_grace = {grace}\naccess_log = access.log\n"
            f"[cluster c]\nbackends = 127.0.0.1:{self.peer(echo).port}\n"
            f"[tcp front]\nlisten = tcp:{port}:interface=127.0.0.1\ncluster = c\n"
        )
        client = self.connect(port)
        client.sendall(b"x")
        self.assertEqual(client.recv(1), b"x")
        return proxy, client, port

    def refused(self, port: int) -> bool:
        """True when nobody listens."""
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_draining_refuses_new_work_and_keeps_old_work_until_it_ends(self) -> None:
        """/ready says 503, the listener is gone, the session goes on; its end is the process' end, status 0."""
        proxy, client, port = self.drained("30s")
        proxy.process.send_signal(signal.SIGTERM)
        wait_for(lambda: proxy.get("/ready") == (503, "503 draining\n"), "draining")
        wait_for(lambda: self.refused(port), "a closed listener")
        self.assertEqual(proxy.get("/live")[0], 200)
        client.sendall(b"still here")
        self.assertEqual(client.recv(20), b"still here")
        client.close()
        self.assertEqual(proxy.process.wait(BUDGET_S), 0)
        self.assertIn('"cause":"fin"', proxy.access_lines()[0])

    def test_what_is_left_at_the_deadline_is_closed_with_cause_shutdown(self) -> None:
        """shutdown_grace."""
        proxy, client, _ = self.drained("500ms")
        started = time.monotonic()
        proxy.process.send_signal(signal.SIGINT)
        self.assertEqual(proxy.process.wait(BUDGET_S), 0)
        self.assertTrue(0.4 < time.monotonic() - started < 8)
        self.assertEqual(client.recv(1), b"")
        self.assertIn('"side":"admin","phase":"drain","cause":"shutdown"', proxy.access_lines()[0])

    def test_a_second_signal_ends_at_once(self) -> None:
        """Without waiting for a grace of an hour; still with status 0 and the log line."""
        proxy, _, _ = self.drained("1h")
        proxy.process.send_signal(signal.SIGTERM)
        wait_for(lambda: proxy.get("/ready")[0] == 503, "draining")
        proxy.process.send_signal(signal.SIGTERM)
        self.assertEqual(proxy.process.wait(BUDGET_S), 0)
        self.assertIn('"cause":"shutdown"', proxy.access_lines()[0])


class ZombieTests(ProxyTestCase):
    """Sessions that no timeout ends."""

    def test_they_are_closed_counted_and_logged_with_their_state(self) -> None:
        """idle_timeout = 0 leaves it to the zombie check."""
        port = free_ports(1)[0]
        proxy = self.proxy(
            "[appliance]\nzombie_check_interval = 500ms\naccess_log = none\n"
            f"[cluster c]\nbackends = 127.0.0.1:{self.peer(echo).port}\n"
            f"[tcp front]\nlisten = tcp:{port}:interface=127.0.0.1\ncluster = c\nidle_timeout = 0\n"
        )
        client = self.connect(port)
        client.sendall(b"x")
        client.recv(1)
        try:
            self.assertEqual(client.recv(1), b"")
        except ConnectionResetError:
            pass
        self.assertEqual(proxy.metric("zombies_total"), 1)
        self.assertIn("'state': 'open'", proxy.log())
        self.assertEqual(proxy.closed("proxy/idle/internal"), 1)


class ObserverTests(ProxyTestCase):
    """A connection observer of another distribution."""

    OBSERVER = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from netappliance.interfaces import IConnectionObserver

@implementer(IPlugin, IConnectionObserver)
class Bouncer:
    name = "bouncer"
    count = 0
    def session_opened(self, session):
        self.count += 1
        if self.count == 2:
            return "every second one"
        if self.count == 3:
            raise RuntimeError("a bug in a plug-in")
    def session_closed(self, session):
        pass

bouncer = Bouncer()
"""

    expected_tracebacks = 1

    def test_it_may_refuse_and_its_crash_is_contained(self) -> None:
        """The first passes, the second is refused, the third passes in spite of the exception."""
        folder = Path(mkdtemp())
        package = folder / "netappliance" / "plugins"
        package.mkdir(parents=True)
        (package / "bouncer_plugin.py").write_text(self.OBSERVER)
        sys.path.append(str(folder))
        self.addCleanup(sys.path.remove, str(folder))
        port = free_ports(1)[0]
        proxy = self.proxy(
            "[appliance]\nobservers = bouncer\naccess_log = none\n"
            f"[cluster c]\nbackends = 127.0.0.1:{self.peer(echo).port}\n"
            f"[tcp front]\nlisten = tcp:{port}:interface=127.0.0.1\ncluster = c\n"
        )
        answers = []
        for _ in range(3):
            client = self.connect(port)
            client.sendall(b"x")
            try:
                answers.append(client.recv(1))
            except ConnectionResetError:
                answers.append(b"")
            client.close()
        self.assertEqual(answers, [b"x", b"", b"x"])
        proxy.wait_closed("proxy/accept/policy")
        self.assertEqual(proxy.metric("observer_errors_total", observer="bouncer"), 1)


class LiveTests(ProxyTestCase):
    """The shipped configuration."""

    def test_etc_proxy_ini_runs_as_shipped(self) -> None:
        """Admin pages, an echo through port 9000, two web servers in turn behind 8080 and 8443; where free."""
        for port in (8080, 8443, 9000, 9801, 9802, 9803, 9901):
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                self.skipTest(f"port {port} of the shipped configuration is in use")
        shipped = Path(__file__).resolve().parents[2] / "etc" / "proxy.ini"
        comment, _, text = shipped.read_text().partition("[appliance]")
        self.assertTrue(comment and text)
        folder = Path(self.mktemp())
        made = [sys.executable, "-m", "netappliance", "local-certificate", str(folder)]
        subprocess.run(made, check=True, capture_output=True, timeout=60)
        text = text.replace("certificates = var/tls ", f"certificates = {folder.resolve()} ")
        proxy = self.proxy(f"[appliance]{text}")
        client = self.connect(9000)
        client.sendall(b"echo")
        self.assertEqual(client.recv(10), b"echo")
        client.close()
        self.assertEqual(proxy.get("/live"), (200, "live\n"))
        self.assertIn("[admin] listens on tcp:", proxy.log())
        self.assertIn("[https web-tls] listens on tcp:8443:interface=127.0.0.1", proxy.log())
        backends = set()
        for _ in range(2):
            with urlopen("http://127.0.0.1:8080/", timeout=BUDGET_S) as answer:
                backends.add(answer.read())
        trusted = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        with urlopen("https://localhost:8443/", timeout=BUDGET_S, context=trusted) as answer:
            backends.add(answer.read())
        self.assertEqual(
            backends, {b"netappliance demo backend 127.0.0.1:9801\n", b"netappliance demo backend 127.0.0.1:9802\n"}
        )
