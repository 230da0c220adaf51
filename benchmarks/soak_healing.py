"""Backends that die under load: killed with SIGKILL and restarted in turn, one a second; no GET may fail."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time

from benchmarks.builds import INSTALLED
from benchmarks.processes import PEER_CORE, PROXY_CORE, Bench, absent, free_port

CONNECTIONS = 64
#: how long a killed backend is gone
DOWN_S = 0.4

COUNTING = """
local threads = {}
function setup(thread) threads[#threads + 1] = thread end
function init(args) statuses, counts = "", {} end
function response(status, headers, body)
  counts[status] = (counts[status] or 0) + 1
  statuses = ""
  for one, count in pairs(counts) do statuses = statuses .. one .. "=" .. count .. " " end
end
function done()
  for _, thread in ipairs(threads) do print(thread:get("statuses")) end
end
"""

NGINX = """worker_processes 1; daemon off; master_process off; pid {folder}/b{port}.pid; error_log {folder}/b{port}.err;
events {{ worker_connections 2000; }}
http {{ access_log off; keepalive_requests 100000000;
server {{ listen 127.0.0.1:{port}; location / {{ return 200 $request_uri; }} }} }}
"""

HAPROXY = """global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s
  timeout connect 3s\n  retries 3\n  retry-on conn-failure empty-response response-timeout\n  option redispatch 1
listen l\n  bind 127.0.0.1:{port}\n{servers}\n"""


def run(seconds: int) -> None:
    """
    Kill for that long, in front of this project and, to compare, of HAProxy with ``retry-on``.

    :raises RuntimeError: when a request through this project failed.
    """
    if shutil.which("nginx") is None or shutil.which("wrk") is None:
        absent("nginx or wrk")
        return
    for name in ("netappliance", "haproxy"):
        if shutil.which("haproxy") is None and name == "haproxy":
            absent("haproxy")
            continue
        with Bench() as bench:
            kills, said = Trial(bench, name).run(seconds)
        counts = {status: int(count) for status, count in re.findall(r"(\d{3})=(\d+)", said)}
        broken = re.search(r"Socket errors: [^\n]*", said)
        print(f"healing: {name}, {kills} kills, answers by status: {counts} {broken[0] if broken else ''}", flush=True)
        if name == "netappliance" and (set(counts) != {"200"} or broken):
            raise RuntimeError("requests failed")


class Trial:
    """Three backends, a proxy in front of them, and who kills."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench = bench
        self._ports = [free_port() for _ in range(3)]
        self._backends = {port: self._start(port) for port in self._ports}
        self._port = free_port()
        if name == "haproxy":
            servers = "".join(f"  server s{port} 127.0.0.1:{port}\n" for port in self._ports)
            config = bench.write("haproxy.cfg", HAPROXY.format(port=self._port, servers=servers))
            bench.start(PROXY_CORE, "haproxy", "-db", "-f", config, port=self._port)
        else:
            lines = "".join(f"  127.0.0.1:{port}\n" for port in self._ports)
            config = f"[cluster c]\nbackends =\n{lines}[http web]\nlisten = tcp:{self._port}:interface=127.0.0.1\n"
            INSTALLED.start(bench, f"{config}[route default]\ncluster = c\n", self._port)

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        config = self._bench.write(f"b{port}.conf", NGINX.format(folder=self._bench.folder, port=port))
        return self._bench.start(PEER_CORE, "nginx", "-c", config, port=port)

    def run(self, seconds: int) -> tuple[int, str]:
        """Return how many were killed, and what wrk said."""
        script = self._bench.write("counting.lua", COUNTING)
        url = f"http://127.0.0.1:{self._port}/path"
        command = ["taskset", "-c", PEER_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", script, url]
        wrk = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        kills, end = 0, time.monotonic() + seconds - 1
        while time.monotonic() < end:
            port = self._ports[kills % len(self._ports)]
            time.sleep(1 - DOWN_S)
            os.kill(self._backends[port].pid, signal.SIGKILL)
            self._backends[port].wait()
            kills += 1
            time.sleep(DOWN_S)
            self._backends[port] = self._start(port)
        return kills, wrk.communicate()[0]
