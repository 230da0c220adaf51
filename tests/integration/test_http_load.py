"""The HTTP proxy under load, while backends die and slow clients cling to it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from urllib.request import urlopen

from tests.integration.http_drip import INTERVAL_S
from tests.integration.http_front import HttpTestCase, read_until
from tests.integration.http_load_client import Load
from tests.integration.support import BUDGET_S, Proxy, free_ports, read_all, wait_for

COUNTING = """
local at, threads = 0, {}
function setup(thread) threads[#threads + 1] = thread end
function init(args) statuses, wrong, counts = "", 0, {} end
function request() at = at + 1 return "GET /path/" .. (at % 1000) .. " HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n" end
function response(status, headers, body)
  counts[status] = (counts[status] or 0) + 1
  if status == 200 and not body:match("^/path/%d+$") then wrong = wrong + 1 end
  statuses = ""
  for one, count in pairs(counts) do statuses = statuses .. one .. "=" .. count .. " " end
end
function done()
  for _, thread in ipairs(threads) do print(thread:get("statuses") .. "wrong=" .. thread:get("wrong")) end
end
"""


class Backends:
    """Processes that are killed and started again on the same ports."""

    def __init__(self, count: int, *, nginx: bool = False) -> None:
        self.ports = free_ports(count)
        self.folder = Path(mkdtemp(prefix="backends-"))
        self._nginx = nginx
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        for port in self.ports:
            self.start(port)

    def start(self, port: int) -> None:
        """Start the one of a port; it listens when this returns."""
        command = [sys.executable, str(Path(__file__).with_name("http_backend.py")), str(port)]
        if self._nginx:
            config = self.folder / f"{port}.conf"
            config.write_text(
                f"""worker_processes 1; daemon off; master_process off; pid {self.folder}/{port}.pid;
error_log {self.folder}/{port}.err; events {{ worker_connections 2000; }}
http {{ access_log off; keepalive_requests 100000000; server {{ listen 127.0.0.1:{port};
location / {{ return 200 $request_uri; }} }} }}\n"""
            )
            command = ["nginx", "-c", str(config)]
        self._processes[port] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens, f"a backend on port {port}")

    def kill(self, port: int) -> None:
        """SIGKILL, as the out-of-memory killer would."""
        process = self._processes.pop(port)
        process.send_signal(signal.SIGKILL)
        process.wait(BUDGET_S)

    def kill_all(self) -> None:
        """The rest of them."""
        for port in list(self._processes):
            self.kill(port)

    def close(self) -> None:
        """Clean up."""
        self.kill_all()
        shutil.rmtree(self.folder)


def held(port: int) -> int:
    """How many requests a backend holds."""
    with urlopen(f"http://127.0.0.1:{port}/held", timeout=BUDGET_S) as answer:
        return int(answer.read())


class LoadTestCase(HttpTestCase):
    """Backends that can be killed, and a proxy in front of them."""

    def backends(self, count: int, *, nginx: bool = False) -> Backends:
        """Start them."""
        backends = Backends(count, nginx=nginx)
        self.addCleanup(backends.close)
        return backends

    def check_nothing_is_left(self, proxy: Proxy, backends: Backends, before: int) -> None:
        """Sessions and descriptors return to what they were, once the kept backend connections are gone too."""
        wait_for(lambda: proxy.metric("session_active") == 0, "no session left")
        backends.kill_all()
        wait_for(lambda: proxy.descriptors() <= before, f"{before} descriptors, not {proxy.descriptors()}")


class DyingBackendTests(LoadTestCase):
    """Only what a killed backend had in its hands may fail, and it fails with 502."""

    def test_each_held_request_of_the_killed_backend_is_a_502(self) -> None:
        """Of twenty POSTs those of the killed one fail; the others are answered as if nothing had happened."""
        backends = self.backends(2)
        proxy, port = self.front(*backends.ports)
        before = proxy.descriptors()
        clients = [self.connect(port) for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(f"POST /hold{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".encode())
        killed, living = backends.ports
        wait_for(lambda: held(killed) + held(living) == 20, "20 held requests")
        failing = held(killed)
        self.assertEqual(failing, 10)
        backends.kill(killed)
        with urlopen(f"http://127.0.0.1:{living}/release", timeout=BUDGET_S):
            pass
        statuses = [read_until(client, b"\r\n\r\n").split(b" ")[1] for client in clients]
        self.assertEqual((statuses.count(b"502"), statuses.count(b"200")), (10, 10), statuses)
        for client in clients:
            client.close()
        self.check_nothing_is_left(proxy, backends, before)

    def test_under_load_nothing_else_fails(self) -> None:
        """Three backends are killed and restarted in turn; each request is answered, by 200 and its body or by 502."""
        backends = self.backends(3)
        proxy, port = self.front(*backends.ports)
        before = proxy.descriptors()
        load = Load(port, 16).start()
        self.addCleanup(load.finish)
        for killed in backends.ports * 2:
            seen = load.total()
            wait_for(lambda: load.total() > seen + 100, "100 more answers")  # noqa: B023 - called at once
            backends.kill(killed)
            seen = load.total()
            wait_for(lambda: load.total() > seen + 100, "100 answers of the other two")  # noqa: B023
            backends.start(killed)
        outcomes = load.finish()
        self.assertEqual(load.wrong, [])
        self.assertEqual(set(outcomes) - {"200", "502"}, set(), outcomes)
        self.assertLessEqual(outcomes["502"], 6 * 16, outcomes)
        self.check_nothing_is_left(proxy, backends, before)

    def test_wrk_at_full_load(self) -> None:
        """GETs with wrk as fast as it can: no socket error, no status but 200, no wrong body."""
        if shutil.which("wrk") is None or shutil.which("nginx") is None:
            self.skipTest("wrk or nginx is not installed")
        backends = self.backends(3, nginx=True)
        proxy, port = self.front(*backends.ports)
        before = proxy.descriptors()
        script = backends.folder / "counting.lua"
        script.write_text(COUNTING)
        wrk = subprocess.Popen(
            ["wrk", "-t1", "-c32", "-d4", "-s", str(script), f"http://127.0.0.1:{port}/"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(wrk.communicate)
        for killed in backends.ports * 2:
            time.sleep(0.3)  # what is proven here is a rate over time
            backends.kill(killed)
            time.sleep(0.2)
            backends.start(killed)
        said, _ = wrk.communicate(timeout=BUDGET_S)
        counted = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", said)}
        self.assertNotIn("Socket errors", said)
        self.assertEqual(counted.pop("wrong"), 0, said)
        self.assertGreater(counted.pop("200"), 5000, said)
        self.assertEqual(counted, {}, said)
        self.check_nothing_is_left(proxy, backends, before)


class SlowHeadTests(LoadTestCase):
    """Slow clients are told 408 in time, and cost the honest ones little."""

    COUNT = 500
    TIMEOUT_S = 4.0

    def honest(self, proxy: Proxy, client: socket.socket, seconds: float) -> tuple[int, float]:
        """Send requests one after the other: how many they were, and the proxy's seconds of CPU meanwhile."""
        schedstat = Path(f"/proc/{proxy.process.pid}/schedstat")
        before = int(schedstat.read_text().split()[0])
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            client.sendall(b"GET /honest HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(read_until(client, b"/honest").startswith(b"HTTP/1.1 200 "))
            count += 1
        return count, (int(schedstat.read_text().split()[0]) - before) / 1e9

    def test_500_slow_heads_do_not_slow_an_honest_client(self) -> None:
        """
        Its requests cost less than twice what they did, besides what is dripped; a slow one gets 408 in time.

        That is told by the proxy's CPU: the rate depends on what else the machine does.
        """
        backends = self.backends(1)
        proxy, port = self.front(*backends.ports, keys=f"request_timeout = {self.TIMEOUT_S:g}s")
        before = proxy.descriptors()
        client = self.connect(port)
        self.honest(proxy, client, 0.3)
        count, used = self.honest(proxy, client, 1.0)
        alone = used / count
        drip = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("http_drip.py")), str(port), str(self.COUNT)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(drip.communicate)
        self.addCleanup(drip.kill)
        assert drip.stdout is not None
        self.assertEqual(drip.stdout.readline(), "held\n")
        count, used = self.honest(proxy, client, 1.0)
        self.assertGreaterEqual(proxy.descriptors(), before + self.COUNT)
        told = json.loads(drip.communicate(timeout=self.TIMEOUT_S + 10)[0])
        self.assertEqual(told["statuses"], {"408": self.COUNT})
        self.assertGreater(told["first"], self.TIMEOUT_S - 1)
        self.assertLess(told["last"], self.TIMEOUT_S + 8)
        self.assertLess(used, alone * (2 * count + self.COUNT / INTERVAL_S))
        client.close()
        self.check_nothing_is_left(proxy, backends, before)

    def test_an_idle_kept_connection_is_closed_without_a_word(self) -> None:
        """408 is for requests that have begun."""
        backends = self.backends(1)
        _proxy, port = self.front(*backends.ports, keys="request_timeout = 1s\nclient_timeout = 1s")
        client = self.connect(port)
        client.sendall(b"GET /kept HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(read_until(client, b"/kept").endswith(b"\r\n\r\n/kept"))
        self.assertEqual(read_all(client), b"")


class SameMomentTests(HttpTestCase):
    """A request and the end of the kept connection that would carry it, seen at the same moment."""

    def test_a_request_goes_to_another_connection_when_its_kept_one_ends(self) -> None:
        """Neither is it lost nor sent twice, and its bytes are counted once."""
        got: list[bytes] = []
        kept: list[socket.socket] = []

        def serve(connection: socket.socket) -> None:
            kept.append(connection)
            while data := connection.recv(65536):
                got.append(data)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        proxy, port = self.front(self.peer(serve))
        client = self.connect(port)
        request = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
        client.sendall(request % 1)
        read_until(client, b"ok")
        proxy.process.send_signal(signal.SIGSTOP)
        try:
            client.sendall(request % 2)
            kept[0].shutdown(socket.SHUT_WR)
        finally:
            proxy.process.send_signal(signal.SIGCONT)
        self.assertTrue(read_until(client, b"ok").startswith(b"HTTP/1.1 200 "))
        self.assertEqual([data.split(b" ")[1] for data in got], [b"/1", b"/2"])
        self.assertEqual(len(kept), 2)
        client.close()
        wait_for(lambda: proxy.metric("session_tx_bytes_total") == sum(map(len, got)), "the bytes of two requests")
