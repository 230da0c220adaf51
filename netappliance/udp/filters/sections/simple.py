"""Sections of the filters drop, pass, debug and timestamp."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.udp.filters.metadata import METADATA_KEY_DOC, metadata_key


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSection:
    """Drops every datagram."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="drop", example="drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSection:
    """Passes every datagram; a branch of match, or a place to be filled later."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="pass", example="pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugSection:
    """Logs every datagram; for looking at a chain, not for production."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="debug", example="debug")
    id: str = option(values.text, unit="text", doc="Stands in front of each line.")
    max_bytes: int = option(values.integer(0, 65507), "256", unit="bytes", doc="Of each payload that is shown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampSection:
    """Measures how old datagrams are, by a time of their sender in the metadata; never drops."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="timestamp", example="timestamp")
    metadata_key: str = option(metadata_key, "quilkin.dev/capture", unit="name", doc=METADATA_KEY_DOC)
