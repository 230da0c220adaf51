"""The section of the filter capture."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.regex import Regex
from netappliance.config.schema import option
from netappliance.udp.filters.metadata import METADATA_KEY_DOC, metadata_key

#: bytes of a datagram that every expression can be looked for in: those of an Ethernet frame
PLAIN_DATAGRAM = 1500


def bytes_regex(text: str) -> Regex | None:
    """A regular expression over bytes; the text is UTF-8. Empty = none."""
    return Regex(text.encode(), PLAIN_DATAGRAM) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSection:
    """Takes a piece of each datagram from a client into the metadata; a datagram without it is dropped."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="capture", example="capture")
    strategy: str = option(values.choice("prefix", "suffix", "offset", "regex"), "suffix", doc="Where the piece is.")
    size: int = option(values.integer(0, 65507), "0", unit="bytes", doc="Length of the piece (prefix, suffix, offset).")
    offset: int = option(values.integer(0, 65507), "0", unit="bytes", doc="Where the piece begins (offset).")
    pattern: Regex | None = option(  # noqa: RUF009
        bytes_regex,
        unit="regex",
        doc="What the piece matches (regex); its first group where it has one. A datagram that is too long for it is "
        "dropped: beyond 262144 bytes divided by the instructions of its program (some ten for a short one).",
    )
    remove: bool = option(values.boolean, "no", doc="Cut the piece out of the payload.")
    metadata_key: str = option(metadata_key, "quilkin.dev/capture", unit="name", doc=METADATA_KEY_DOC)
