"""Which connections somebody wants to see, and how each is named and shown. Sans-I/O."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from netappliance.config import values
from netappliance.tracker.conntrack.columns import Connection
from netappliance.tracker.conntrack.ctnetlink import TCP, Ends, endpoint
from netappliance.tracker.counting.hosts import network_range
from netappliance.tracker.counting.totals import DIRECTIONS, GAUGES, NO_GAUGE, PROTOCOLS, STATE_GAUGE, protocol_name
from netappliance.tracker.sock_diag.inet_diag import Socket
from netappliance.tracker.sock_diag.socket_entry import SocketEntry, both_ways
from netappliance.tracker.sock_diag.socket_table import STATE_GAUGE as SOCKET_GAUGE
from netappliance.tracker.sock_diag.socket_table import state_name

MAX_SHOWN = 1000
"""Most connections of one answer."""

_SHOWN = 100
#: kernel's TCP states of connection tracking (nf_conntrack_tcp.h)
_TRACKED_STATES = (
    "none", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close",
    "syn_sent2",
)  # fmt: skip
_SEEN_REPLY = 2

#: the same connection as one end's socket sees it: (local address, local port, remote address, remote port)
Way = tuple[bytes, int, bytes, int]


@dataclass(frozen=True, slots=True)
class Filter:
    """
    What is wanted; empty fields want anything.

    ``address`` and ``port`` match at either end, ``address`` is a range of packed addresses; ages in seconds.
    """

    address: tuple[bytes, bytes] | None = None
    port: int = 0
    state: str = ""
    min_age_s: float = 0.0
    max_age_s: float = 0.0
    group: str = ""
    direction: str = ""
    protocol: str = ""
    limit: int = _SHOWN

    def matches(self, row: Row, now: float) -> bool:
        """Return True for a wanted connection."""
        orig, age = row.orig, now - row.since
        if self.address is not None and not (self._has(orig.source) or self._has(orig.destination)):
            return False
        if self.port and self.port not in (orig.source_port, orig.destination_port):
            return False
        return (
            self.state in ("", row.state, row.kernel_state)
            and self.group in ("", row.group)
            and self.direction in ("", row.direction)
            and self.protocol in ("", protocol_name(orig.protocol))
            and age >= self.min_age_s
            and (not self.max_age_s or age <= self.max_age_s)
        )

    def _has(self, packed: bytes) -> bool:
        assert self.address is not None
        low, high = self.address
        return len(packed) == len(low) and low <= packed <= high


def parse_filter(terms: Mapping[str, str]) -> Filter:
    """
    Read a filter from words: address, port, state, min_age, max_age, group, direction, protocol, limit.

    :raises ValueError: an unknown term or a bad value, and what was expected.
    """
    states = sorted({*GAUGES, *_TRACKED_STATES, *filter(None, map(state_name, range(1, 12)))})
    converters: dict[str, Callable[[str], Any]] = {
        "address": network_range,
        "port": values.integer(1, 65535),
        "state": values.choice(*states),
        "min_age": values.duration,
        "max_age": values.duration,
        "group": values.text,
        "direction": values.choice(*DIRECTIONS),
        "protocol": values.choice(*PROTOCOLS),
        "limit": values.integer(1, MAX_SHOWN),
    }
    fields = {"min_age": "min_age_s", "max_age": "max_age_s"}
    found: dict[str, Any] = {}
    for name, text in terms.items():
        if name not in converters:
            raise ValueError(f"unknown term {name!r}; known: {', '.join(converters)}")
        try:
            found[fields.get(name, name)] = converters[name](text)
        except ValueError as error:
            raise ValueError(f"{name}: {text!r}; expected {error}") from None
    return Filter(**found)


class Row(NamedTuple):
    """
    One connection, seen from its opener.

    ``ident`` names it for as long as it lives (empty: it cannot be named), ``state`` is the seed's word,
    ``kernel_state`` the kernel's, both empty where there is none; ``since`` monotonic seconds, ``exact`` when that is
    when it began; ``translated`` is where it really goes when that is not ``orig``; ``traffic`` as in totals.Totals.
    """

    ident: str
    orig: Ends
    translated: Ends | None
    state: str
    kernel_state: str
    since: float
    exact: bool
    group: str
    direction: str
    zone: int
    traffic: tuple[int, ...]
    socket: SocketEntry | None

    def ways(self) -> tuple[Way, Way]:
        """Return how the opener's socket sees it, and how the other end's does."""
        orig, real = self.orig, self.translated or self.orig
        return (
            (orig.source, orig.source_port, orig.destination, orig.destination_port),
            (real.destination, real.destination_port, real.source, real.source_port),
        )

    def describe(self, now: float, session: int | None = None) -> dict[str, Any]:
        """Return it as plain values; ``session`` is the id of our own that carries it."""
        orig = self.orig
        shown: dict[str, Any] = {
            "id": self.ident,
            "protocol": protocol_name(orig.protocol),
            "from": endpoint(orig.source, orig.source_port),
            "to": endpoint(orig.destination, orig.destination_port),
            "state": self.state,
            "kernel_state": self.kernel_state,
            "age_s": round(now - self.since, 3),
            "age_exact": self.exact,
            "direction": self.direction,
            "group": self.group,
            "session": session,
        }
        if self.translated is not None:
            real = self.translated
            shown["translated"] = {
                "from": endpoint(real.source, real.source_port),
                "to": endpoint(real.destination, real.destination_port),
            }
        if self.zone:
            shown["zone"] = self.zone
        if any(self.traffic):
            shown["traffic"] = dict(
                zip(("packets", "bytes", "reply_packets", "reply_bytes"), self.traffic, strict=True)
            )
        if self.socket is not None:
            shown["socket"] = describe_socket(self.socket)
        return shown


def describe_socket(entry: SocketEntry) -> dict[str, Any]:
    """Return what only a socket knows, as plain values."""
    found, info = entry.socket, entry.info
    shown: dict[str, Any] = {
        "state": state_name(entry.state),
        "uid": found.uid,
        "inode": found.inode,
        "cgroup": found.cgroup,
        "receive_queue": found.receive_queue,
        "send_queue": found.send_queue,
    }
    if info is not None:
        shown["rtt_ms"] = info.rtt_us / 1000
        shown["retransmitted_segments"] = info.total_retransmits
        shown["sent_bytes"] = info.sent - info.retransmitted
        shown["received_bytes"] = info.received
    return shown


def tracked_row(found: Connection, key: bytes) -> Row:
    """Return an entry of connection tracking as a row; ``key`` is its key in the table."""
    orig, reply = found.orig, found.reply
    inverted = Ends(reply.destination, reply.source, reply.protocol, reply.destination_port, reply.source_port)
    if orig.protocol == TCP:
        gauge = STATE_GAUGE[found.state] if 0 <= found.state < 10 else NO_GAUGE
        kernel_state = _TRACKED_STATES[found.state] if 0 <= found.state < 10 else ""
    else:
        gauge, kernel_state = int(bool(found.status & _SEEN_REPLY)), ""
    return Row(
        tracked_id(key, found.ident),
        orig,
        None if inverted == orig else inverted,
        GAUGES[gauge] if gauge < NO_GAUGE else "",
        kernel_state,
        found.since,
        found.exact,
        found.group,
        found.direction,
        found.zone,
        found.traffic,
        None,
    )


def socket_row(entry: SocketEntry, group: str, direction: str) -> Row:
    """Return a socket as a row."""
    found = entry.socket
    here, there = both_ways(found)
    gauge = SOCKET_GAUGE[entry.state] if 0 <= entry.state < len(SOCKET_GAUGE) else NO_GAUGE
    return Row(
        socket_id(found),
        there if entry.inbound else here,
        None,
        GAUGES[gauge] if gauge < NO_GAUGE else "",
        state_name(entry.state),
        entry.since,
        entry.exact,
        group,
        direction,
        0,
        (0, 0, 0, 0),
        entry,
    )


def socket_way(found: Socket) -> Way:
    """Return the ends of a socket as it sees them."""
    return found.source, found.source_port, found.destination, found.destination_port


def socket_id(found: Socket) -> str:
    """Name a socket; empty without a cookie."""
    return f"s{found.cookie:x}" if found.cookie else ""


def tracked_id(key: bytes, ident: int) -> str:
    """Name an entry of connection tracking by its key and the kernel's CTA_ID, which no successor shares."""
    return f"c{ident:x}." + base64.urlsafe_b64encode(key).decode("ascii").rstrip("=")


def parse_id(text: str) -> int | tuple[bytes, int]:
    """
    Read a name.

    :return: a socket's cookie, or (key, CTA_ID) of an entry.
    :raises ValueError: it is no name.
    """
    try:
        if text[:1] == "s" and 1 < len(text) <= 17:
            return int(text[1:], 16)
        number, dot, key = text[1:].partition(".")
        if text[:1] == "c" and dot and len(number) <= 8 and len(key) <= 200:
            padded = key + "=" * (-len(key) % 4)
            return base64.b64decode(padded.encode("ascii"), b"-_", validate=True), int(number, 16)
    except (ValueError, binascii.Error, UnicodeEncodeError):
        pass
    raise ValueError("expected the id of a connection, as the list has it")
