"""
Decoding ctnetlink messages, one by one or a receive of a dump at once. Sans-I/O.

The first message of a layout is walked attribute by attribute and remembered. A later message whose headers are equal
is decoded as the layout says, others are walked.
"""

from __future__ import annotations

from typing import NamedTuple

from netappliance.tracker.conntrack.ctnetlink import (
    ATTRIBUTE,
    HEADER,
    NFNL_CTNETLINK,
    NLMSG_DONE,
    NLMSG_ERROR,
    PAYLOAD,
    Batch,
    Change,
    event_kind,
    refusal,
)
from netappliance.tracker.conntrack.layout import FEW, FIELD_OF, TUPLE_OF, Layout, Run

MAX_LAYOUTS = 256
"""Layouts remembered; messages of further ones are walked, which is slower and gives the same."""

_NESTS = {(1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2), (4,), (4, 1), (9,), (10,), (20,)}
#: the shortest tuple that can be one: addresses of IPv4 and a protocol number
_SHORTEST_TUPLE = 32


class Dump(NamedTuple):
    """What one receive of a dump held, in any order: runs, single entries; else as :class:`Batch`."""

    runs: list[Run]
    changes: list[Change]
    done: bool
    errno: int
    malformed: int


def _matching(known: list[Layout], message: bytes) -> Layout | None:
    """Return the layout that fits, and let it be the first to be tried next."""
    bits = int.from_bytes(message, "little")
    for index, layout in enumerate(known):
        if bits & layout.mask == layout.expected:
            if index:
                known.insert(0, known.pop(index))
            return layout
    return None


class Decoder:
    """Decodes what one kernel sends; garbage is counted and left out, never raised."""

    def __init__(self) -> None:
        #: length, type and flags as in the message -> layouts
        self._layouts: dict[bytes, list[Layout]] = {}
        self._known = 0

    def single(self, data: bytes) -> Change | None:
        """Decode a receive that is one message of a known layout, as events are; None: ask :meth:`decode`."""
        known = self._layouts.get(data[:8])
        if known is None or known[0].size != len(data):
            return None
        layout = _matching(known, data)
        return None if layout is None else layout.change(data)

    def decode(self, data: bytes) -> Batch:
        """Decode everything of one receive, in its order."""
        changes: list[Change] = []
        done, errno, malformed = False, 0, 0
        offset, size = 0, len(data)
        while offset + 16 <= size:
            length, kind, flags, _, _ = HEADER.unpack_from(data, offset)
            end = offset + length
            if length < 16 or end > size:
                return Batch(changes, done, errno, malformed + 1)
            if kind >> 8 == NFNL_CTNETLINK:
                change = self._change(data[offset:end], event_kind(kind, flags))
                if change is None:
                    malformed += 1
                else:
                    changes.append(change)
            elif kind in (NLMSG_DONE, NLMSG_ERROR):
                done = done or kind == NLMSG_DONE
                errno = errno or refusal(data, offset, length)
            offset += (length + 3) & ~3
        return Batch(changes, done, errno, malformed + (offset < size))

    def dump(self, data: bytes) -> Dump:
        """Decode a receive of a dump: entries of one layout together."""
        known = self._layouts.get(data[:8])
        if known is not None and known[0].is_run(data):
            return Dump([Run(known[0], data)], [], False, 0, 0)
        alike: dict[bytes, list[bytes]] = {}
        others = []
        offset, size = 0, len(data)
        while offset + 16 <= size:
            length = int.from_bytes(data[offset : offset + 4], "little")
            end = offset + length
            if length < 16 or end > size:
                break
            head = data[offset : offset + 8]
            if head in self._layouts:
                alike.setdefault(head, []).append(data[offset:end])
            else:
                others.append(data[offset : min(offset + ((length + 3) & ~3), size)])
            offset += (length + 3) & ~3
        runs: list[Run] = []
        for head, messages in alike.items():
            others += self._runs(self._layouts[head], messages, runs)
        rest = self.decode(b"".join(others) + data[min(offset, size) :])
        return Dump(runs, *rest)

    @staticmethod
    def _runs(known: list[Layout], messages: list[bytes], runs: list[Run]) -> list[bytes]:
        """Add runs of these messages, which have one length and type; return those of no known layout."""
        whole = b"".join(messages)
        if len(messages) >= FEW and known[0].is_run(whole):
            runs.append(Run(known[0], whole))
            return []
        others = []
        found: dict[Layout, list[bytes]] = {}
        for message in messages:
            layout = _matching(known, message)
            if layout is None:
                others.append(message + bytes(-len(message) % 4))
            else:
                found.setdefault(layout, []).append(message)
        runs += [Run(layout, b"".join(each)) for layout, each in found.items()]
        return others

    def _change(self, message: bytes, kind: int) -> Change | None:
        known = self._layouts.get(message[:8])
        layout = None if known is None else _matching(known, message)
        return self._learn(message, kind) if layout is None else layout.change(message)

    def _learn(self, message: bytes, kind: int) -> Change | None:
        """Walk a message and remember its layout; None when it is malformed or lacks a tuple."""
        walked = _walk(message)
        if walked is None:
            return None
        headers, values = walked
        layout = Layout(message, headers, values, kind)
        if self._known < MAX_LAYOUTS:
            self._known += 1
            self._layouts.setdefault(message[:8], []).append(layout)
        return layout.change(message)


def _walk(message: bytes) -> tuple[list[int], dict[str, tuple[int, str]]] | None:
    """Return the offsets of all headers and where the values are; None when the message is malformed."""
    headers: list[int] = []
    values: dict[str, tuple[int, str]] = {}
    todo: list[tuple[tuple[int, ...], int, int]] = [((), PAYLOAD, len(message))]
    while todo:
        path, offset, end = todo.pop()
        while offset + 4 <= end:
            length, kind = ATTRIBUTE.unpack_from(message, offset)
            if length < 4 or offset + length > end:
                return None
            headers.append(offset)
            here, body = (*path, kind & 0x3FFF), length - 4
            if here in TUPLE_OF and body >= _SHORTEST_TUPLE:
                values.setdefault(TUPLE_OF[here], (offset + 4, f"{body}s"))
            elif here in FIELD_OF and body >= FIELD_OF[here][2]:
                values.setdefault(FIELD_OF[here][0], (offset + 4, FIELD_OF[here][1]))
            if here in _NESTS:
                todo.append((here, offset + 4, offset + length))
            offset += (length + 3) & ~3
    return (headers, values) if "orig" in values and "reply" in values else None
