"""
A scrape in slices: a fleet's samples are tens of thousands, and traffic goes on between any few hundred of them.

The text is the library's own, family by family; a large family is encoded in pieces, whose comments are left out but
for the first one's.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

#: seconds of work until others have their turn
SLICE_S: Final = 0.002
#: samples that are encoded at once: some tenths of a millisecond
PIECE: Final = 200

#: what prometheus_client makes of a registry
Encoder = Callable[[Collector], bytes]

_END = b"# EOF\n"
#: samples that the text format moves to a family of their own
_MOVED = ("_created", "_gsum", "_gcount")


class SlicedRegistry(CollectorRegistry):
    """A registry that knows where the work of its collectors can be interrupted."""

    def __init__(self) -> None:
        super().__init__(auto_describe=False)
        self._parts: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """Add a collector; one with ``steps`` yields None between its families, where it may be interrupted."""
        super().register(collector)
        self._parts.append(collector)

    def steps(self) -> Iterator[Metric | None]:
        """Yield every family, and None in between."""
        for part in list(self._parts):
            found = getattr(part, "steps", part.collect)
            yield from found()
            yield None


async def scrape(
    steps: Iterator[Metric | None], encoder: Encoder, clock: Callable[[], float], pause: Callable[[], Awaitable[object]]
) -> bytes:
    """
    Encode families as ``encoder`` would encode all of them.

    :param steps: the families, and None where the work may be interrupted too. :param clock: monotonic seconds.
    :param pause: gives way to others, until it is awaited to its end.
    """
    end = encoder(_Families())
    out: list[bytes] = []
    began = clock()
    for family in steps:
        for first, piece in _pieces(family):
            text = encoder(_Families(piece)).removesuffix(end)
            out.append(text if first else _without_comments(text))
            if clock() - began >= SLICE_S:
                await pause()
                began = clock()
        if clock() - began >= SLICE_S:
            await pause()
            began = clock()
    return b"".join((*out, end))


class _Families(Collector):
    """These families, for an encoder."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._families


def _pieces(family: Metric | None) -> Iterator[tuple[bool, Metric]]:
    """Yield (whether it is the first, a part of the family that is encoded at once)."""
    if family is None:
        return
    samples = family.samples
    if len(samples) <= PIECE or any(sample.name.endswith(_MOVED) for sample in samples):
        yield True, family
        return
    for start in range(0, len(samples), PIECE):
        piece = copy.copy(family)
        piece.samples = samples[start : start + PIECE]
        yield not start, piece


def _without_comments(text: bytes) -> bytes:
    start = 0
    while text.startswith(b"# ", start):
        start = text.index(b"\n", start) + 1
    return text[start:]
