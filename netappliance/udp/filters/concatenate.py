"""Put fixed bytes in front of or behind each datagram."""

from __future__ import annotations

from dataclasses import dataclass

from mypy_extensions import mypyc_attr

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.udp.datagram import MAX_PAYLOAD, Datagram, DatagramFilter, Drop, Resources

_SIDES = values.choice("nothing", "append", "prepend")


@mypyc_attr(native_class=False)
@dataclass(frozen=True, slots=True, kw_only=True)
class ConcatenateSection:
    """Adds bytes to each datagram; one that would become too large for UDP is dropped."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="concatenate", example="concatenate")
    on_read: str = option(_SIDES, "nothing", doc="On the way to the backend.")
    on_write: str = option(_SIDES, "nothing", doc="On the way to the client.")
    bytes: bytes = option(values.base64_bytes, required=True, unit="base64", doc="What is added.", example="aGVsbG8=")


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
