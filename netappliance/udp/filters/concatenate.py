"""Put fixed bytes in front of or behind each datagram."""

from __future__ import annotations

from netappliance.udp.datagram import MAX_PAYLOAD, Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.concatenate import ConcatenateSection


class Concatenate(DatagramFilter):
    """Both sides add the same bytes."""

    def __init__(self, section: ConcatenateSection) -> None:
        self._on_read = section.on_read
        self._on_write = section.on_write
        self._added = section.bytes

    def read(self, datagram: Datagram) -> Drop | None:
        """Add."""
        return self._add(self._on_read, datagram)

    def write(self, datagram: Datagram) -> Drop | None:
        """Add."""
        return self._add(self._on_write, datagram)

    def _add(self, how: str, datagram: Datagram) -> Drop | None:
        if how == "nothing":
            return None
        if len(datagram.payload) + len(self._added) > MAX_PAYLOAD:
            return Drop.TOO_LARGE
        datagram.payload = datagram.payload + self._added if how == "append" else self._added + datagram.payload
        return None


def make(section: ConcatenateSection, resources: Resources) -> Concatenate:
    """Build it."""
    return Concatenate(section)
