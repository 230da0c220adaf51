"""The section of the filter concatenate."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option

_SIDES = values.choice("nothing", "append", "prepend")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcatenateSection:
    """Adds bytes to each datagram; one that would become too large for UDP is dropped."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="concatenate", example="concatenate")
    on_read: str = option(_SIDES, "nothing", doc="On the way to the backend.")
    on_write: str = option(_SIDES, "nothing", doc="On the way to the client.")
    bytes: bytes = option(values.base64_bytes, required=True, unit="base64", doc="What is added.", example="aGVsbG8=")
