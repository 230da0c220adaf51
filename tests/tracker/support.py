"""ctnetlink messages made by hand, and a kernel that sends them."""

from __future__ import annotations

import socket
import struct

from netappliance.tracker.conntrack import ctnetlink
from netappliance.tracker.conntrack.decoder import Decoder
from netappliance.tracker.conntrack.table import Table
from netappliance.tracker.counting.hosts import Hosts, Ignore
from netappliance.tracker.counting.places import Group, Places

LOCAL, REMOTE = socket.inet_aton("10.0.0.1"), socket.inet_aton("192.0.2.7")
OTHER_REMOTE = socket.inet_aton("192.0.2.8")


def attribute(kind: int, body: bytes) -> bytes:
    """Return one netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def raw_tuple(source: bytes, destination: bytes, source_port: int, destination_port: int, protocol: int = 6) -> bytes:
    """Return the body of a tuple attribute: of a port protocol, or of an echo request for ICMP."""
    first = 1 if len(source) == 4 else 3
    addresses = attribute(first, source) + attribute(first + 1, destination)
    proto = attribute(1, bytes((protocol,)))
    if protocol == ctnetlink.ICMP:
        proto += attribute(4, struct.pack(">H", source_port)) + attribute(5, b"\x08") + attribute(6, b"\0")
    else:
        proto += attribute(2, struct.pack(">H", source_port)) + attribute(3, struct.pack(">H", destination_port))
    return attribute(0x8001, addresses) + attribute(0x8002, proto)


def message(
    event: int,
    port: int = 40000,
    *,
    state: int = -1,
    status: int = 2,
    timeout: int = -1,
    ident: int = 7,
    zone: int = 0,
    protocol: int = 6,
    source: bytes = LOCAL,
    destination: bytes = REMOTE,
    service: int = 443,
    reply: bytes = b"",
    traffic: tuple[int, int, int, int] | None = None,
    times: tuple[int, ...] = (),
    event_ns: int = 0,
) -> bytes:
    """Return a whole message about a connection, of LOCAL:port to REMOTE:443 unless told otherwise."""
    there = raw_tuple(source, destination, port, service, protocol)
    back = reply or raw_tuple(destination, source, service, port, protocol)
    body = bytes(4) + attribute(0x8001, there) + attribute(0x8002, back)
    if zone:
        body += attribute(18, struct.pack(">H", zone))
    body += attribute(3, struct.pack(">I", status)) + attribute(12, struct.pack(">I", ident))
    if timeout >= 0:
        body += attribute(7, struct.pack(">I", timeout))
    if traffic is not None:
        for kind, pair in ((9, traffic[:2]), (10, traffic[2:])):
            body += attribute(
                0x8000 | kind, b"".join(attribute(n, struct.pack(">Q", each)) for n, each in enumerate(pair, 1))
            )
    if times:
        body += attribute(0x8014, b"".join(attribute(n, struct.pack(">Q", each)) for n, each in enumerate(times, 1)))
    if event_ns:
        body += attribute(27, struct.pack(">Q", event_ns))
    if state >= 0:
        body += attribute(0x8004, attribute(0x8001, attribute(1, bytes((state,)))))
    kind = 0x0102 if event == ctnetlink.DESTROY else 0x0100
    return struct.pack("=IHHII", 16 + len(body), kind, 0x600 if event == ctnetlink.NEW else 0, 1, 0) + body


def change(event: int, port: int = 40000, **more: object) -> ctnetlink.Change:
    """Return the decoded message; arguments like :func:`message`."""
    return Decoder().decode(message(event, port, **more)).changes[0]  # type: ignore[arg-type]  # passed through


def table_of(ignore: tuple[Ignore, ...] = (), groups: tuple[Group, ...] = (), limit: int = 2) -> Table:
    """Return a table of the host LOCAL."""
    places = Places(Hosts(limit, 60), ignore, groups)
    places.set_local(frozenset({LOCAL}))
    return Table(places)


def dump(table: Table, *changes: ctnetlink.Change, now: float = 1.0) -> None:
    """Let the table take a whole dump."""
    table.begin_dump()
    table.dumped(changes, now)
    while table.sweep(now, 1):
        pass
