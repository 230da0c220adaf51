"""Run one of several filters, by the value of a metadata key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.match import MatchSection


class Match(DatagramFilter):
    """A side without branches passes everything. ``matched`` and ``fell_through`` count."""

    def __init__(self, section: MatchSection, resources: Resources) -> None:
        if not section.on_read and not section.on_write:
            raise ValueError("on_read: it or on_write needs a branch")
        self._key = section.metadata_key
        self._on_read = {value: resources.build(name) for value, name in section.on_read}
        self._on_write = {value: resources.build(name) for value, name in section.on_write}
        self._fallthrough = resources.build(section.fallthrough)
        self.matched = 0
        self.fell_through = 0

    def read(self, datagram: Datagram) -> Drop | None:
        """Run the branch's read side."""
        if not self._on_read:
            return None
        drop: Drop | None = self._choose(self._on_read, datagram).read(datagram)
        return drop

    def write(self, datagram: Datagram) -> Drop | None:
        """Run the branch's write side."""
        if not self._on_write:
            return None
        drop: Drop | None = self._choose(self._on_write, datagram).write(datagram)
        return drop

    def figures(self) -> dict[str, int]:
        """Datagrams with and without a branch."""
        return {"matched": self.matched, "fell_through": self.fell_through}

    def _choose(self, sides: Mapping[bytes, Any], datagram: Datagram) -> Any:
        value = datagram.metadata.get(self._key)
        chosen = sides.get(value) if isinstance(value, bytes) else None
        if chosen is None:
            self.fell_through += 1
            return self._fallthrough
        self.matched += 1
        return chosen


def make(section: MatchSection, resources: Resources) -> Match:
    """Build it and its branches."""
    return Match(section, resources)
