"""The section of the filter compress."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option

_SIDES = values.choice("nothing", "compress", "decompress")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressSection:
    """Compresses or decompresses payloads; what cannot be decompressed, or becomes too large, is dropped."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="compress", example="compress")
    mode: str = option(values.choice("snappy", "lz4"), "snappy", doc="The wire format.")
    on_read: str = option(_SIDES, "nothing", doc="On the way to the backend.")
    on_write: str = option(_SIDES, "nothing", doc="On the way to the client.")
