"""Take a piece of the payload into the metadata, and maybe out of the payload."""

from __future__ import annotations

from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.capture import CaptureSection


class Capture(DatagramFilter):
    """The piece is bytes in every case: of several matches of a regex the first counts."""

    def __init__(self, section: CaptureSection) -> None:
        if section.strategy == "regex" and section.pattern is None:
            raise ValueError("pattern: strategy = regex needs one")
        if section.strategy != "regex" and not section.size:
            raise ValueError(f"size: strategy = {section.strategy} needs one above 0")
        self._section = section
        self._key = section.metadata_key
        self._size = section.size
        self._remove = section.remove
        self._strategy = section.strategy

    def read(self, datagram: Datagram) -> Drop | None:
        """Capture, or drop."""
        payload = datagram.payload
        where = self._find(payload)
        if where is None:
            return Drop.CAPTURE_FAILED
        start, end = where
        datagram.metadata[self._key] = payload[start:end]
        if self._remove:
            datagram.payload = payload[:start] + payload[end:]
        return None

    def _find(self, payload: bytes) -> tuple[int, int] | None:
        """Return where the piece begins and ends."""
        size, length = self._size, len(payload)
        strategy = self._strategy
        if strategy == "suffix":
            return (length - size, length) if length >= size else None
        if strategy == "prefix":
            return (0, size) if length >= size else None
        if strategy == "offset":
            start = self._section.offset
            return (start, start + size) if length >= start + size else None
        return self._match(payload)

    def _match(self, payload: bytes) -> tuple[int, int] | None:
        pattern = self._section.pattern
        return pattern.span(payload) if pattern is not None and len(payload) <= pattern.reach else None


def make(section: CaptureSection, resources: Resources) -> Capture:
    """Build it."""
    return Capture(section)
