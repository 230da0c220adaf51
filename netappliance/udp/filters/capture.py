"""Take a piece of the payload into the metadata, and maybe out of the payload."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mypy_extensions import mypyc_attr

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.metadata import METADATA_KEY_DOC, metadata_key


def bytes_regex(text: str) -> re.Pattern[bytes] | None:
    """A regular expression over bytes; the text is UTF-8. Empty = none."""
    if not text:
        return None
    values.regex(text)
    return re.compile(text.encode())


@mypyc_attr(native_class=False)
@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSection:
    """Takes a piece of each datagram from a client into the metadata; a datagram without it is dropped."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="capture", example="capture")
    strategy: str = option(values.choice("prefix", "suffix", "offset", "regex"), "suffix", doc="Where the piece is.")
    size: int = option(values.integer(0, 65507), "0", unit="bytes", doc="Length of the piece (prefix, suffix, offset).")
    offset: int = option(values.integer(0, 65507), "0", unit="bytes", doc="Where the piece begins (offset).")
    pattern: re.Pattern[bytes] | None = option(  # noqa: RUF009
        bytes_regex, unit="regex", doc="What the piece matches (regex); its first group where it has one."
    )
    remove: bool = option(values.boolean, "no", doc="Cut the piece out of the payload.")
    metadata_key: str = option(metadata_key, "quilkin.dev/capture", unit="name", doc=METADATA_KEY_DOC)


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
        strategy = section.strategy
        self._find = {"prefix": self._prefix, "suffix": self._suffix, "offset": self._at, "regex": self._match}[
            strategy
        ]

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

    def _prefix(self, payload: bytes) -> tuple[int, int] | None:
        return (0, self._size) if len(payload) >= self._size else None

    def _suffix(self, payload: bytes) -> tuple[int, int] | None:
        length = len(payload)
        return (length - self._size, length) if length >= self._size else None

    def _at(self, payload: bytes) -> tuple[int, int] | None:
        start = self._section.offset
        return (start, start + self._size) if len(payload) >= start + self._size else None

    def _match(self, payload: bytes) -> tuple[int, int] | None:
        pattern = self._section.pattern
        match = pattern.search(payload) if pattern is not None else None
        if match is None:
            return None
        span = match.span(1 if match.re.groups else 0)
        return span if span[0] >= 0 else None


def make(section: CaptureSection, resources: Resources) -> Capture:
    """Build it."""
    return Capture(section)
