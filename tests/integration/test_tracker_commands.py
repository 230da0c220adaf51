"""``twistd conntrack`` and ``twistd longterm`` as their users start them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.support import BUDGET_S, RUN, free_ports, wait_for


def get(port: int, path: str) -> str:
    """Return the body, or nothing while nobody answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except (HTTPError, URLError, OSError):
        return ""


class CommandTests(SynchronousTestCase):
    """One process for each test."""

    def setUp(self) -> None:
        """Make a folder for files and logs."""
        self.folder = Path(tempfile.mkdtemp(prefix="tracker-command-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_twistd(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-c", RUN, "-n", "--pidfile=", *arguments], cwd=self.folder, capture_output=True,
            text=True, timeout=BUDGET_S, check=False, env=self.environment(environment),
        )  # fmt: skip

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """Return the environment of a child."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}

    def start(self, port: int, *arguments: str, **environment: str) -> None:
        """Start a command and wait until its metrics are there; it must end without a traceback."""
        log = self.folder / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, "-n", "--pidfile=", *arguments], cwd=self.folder, stdout=stream,
                stderr=subprocess.STDOUT, env=self.environment(environment),
            )  # fmt: skip

        def stop() -> None:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(BUDGET_S), 0)
            self.assertNotIn("Traceback", log.read_text())

        self.addCleanup(stop)
        wait_for(lambda: bool(get(port, "/live")) or process.poll() is not None, "the page")

    def test_conntrack_shows_the_seeds_gauges(self) -> None:
        """By its flags: port, path, ignored hosts (those of all other tests here); the landing page has the path."""
        port, service = free_ports(2)
        flags = ("--listen-port", str(port), "-b", "127.0.0.1", "--listen-path=/m", "-i127.0.0.1,::1")
        self.start(port, "conntrack", *flags, "--source=sock_diag", "--debug")
        kept = []
        for host in ("127.77.0.1", "127.0.0.1"):
            listener = socket.create_server((host, service))
            kept += [listener, socket.create_connection((host, service))]
        gauge = f'conntrack_open_connections{{host="127.77.0.1:{service}"}} 1.0'
        wait_for(lambda: gauge in get(port, "/m"), "the gauge")
        page = get(port, "/m")
        self.assertIn(f'conntrack_open_connections_total{{host="127.77.0.1:{service}"}} 1.0', page)
        self.assertNotIn('host="127.0.0.1:', page)
        self.assertIn('href="/m"', get(port, "/"))
        self.assertIn("this host's addresses: ", (self.folder / "log").read_text())
        for opened in kept:
            opened.close()

    def test_longterm_takes_flag_environment_and_file(self) -> None:
        """The flag wins over the variable, that over the file; one number without labels."""
        port, service = free_ports(2)
        (self.folder / "file").write_text(f"simple true\nlisten {port}\nduration=999\nport 1\n")
        listener = socket.create_server(("127.0.0.1", service))
        client = socket.create_connection(("127.0.0.1", service))
        accepted = listener.accept()[0]
        self.start(port, "longterm", "-config", "file", f"--port={service}", DURATION="1", PORT="2")
        wait_for(lambda: "\nnetstat_tcp_longterm_connections_total 1.0\n" in get(port, "/metrics"), "the number")
        self.assertIn("duration: 1<", get(port, "/"))
        for opened in (listener, client, accepted):
            opened.close()

    def test_mistakes_are_told_in_one_line(self) -> None:
        """Exit status 1 and what was expected, no traceback."""
        for arguments, why in (
            (("conntrack", "--listen-port=x"), "--listen-port"),
            (("conntrack", "--ignore-hosts=example.org"), "--ignore-hosts"),
            (("longterm", "--config=missing"), "config missing"),
        ):
            done = self.run_twistd(*arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stdout + done.stderr)
            self.assertNotIn("Traceback", done.stdout + done.stderr)
        self.assertEqual(self.run_twistd("conntrack", "-h").returncode, 0)
