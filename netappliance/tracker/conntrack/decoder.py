"""
Decoding ctnetlink entries at the speed of ``struct``. Sans-I/O.

Messages of a kernel come in few layouts: the same attributes of the same lengths in the same order. The first message
of a layout is walked attribute by attribute; what the walk found becomes a mask over its headers and one ``Struct``
over its values. A later message of that length whose headers are equal is decoded by one unpack, a run of them by one
comparison for all; others are walked.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

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

MAX_LAYOUTS = 256
"""Layouts remembered; messages of further ones are walked, which is slower and gives the same."""

RUN = 16
"""Messages of one layout in a row that are compared together, as in a dump."""

_FIELDS = {name: index for index, name in enumerate(Change._fields)}
_ABSENT: tuple[Any, ...] = (0, b"", b"", 0) + (-1,) * (len(_FIELDS) - 4)
#: attribute path (types without flags) -> (field, code of struct, length of its value)
_VALUES = {
    (3,): ("status", "I", 4),
    (4, 1, 1): ("state", "B", 1),
    (7,): ("timeout", "I", 4),
    (8,): ("mark", "I", 4),
    (9, 1): ("orig_packets", "Q", 8),
    (9, 2): ("orig_bytes", "Q", 8),
    (10, 1): ("reply_packets", "Q", 8),
    (10, 2): ("reply_bytes", "Q", 8),
    (12,): ("ident", "I", 4),
    (18,): ("zone", "H", 2),
    (20, 1): ("start_ns", "Q", 8),
    (20, 2): ("stop_ns", "Q", 8),
    (27,): ("event_ns", "Q", 8),
}
_TUPLES = {(1,): "orig", (2,): "reply"}
_NESTS = {(1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2), (4,), (4, 1), (9,), (10,), (20,)}
#: the shortest tuple that can be one: addresses of IPv4 and a protocol number
_SHORTEST_TUPLE = 32

_change: Callable[[tuple[Any, ...]], Change] = partial(tuple.__new__, Change)


class Layout:
    """How to decode messages that look like one that was walked."""

    __slots__ = ("expected", "mask", "pick", "rest", "run_expected", "run_mask", "size", "unpack", "unpack_run")

    def __init__(self, message: bytes, headers: list[int], values: dict[str, tuple[int, str]], kind: int) -> None:
        """:param headers: offsets of all attribute headers. :param values: field -> (offset, code of struct)."""
        self.size = len(message)
        mask = bytearray(len(message))
        mask[:8] = b"\xff" * 8  # length, type and flags
        for offset in headers:
            mask[offset : offset + 4] = b"\xff" * 4
        self.mask = int.from_bytes(mask, "little")
        self.expected = int.from_bytes(message, "little") & self.mask
        run = int.from_bytes((b"\1" + bytes(len(message) - 1)) * RUN, "little")
        self.run_mask, self.run_expected = self.mask * run, self.expected * run
        order = sorted(values.items(), key=lambda item: item[1][0])
        code, end = ">", 0
        for _, (offset, each) in order:
            code += f"{offset - end}x{each}"
            end = offset + struct.calcsize(">" + each)
        whole = struct.Struct(f"{code}{len(message) - end}x")
        self.unpack, self.unpack_run = whole.unpack_from, whole.iter_unpack
        self.rest = (kind, *_ABSENT[1:])
        places = {name: index for index, (name, _) in enumerate(order)}
        self.pick = operator.itemgetter(*(places.get(name, len(order) + at) for name, at in _FIELDS.items()))

    def take_run(self, run: bytes, changes: list[Change]) -> bool:
        """Decode RUN messages of this layout in a row and add them; False when they are not."""
        if int.from_bytes(run, "little") & self.run_mask != self.run_expected:
            return False
        pick, rest = self.pick, self.rest
        changes += [_change(pick(values + rest)) for values in self.unpack_run(run)]
        return True


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
        return None if layout is None else _change(layout.pick(layout.unpack(data) + layout.rest))

    def decode(self, data: bytes) -> Batch:
        """Decode everything of one receive."""
        changes: list[Change] = []
        done, errno, malformed = False, 0, 0
        offset, size, no_run = 0, len(data), 0
        while offset + 16 <= size:
            length, kind, flags, _, _ = HEADER.unpack_from(data, offset)
            end = offset + length
            if length < 16 or end > size:
                return Batch(changes, done, errno, malformed + 1)
            known = self._layouts.get(data[offset : offset + 8])
            if known is not None and offset >= no_run:
                no_run = offset + RUN * length
                if no_run <= size and known[0].take_run(data[offset:no_run], changes):
                    offset = no_run
                    continue
            layout = None if known is None else _matching(known, data[offset:end])
            if layout is not None:
                changes.append(_change(layout.pick(layout.unpack(data, offset) + layout.rest)))
            elif kind >> 8 == NFNL_CTNETLINK:
                change = self._learn(data[offset:end], event_kind(kind, flags))
                if change is None:
                    malformed += 1
                else:
                    changes.append(change)
            elif kind in (NLMSG_DONE, NLMSG_ERROR):
                done = done or kind == NLMSG_DONE
                errno = errno or refusal(data, offset, length)
            offset += (length + 3) & ~3
        return Batch(changes, done, errno, malformed + (0 < size - offset < 16))

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
        return _change(layout.pick(layout.unpack(message) + layout.rest))


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
            if here in _TUPLES and body >= _SHORTEST_TUPLE:
                values.setdefault(_TUPLES[here], (offset + 4, f"{body}s"))
            elif here in _VALUES and body >= _VALUES[here][2]:
                values.setdefault(_VALUES[here][0], (offset + 4, _VALUES[here][1]))
            if here in _NESTS:
                todo.append((here, offset + 4, offset + length))
            offset += (length + 3) & ~3
    return (headers, values) if "orig" in values and "reply" in values else None
