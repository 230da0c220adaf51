"""Run by test_udp in a network namespace: at most 500 sessions, one honest client, 50 000 forged sources."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

from tests.integration.support import Proxy, free_ports, wait_for
from tests.integration.test_udp import Echo


def main() -> None:
    """Print one line of JSON with what was seen."""
    echo = Echo()
    port = free_ports(1)[0]
    proxy = Proxy(
        "[appliance]\naccess_log = none\nshutdown_grace = 0\nmax_connections = 50\naccept_queue_size = 10\n"
        f"[cluster c]\nbackends = 127.0.0.1:{echo.port}\n"
        f"[udp u]\nlisten = udp:{port}:interface=127.0.0.1\ncluster = c\nmax_sessions = 500\nreceive_buffer = 32MiB\n"
    ).wait_ready()
    try:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(("127.0.0.1", port))
        client.settimeout(10)
        client.send(b"first")
        client.recv(100)
        before = proxy.rss_bytes()
        command = [sys.executable, "-c", os.environ["FLOOD"], str(port), "50000"]
        flood = subprocess.Popen(command)
        lost = asked = 0
        while flood.poll() is None:
            asked += 1
            client.send(b"%d" % asked)
            try:
                lost += client.recv(100) != b"%d" % asked
            except TimeoutError:
                lost += 1
            threading.Event().wait(0.005)
        wait_for(lambda: proxy.metric("session_rejected_total", reason="session_limit") > 20_000, "refusals")
        print(
            json.dumps(
                {
                    "asked": asked,
                    "lost": lost,
                    "active": proxy.metric("session_active"),
                    "refused": proxy.metric("session_rejected_total"),
                    "descriptors": proxy.descriptors(),
                    "grown_mib": (proxy.rss_bytes() - before) / 2**20,
                }
            )
        )
        if proxy.stop() or "Traceback" in proxy.log():
            raise SystemExit(proxy.log())
    finally:
        proxy.destroy()


if __name__ == "__main__":
    main()
