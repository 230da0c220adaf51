"""The filters that fit on a page together: drop, pass, debug, timestamp, and a class of yours."""

from __future__ import annotations

from typing import Any

from netappliance.filters.python import PythonSection, made_from
from netappliance.metrics.histogram import Histogram
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.simple import DebugSection, DropSection, PassSection, TimestampSection


class DropAll(DatagramFilter):
    """Both ways."""

    def read(self, datagram: Datagram) -> Drop | None:
        """Drop."""
        return Drop.FILTERED

    def write(self, datagram: Datagram) -> Drop | None:
        """Drop."""
        return Drop.FILTERED


def make_drop(section: DropSection, resources: Resources) -> DropAll:
    """Build it."""
    return DropAll()


def make_pass(section: PassSection, resources: Resources) -> DatagramFilter:
    """Build it."""
    return DatagramFilter()


class Debug(DatagramFilter):
    """Payloads are shown as Python literals, so nothing in them reaches a terminal."""

    def __init__(self, section: DebugSection, resources: Resources) -> None:
        self._section = section
        self._log = resources.log

    def read(self, datagram: Datagram) -> Drop | None:
        """Log."""
        return self._say("read", datagram)

    def write(self, datagram: Datagram) -> Drop | None:
        """Log."""
        return self._say("write", datagram)

    def _say(self, side: str, datagram: Datagram) -> Drop | None:
        shown = datagram.payload[: self._section.max_bytes]
        size = len(datagram.payload)
        self._log(f"{self._section.id or self._section.name} {side} {datagram.source} {size} bytes: {shown!r}")
        return None


def make_debug(section: DebugSection, resources: Resources) -> Debug:
    """Build it."""
    return Debug(section, resources)


AGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Timestamp(DatagramFilter):
    """The value is 8 bytes, big-endian, signed: seconds since the epoch; others are ignored, and counted."""

    def __init__(self, section: TimestampSection, resources: Resources) -> None:
        self._key = section.metadata_key
        self._wall = resources.wall
        self.ages = Histogram(AGE_BUCKETS)
        self.ignored = 0

    def read(self, datagram: Datagram) -> Drop | None:
        """Observe."""
        return self._observe(datagram)

    def write(self, datagram: Datagram) -> Drop | None:
        """Observe."""
        return self._observe(datagram)

    def figures(self) -> dict[str, int]:
        """Datagrams without a usable time."""
        return {"ignored": self.ignored}

    def _observe(self, datagram: Datagram) -> Drop | None:
        value = datagram.metadata.get(self._key)
        if isinstance(value, bytes) and len(value) == 8:
            self.ages.observe(self._wall() - int.from_bytes(value, "big", signed=True))
        else:
            self.ignored += 1
        return None


def make_timestamp(section: TimestampSection, resources: Resources) -> Timestamp:
    """Build it."""
    return Timestamp(section, resources)


def make_python(section: PythonSection, resources: Resources) -> Any:
    """
    Import and make a class of the operator's.

    :raises ValueError: it cannot be imported or made, or lacks a method.
    """
    made, has = made_from(section, ("read", "write"))
    for method in ("read", "write"):
        if method not in has:
            raise ValueError(f"class: {section.factory} has no {method}(datagram)")
    return made
