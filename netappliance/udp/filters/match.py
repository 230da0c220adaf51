"""Run one of several filters, by the value of a metadata key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mypy_extensions import mypyc_attr

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.metadata import METADATA_KEY_DOC, metadata_key


def branches(text: str) -> tuple[tuple[bytes, str], ...]:
    """Lines of ``VALUE FILTER``; a value is text, or base64 behind ``base64:``."""
    found = []
    for line in values.lines(text):
        value, _, name = line.partition(" ")
        if not name.strip():
            raise ValueError(f"VALUE FILTER, not {line!r}")
        raw = values.base64_bytes(value[7:]) if value.startswith("base64:") else value.encode()
        found.append((raw, name.strip()))
    if len({raw for raw, _ in found}) != len(found):
        raise ValueError("each value once")
    return tuple(found)


@mypyc_attr(native_class=False)
@dataclass(frozen=True, slots=True, kw_only=True)
class MatchSection:
    """Runs the filter of the branch whose value the metadata has, else the one of fallthrough."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="match", example="match")
    metadata_key: str = option(metadata_key, "quilkin.dev/capture", unit="name", doc=METADATA_KEY_DOC)
    on_read: tuple[tuple[bytes, str], ...] = option(
        branches,
        unit="branches",
        doc="One a line: VALUE FILTER, with VALUE as text or base64:... and FILTER as in filters.",
    )
    on_write: tuple[tuple[bytes, str], ...] = option(
        branches, unit="branches", doc="The same on the way to the client, by what the read side captured."
    )
    fallthrough: str = option(values.text, "drop", unit="filter", doc="For values without a branch, and for no value.")


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
