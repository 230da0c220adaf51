"""Connections of other network namespaces of this host, by name as ``ip netns`` knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from netappliance.tracker.counting.totals import GAUGES, HOW
from netappliance.tracker.network import network_at
from netappliance.tracker.sources import Sources

if TYPE_CHECKING:
    from netappliance.tracker.section import TrackerSection

FOLDER = Path("/run/netns")
RETRY_S = 30.0
"""How often a namespace that is there and cannot be looked at is tried again (seconds)."""

_RANK_S = 5.0


@dataclass
class Sums:
    """What a namespace's connections add up to: opened, and ended by index of totals.HOW."""

    opened: int = 0
    closed: list[int] = field(default_factory=lambda: [0] * len(HOW))


class Namespace:
    """
    One namespace, that may come and go.

    While a socket of ours is open in it the kernel keeps a namespace alive that has been deleted, so its name is looked
    at every second, and all sockets are closed when it stands for another namespace or for none.

    :ivar sources: those of the namespace as it is now; None while it is not there.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        section: TrackerSection,
        reactor: Any,
        clock: Callable[[], float],
        folder: Path = FOLDER,
    ) -> None:
        self.name = name
        self.sources: Sources | None = None
        self._section = section
        self._reactor = reactor
        self._clock = clock
        self._path = folder / name
        self._identity: tuple[int, int] | None = None
        self._told = False
        self._before = Sums()
        self._tried = self._ranked = self._reconciled = 0.0

    @property
    def up(self) -> bool:
        """True while its connections are read."""
        return self.sources is not None and self.sources.source.up

    def check(self, now: float) -> None:
        """Follow the namespace, and let its sources do what is due. Call once a second."""
        try:
            found = self._path.stat()
            identity: tuple[int, int] | None = (found.st_dev, found.st_ino)
        except OSError:
            identity = None
        if identity != self._identity:
            self.stop()
            self._told = self._identity is not None
            if self._told:
                self._log.warn("[tracker] namespace {name} has vanished", name=self.name)
            self._identity = identity
            self._tried = now - RETRY_S
        if identity is None:
            if not self._told:
                self._told = True
                self._log.warn("[tracker] there is no namespace {name}", name=self.name)
        elif self.up:
            self._work(now)
        elif now - self._tried >= RETRY_S:
            self._start(now)

    def stop(self) -> None:
        """Close all sockets; what was counted stays counted."""
        if self.sources is not None:
            self.sources.stop()
            self._before = self.sums()
            self.sources = None

    def sums(self) -> Sums:
        """Return what was counted since the start, over all namespaces of that name."""
        before = self._before
        result = Sums(before.opened, list(before.closed))
        if self.sources is not None:
            for totals in self.sources.places.totals.values():
                result.opened += totals.opened
                result.closed = [mine + more for mine, more in zip(result.closed, totals.closed, strict=True)]
        return result

    def gauges(self) -> list[int]:
        """Return its connections now by index of totals.GAUGES."""
        if self.sources is None:
            return [0] * len(GAUGES)
        everyone = [totals.gauges for totals in self.sources.places.totals.values()]
        return [sum(each[index] for each in everyone) for index in range(len(GAUGES))]

    def _start(self, now: float) -> None:
        self._tried = self._ranked = self._reconciled = now
        if self.sources is None:
            self.sources = Sources(
                self._section, self._reactor, self._clock, frozenset(), network_at(self._path), self.name
            )
        self.sources.look_around(now)
        try:
            self.sources.start()
        except OSError as problem:
            self._log.warn("[tracker] namespace {name}: {why}", name=self.name, why=problem.strerror)

    def _work(self, now: float) -> None:
        assert self.sources is not None
        if now - self._ranked >= _RANK_S:
            self._ranked = now
            self.sources.look_around(now)
            self.sources.reconsider(now)
        self.sources.check(now)
        if now - self._reconciled >= self._section.reconcile_s:
            self._reconciled = now
            self.sources.source.resync()


class Namespaces:
    """The namespaces that ``[tracker] namespaces`` names."""

    def __init__(self, section: TrackerSection, reactor: Any, clock: Callable[[], float]) -> None:
        self.by_name = {name: Namespace(name, section, reactor, clock) for name in section.namespaces}

    def __iter__(self) -> Iterator[Namespace]:
        """In the order of the configuration."""
        return iter(self.by_name.values())

    def sources_of(self, name: str) -> Sources | None:
        """Return what tells of a namespace; None when it is not there."""
        namespace = self.by_name.get(name)
        return namespace.sources if namespace is not None else None

    def check(self, now: float) -> None:
        """Call once a second."""
        for namespace in self.by_name.values():
            namespace.check(now)

    def stop(self) -> None:
        """Close all sockets."""
        for namespace in self.by_name.values():
            namespace.stop()
