"""
What the tracker's benchmark runs inside a network namespace: entries made by hand, traffic, and the tracker itself.

    python -m benchmarks.tracker_load fill N      make N entries of the kernel's table
    python -m benchmarks.tracker_load tracker     load the table and print figures as JSON
    python -m benchmarks.tracker_load pyroute2    read the table with pyroute2 and print seconds
    python -m benchmarks.tracker_load connect PORT RATE SECONDS   open and close connections, print how many
    python -m benchmarks.tracker_load accept PORT                 accept and close them
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet import epollreactor

from netappliance.application import settle_memory
from netappliance.tracker.collector import TrackerCollector
from netappliance.tracker.counting.places import group_rule
from netappliance.tracker.section import TrackerSection
from netappliance.tracker.service import TrackerService

REMOTES = 5000
_CREATE = 0x1 | 0x200 | 0x400


def _attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def _tuple(source: bytes, destination: bytes, source_port: int, destination_port: int) -> bytes:
    ports = _attribute(2, struct.pack(">H", source_port)) + _attribute(3, struct.pack(">H", destination_port))
    addresses = _attribute(1, source) + _attribute(2, destination)
    return _attribute(0x8001, addresses) + _attribute(0x8002, _attribute(1, b"\6") + ports)


def _entry(number: int) -> bytes:
    """An established connection from one of a few addresses to one of REMOTES."""
    ours, theirs = socket.inet_aton("10.0.0.1"), struct.pack(">I", 0x0A010000 + number % REMOTES)
    port, service = 1024 + number // REMOTES, (443, 5432, 80)[number % 3]
    body = bytes((2, 0, 0, 0)) + _attribute(0x8001, _tuple(ours, theirs, port, service))
    body += _attribute(0x8002, _tuple(theirs, ours, service, port))
    body += _attribute(3, struct.pack(">I", 0xE)) + _attribute(7, struct.pack(">I", 86400))
    body += _attribute(0x8004, _attribute(0x8001, _attribute(1, b"\3")))
    return struct.pack("=IHHII", 16 + len(body), 0x0100, _CREATE, number, 0) + body


def fill(count: int) -> None:
    """Make the entries, a hundred in a message."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as opened:
        opened.bind((0, 0))
        for first in range(0, count, 100):
            opened.send(b"".join(_entry(each) for each in range(first, min(first + 100, count))))


def _rss() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def tracker() -> None:
    """Start the tracker as the appliance does; when it has the table, print what that took."""
    reactor = epollreactor.EPollReactor()
    groups = (group_rule("db = 10.1.0.0/16:5432"), group_rule("web = 10.0.0.0/8:443"))
    section = TrackerSection(source="conntrack", tcp_info=False, longterm=False, groups=groups)
    service = TrackerService(section, reactor, time.monotonic)
    registry = CollectorRegistry()
    registry.register(TrackerCollector(service))
    generate_latest(registry)
    idle, last, longest = _rss(), time.monotonic(), 0.0

    def beat() -> None:
        nonlocal last, longest
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        if service.source.resyncs:
            reactor.stop()
        else:
            reactor.callLater(0, beat)

    def start() -> None:
        nonlocal last
        settle_memory()
        service.startService()
        last = time.monotonic()
        beat()

    reactor.callWhenRunning(start)
    reactor.run()
    scrapes = []
    for _ in range(10):
        began = time.perf_counter()
        generate_latest(registry)
        scrapes.append(time.perf_counter() - began)
    figures = {
        "entries": len(service.table),
        "load": service.source.dump_secs,
        "turn": longest * 1000,
        "rss": _rss() - idle,
        "scrape": sorted(scrapes)[5] * 1000,
    }
    print(json.dumps(figures))


def pyroute2() -> None:
    """Read the table with pyroute2."""
    from pyroute2 import NFCTSocket

    began = time.perf_counter()
    with NFCTSocket() as opened:
        count = sum(1 for _ in opened.dump())
    print(json.dumps({"entries": count, "load": time.perf_counter() - began}))


def connect(port: int, rate: int, seconds: int) -> None:
    """Open and close ``rate`` connections a second, evenly."""
    count, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(int(passed * rate) - count):
            socket.create_connection(("127.0.0.1", port + count % 4)).close()
            count += 1
        time.sleep(0.001)
    print(json.dumps({"count": count}))


def accept(port: int) -> None:
    """Accept on four ports and close at once, for ever."""
    import select

    servers = [socket.create_server(("127.0.0.1", port + each), backlog=4096) for each in range(4)]
    while True:
        for server in select.select(servers, (), ())[0]:
            server.accept()[0].close()


if __name__ == "__main__":
    globals()[sys.argv[1]](*map(int, sys.argv[2:]))
