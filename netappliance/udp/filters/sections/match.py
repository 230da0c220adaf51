"""The section of the filter match."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
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
