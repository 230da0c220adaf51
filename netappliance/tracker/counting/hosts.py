"""Which remote ends have a series of their own: those with most connections, within a budget. Sans-I/O."""

from __future__ import annotations

import heapq
import ipaddress
from collections.abc import Callable
from operator import attrgetter

from netappliance.tracker.conntrack.ctnetlink import endpoint

OTHER = "other"
CANDIDATES_PER_SERIES = 16
"""Remote ends that are counted one by one, as a multiple of the series budget; those beyond are one number."""
MAX_CANDIDATES = 65536
"""The same, however large the budget is (unless it is larger itself)."""
_LIVE = 4
"""What an opening or open connection weighs in the ranking; one that is over weighs 1."""

_STAY = 1.25
"""A series keeps its place until another host is busier by this factor, so that two do not take turns."""

Ignore = Callable[[bytes, int], bool]


class Host:
    """
    One remote end.

    :ivar packed, port: the end itself; no address where the host stands for several.
    :ivar label: what it is called, by default the end as text.
    :ivar gauges: connections now by index of totals.GAUGES. :ivar used: when that last changed.
    :ivar score: its weight at the last ranking, halved with time. :ivar shown: it has a series of its own.
    """

    __slots__ = ("_label", "gauges", "packed", "port", "score", "shown", "used")

    def __init__(self, label: str | None, packed: bytes = b"", port: int = 0) -> None:
        self._label = label
        self.packed = packed
        self.port = port
        self.gauges = [0] * 5
        self.used = 0.0
        self.score = 0.0
        self.shown = False

    @property
    def label(self) -> str:
        """Made when first asked for: most hosts are never shown."""
        label = self._label
        if label is None:
            label = self._label = endpoint(self.packed, self.port)
        return label

    @property
    def weight(self) -> int:
        """How busy it is: 0 without connections."""
        opening, opened, closing, closed, _ = self.gauges
        return _LIVE * (opening + opened) + closing + closed


def network_range(text: str) -> tuple[bytes, bytes]:
    """Return the first and last packed address of an address or network; ValueError when it is none."""
    network = ipaddress.ip_network(text.strip(), strict=False)
    return network.network_address.packed, network.broadcast_address.packed


def ignore_rule(text: str) -> Ignore:
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
        low, high = network_range(where)
    except ValueError:
        raise ValueError("an address, a network or address:port") from None

    def ignored(packed: bytes, remote_port: int) -> bool:
        return len(packed) == len(low) and low <= packed <= high and port in (0, remote_port)

    return ignored


class Hosts:
    """
    Remote ends by (packed address, port or 0).

    :param limit: series. :param keep_s: seconds that zeros of an idle series stay.
    :ivar candidates: hosts that are counted one by one.
    :ivar overflow: stands for all that found no room as a candidate. :ivar overflowed: how often that happened.
    """

    def __init__(self, limit: int, keep_s: float) -> None:
        self.limit = limit
        self.keep_s = keep_s
        self.overflow = Host(OTHER)
        self.overflowed = 0
        self.candidates = max(limit, min(limit * CANDIDATES_PER_SERIES, MAX_CANDIDATES))
        self._known: dict[tuple[bytes, int], Host] = {}
        self._shown: list[Host] = []
        self._ranked = 0.0

    def __len__(self) -> int:
        """Hosts counted one by one."""
        return len(self._known)

    def find(self, packed: bytes, port: int, now: float) -> Host:
        """Return the host of a remote end; while the budget has room it is shown at once."""
        key = (packed, port)
        host = self._known.get(key)
        if host is None:
            if len(self._known) >= self.candidates:
                self.overflowed += 1
                return self.overflow
            host = self._known[key] = Host(None, packed, port)
            host.used = now
            if len(self._shown) < self.limit:
                host.shown = True
                self._shown.append(host)
        return host

    @property
    def shown(self) -> tuple[Host, ...]:
        """The hosts that have a series of their own."""
        return tuple(self._shown)

    def series(self) -> list[Host]:
        """Return the hosts to show and, last, one called other with the sum of the rest."""
        rest = Host(OTHER)
        for host in (*self._known.values(), self.overflow):
            if not host.shown:
                rest.gauges = [left + right for left, right in zip(rest.gauges, host.gauges, strict=True)]
        return [*self._shown, rest]

    def rank(self, now: float) -> bool:
        """
        Show the busiest; forget those shown that have had no connection for ``keep_s``, and others that have none.

        Call every few seconds.

        :return: hosts were forgotten, so that nobody may give their objects to new connections.
        """
        passed, self._ranked = now - self._ranked, now
        fade = 0.5 ** (passed / max(self.keep_s / 4, 1.0))
        idle = []
        for key, host in self._known.items():
            weight = host.weight
            host.score = max(weight, host.score * fade)
            if not weight and not host.gauges[-1] and (not host.shown or now - host.used > self.keep_s):
                idle.append(key)
        for key in idle:
            del self._known[key]
        for host in self._shown:
            host.score *= _STAY
        self._show(heapq.nlargest(self.limit, self._known.values(), key=attrgetter("score")))
        return bool(idle)

    def _show(self, best: list[Host]) -> None:
        for host in self._shown:
            host.shown = False
            host.score /= _STAY
        for host in best:
            host.shown = True
        self._shown = best
