"""Names of remote hosts by reverse lookups, without waiting for any."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.names.client import Resolver
from twisted.names.dns import PTR
from twisted.python.failure import Failure

from netappliance.tracker.counting.hosts import Host

KEEP_S = 1800.0
"""A name is asked for again after this long (seconds)."""

RETRY_S = 300.0
"""The same for an address that has no name, or whose name service did not answer."""

PARALLEL = 8
"""Questions that are out at the same time."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,252}")

Lookup = Callable[[bytes], "Deferred[str]"]


def reverse_lookup(
    reactor: Any, resolv_conf: Path = Path("/etc/resolv.conf"), make_resolver: Callable[..., Any] = Resolver
) -> Lookup:
    """Return a function that asks the name servers of this host for the name of a packed address."""
    try:
        words = [line.split() for line in resolv_conf.read_text(errors="replace").splitlines()]
    except OSError:
        words = []
    servers = [(each[1], 53) for each in words if each[:1] == ["nameserver"] and len(each) > 1]
    resolver = make_resolver(servers=servers or [("127.0.0.1", 53)], timeout=(1, 3), reactor=reactor)

    def lookup(packed: bytes) -> Deferred[str]:
        asked: Deferred[Any] = resolver.lookupPointer(ipaddress.ip_address(packed).reverse_pointer)
        return asked.addCallback(_first_name)

    return lookup


def _first_name(answer: Any) -> str:
    for record in answer[0]:
        if record.type == PTR:
            return bytes(record.payload.name.name).decode("ascii", "replace")
    return ""


class Names:
    """
    Names of hosts that have a series; so many are remembered and no more.

    What a name service says is a name only where it looks like one: it is the peer's to choose.

    :param lookup: returns a Deferred of the name of a packed address.
    :ivar failures: questions without an answer or a name.
    """

    def __init__(self, lookup: Lookup) -> None:
        self.failures = 0
        self._lookup = lookup
        self._known: dict[bytes, tuple[str, float]] = {}
        self._out: set[bytes] = set()

    def __len__(self) -> int:
        """Addresses whose name, or lack of one, is known."""
        return len(self._known)

    def refresh(self, shown: Iterable[Host], now: float) -> None:
        """Forget who is not shown any more, and ask for names that are missing or old. Call every few seconds."""
        wanted = {host.packed for host in shown if host.packed}
        self._known = {packed: known for packed, known in self._known.items() if packed in wanted}
        for packed in wanted:
            if len(self._out) >= PARALLEL:
                return
            if packed not in self._out and self._known.get(packed, ("", 0.0))[1] <= now:
                self._ask(packed, now)

    def label(self, host: Host) -> str:
        """Return the host's label, with its name for the address where there is one."""
        name = self._known.get(host.packed, ("", 0.0))[0]
        if not name:
            return host.label
        return f"{name}:{host.port}" if host.port else name

    def _ask(self, packed: bytes, now: float) -> None:
        self._out.add(packed)

        def found(name: str) -> None:
            name = name.rstrip(".")
            good = _NAME.fullmatch(name) is not None
            self.failures += not good
            self._known[packed] = (name, now + KEEP_S) if good else ("", now + RETRY_S)

        def failed(_failure: Failure) -> None:
            self.failures += 1
            old = self._known.get(packed, ("", 0.0))[0]  # a name stays while its service is away
            self._known[packed] = (old, now + RETRY_S)

        def done(_result: object) -> None:
            self._out.discard(packed)

        self._lookup(packed).addCallbacks(found, failed).addBoth(done)
