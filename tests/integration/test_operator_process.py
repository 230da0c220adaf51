"""[admin], [manhole], [demo] and the logs of a real ``twistd proxy``, as an operator meets them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

RUN = "from twisted.scripts.twistd import run; run()"
BUDGET_S = 20.0

CONFIG = """
[appliance]
log_format = json
access_log = access.log
[admin]
listen = tcp:{admin}:interface=127.0.0.1
[manhole]
listen = tcp:{manhole}:interface=127.0.0.1
authorized_keys = keys.pub
host_key = var/host
[demo]
http = tcp:{http}:interface=127.0.0.1
tcp_echo = tcp:{echo}:interface=127.0.0.1
udp_echo =
[cluster echo]
backends = 127.0.0.1:{echo} id=a token=c2VjcmV0
[tcp echo]
listen = tcp:{proxy}:interface=127.0.0.1
cluster = echo
"""


class OperatorTests(SynchronousTestCase):
    """One process for each test."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="operator"))
        self.addCleanup(shutil.rmtree, self.folder)
        probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
        names = ("admin", "manhole", "http", "echo", "proxy")
        self.ports = dict(zip(names, (probe.getsockname()[1] for probe in probes), strict=True))
        for probe in probes:
            probe.close()
        (self.folder / "p.ini").write_text(CONFIG.format(**self.ports))

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "-n", "--pidfile=", "proxy", "--config", "p.ini"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{self.ports['admin']}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except URLError:
            return 0, ""

    def wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + BUDGET_S
        while self.get("/ready")[0] != 200:
            self.assertIsNone(process.poll(), "the process ended")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def make_key(self) -> None:
        if shutil.which("ssh-keygen") is None:
            self.skipTest("ssh-keygen is not installed")
        key = self.folder / "keys"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)

    def test_a_day_of_an_operator(self) -> None:
        """Ready, a session in the access log and the metrics, the log rotated, the manhole asked, an orderly end."""
        self.make_key()
        process = self.start()
        self.wait_ready(process)
        self.echo(b"one")
        self.assertNotIn("c2VjcmV0", self.get("/config")[1])
        metrics = self.get("/metrics")[1]
        self.assertIn('netappliance_session_total{kind="tcp",listener="echo"} 1.0', metrics)
        self.assertIn('netappliance_session_rx_bytes_total{cluster="echo",kind="tcp",listener="echo"} 3.0', metrics)
        self.assertIn('netappliance_backend_up{backend="a",cluster="echo"} 1.0', metrics)
        self.promtool(metrics)
        self.rows("access.log", 1)
        (self.folder / "access.log").rename(self.folder / "access.log.1")
        process.send_signal(signal.SIGUSR1)
        self.rows("access.log", 0)
        self.echo(b"two")
        (row,) = self.rows("access.log", 1)
        self.assertEqual((row["id"], row["listener"], row["cluster"], row["backend"]), (2, "echo", "echo", "a"))
        self.assertEqual((row["tx_bytes"], row["rx_bytes"], row["code"]), (3, 3, "--"))
        self.assertIn("2", self.manhole("print(sum(t.total for t in sessions.listeners.values()), sorted(clusters))"))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=BUDGET_S)
        self.assertEqual(process.returncode, 0, output)
        lines = [json.loads(line) for line in output.decode().splitlines()]
        self.assertTrue(any(line["message"].startswith("manhole login") for line in lines))
        self.assertEqual([line for line in lines if "traceback" in line], [])

    def test_a_missing_key_file_stops_the_start(self) -> None:
        """Exit 1 with one line on stderr, no traceback, nothing left listening."""
        process = self.start()
        output, _ = process.communicate(timeout=BUDGET_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"[manhole] authorized_keys: cannot read keys.pub", output)
        self.assertNotIn(b"Traceback", output)

    def test_an_access_log_that_cannot_be_opened_stops_the_start(self) -> None:
        """Exit 1 with the path, no traceback."""
        self.make_key()
        config = self.folder / "p.ini"
        config.write_text(config.read_text().replace("access.log", "no/such/access.log"))
        process = self.start()
        output, _ = process.communicate(timeout=BUDGET_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"no/such/access.log", output)
        self.assertNotIn(b"Traceback", output)

    def echo(self, data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.ports["proxy"]), timeout=10) as sock:
            sock.sendall(data)
            self.assertEqual(sock.recv(100), data)

    def rows(self, name: str, count: int) -> list[dict[str, object]]:
        path = self.folder / name
        deadline = time.monotonic() + BUDGET_S
        while not path.exists() or len(path.read_text().splitlines()) < count:
            self.assertLess(time.monotonic(), deadline, name)
            time.sleep(0.05)
        return [json.loads(line) for line in path.read_text().splitlines()]

    def promtool(self, metrics: str) -> None:
        tool = os.environ.get("PROMTOOL") or shutil.which("promtool")
        if tool is not None:
            run = subprocess.run([tool, "check", "metrics"], input=metrics.encode(), capture_output=True, timeout=30)
            self.assertEqual((run.returncode, run.stderr), (0, b""))

    def manhole(self, line: str) -> str:
        if shutil.which("ssh") is None:
            self.skipTest("ssh is not installed")
        options = ["-tt", "-F", "none", "-i", "keys", "-p", str(self.ports["manhole"])]
        for option in ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=known", "IdentityAgent=none"):
            options += ["-o", option]
        run = subprocess.run(
            ["ssh", *options, "127.0.0.1"],
            cwd=self.folder,
            input=f"{line}\n\x04".encode(),
            capture_output=True,
            timeout=BUDGET_S,
        )
        return run.stdout.decode("utf-8", "replace")
