"""Which series a connection belongs to, within a budget. Sans-I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from netappliance.tracker.ctnetlink import Ends, address

OTHER = "other"
#: TCP state of the kernel (0-9) -> index of GAUGES; -1 is not counted (the seed's table)
STATE_GAUGE = (-1, 0, 0, 1, 2, 2, 2, 2, 3, 0)
GAUGES = ("opening", "open", "closing", "closed")
HOW = ("fin", "rst", "refused", "timeout", "unanswered", "killed", "unobserved")


class Host:
    """Numbers of one series: gauges in the order of GAUGES, totals, and when it last had a connection."""

    __slots__ = ("closed", "gauges", "label", "opened", "used")

    def __init__(self, label: str) -> None:
        self.label = label
        self.gauges = [0, 0, 0, 0]
        self.opened = 0
        self.closed = dict.fromkeys(HOW, 0)
        self.used = 0.0


def ignore_rule(text: str) -> Callable[[bytes, int], bool]:
    """
    Return a predicate on (packed address, port) for an address, a network, or address:port ([v6]:port).

    :raises ValueError: with what was expected.
    """
    port = 0
    where = text.strip()
    try:
        if where.startswith("[") or where.count(":") == 1:
            where, _, digits = where.rpartition(":")
            port, where = int(digits), where.strip("[]")
        network = ipaddress.ip_network(where, strict=False)
    except ValueError:
        raise ValueError("expected an address, a network or address:port") from None
    low, high = network.network_address.packed, network.broadcast_address.packed

    def ignored(packed: bytes, remote_port: int) -> bool:
        return len(packed) == len(low) and low <= packed <= high and port in (0, remote_port)

    return ignored


class Hosts:
    """
    The series, at most ``limit`` and ``other``.

    The remote end is the seed's: original destination of what we open, original source of what is opened to us
    (never with its ephemeral port), the real backend of what we forward.

    :param local: packed addresses of this host. :param keep_s: seconds that zeros of an idle series stay.
    """

    def __init__(
        self, local: Iterable[bytes], ignore: Iterable[Callable[[bytes, int], bool]], limit: int, keep_s: float
    ) -> None:
        self.local = frozenset(local)
        self.limit = limit
        self.keep_s = keep_s
        self.overflowed = 0
        self.series: dict[str, Host] = {}
        self.other = Host(OTHER)
        self._ignore = tuple(ignore)
        self._cache: dict[tuple[bytes, int], Host | None] = {}

    def set_local(self, local: Iterable[bytes]) -> None:
        """Take the host's addresses as they are now (entries keep the series they have)."""
        self.local = frozenset(local)

    def find(self, orig: Ends, reply: Ends, now: float) -> Host | None:
        """Return the series of a connection, or None when it is ignored."""
        if orig.source in self.local:
            key = (orig.destination, orig.destination_port)
        elif orig.destination in self.local:
            key = (orig.source, 0)
        elif reply.source in self.local:
            key = (reply.destination, 0)
        else:
            key = (reply.source, reply.source_port)
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        packed, port = key
        if any(rule(packed, port) for rule in self._ignore):
            return None
        if len(self.series) >= self.limit:
            self.overflowed += 1
            return self.other
        host = text = address(packed)
        if port:
            host = f"[{text}]:{port}" if len(packed) == 16 else f"{text}:{port}"
        found = self._cache[key] = self.series[host] = Host(host)
        found.used = now
        return found

    def expire(self, now: float) -> None:
        """Forget series that have had no connection for ``keep_s``."""
        idle = {h.label for h in self.series.values() if not any(h.gauges) and now - h.used > self.keep_s}
        if idle:
            self._cache = {key: host for key, host in self._cache.items() if host and host.label not in idle}
            for label in idle:
                host = self.series.pop(label)
                self.other.opened += host.opened
                for how, count in host.closed.items():
                    self.other.closed[how] += count
