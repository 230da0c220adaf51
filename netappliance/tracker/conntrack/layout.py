"""
Layouts of ctnetlink entries, and the entries of a dump that share one, column by column. Sans-I/O.

Messages of a kernel come in few layouts: the same attributes of the same lengths in the same order. So the messages of
a dump are records of one length, whose headers are compared, and whose values are taken, all at once.
"""

from __future__ import annotations

import operator
import struct
import sys
from array import array
from collections.abc import Callable
from functools import partial
from itertools import compress
from typing import Any

from netappliance.tracker.conntrack.ctnetlink import TCP, TRANSLATED, Change, has_ports

_FIELDS = {name: index for index, name in enumerate(Change._fields)}
_ABSENT: tuple[Any, ...] = (0, b"", b"", 0) + (-1,) * (len(_FIELDS) - 4)
#: attribute path (types without flags) -> (field, code of struct, length of its value)
FIELD_OF = {
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
#: which octet of a number on the wire comes first, second, third and last in memory
_ORDER = (3, 2, 1, 0) if sys.byteorder == "little" else (0, 1, 2, 3)
#: the other of 0 and 1
NOT = bytes((1, 0)) + bytes(254)

FEW = 8
"""Fewer messages than this are cheaper one by one."""

TUPLE_OF = {(1,): "orig", (2,): "reply"}
#: what a plain entry has, and what it does not need to be asked for
_PLAIN = {"orig", "reply", "status", "ident"}
_MORE = {"state", "timeout", "mark"}
_V4_LENGTH = 48
_UNTRANSLATED = bytes(each for each in range(256) if not each & TRANSLATED)

_change: Callable[[tuple[Any, ...]], Change] = partial(tuple.__new__, Change)


class Layout:
    """
    How to decode messages that look like one that was walked.

    :ivar size: bytes of a message. :ivar mask, expected: an integer over the headers of a message, and what it gives.
    :ivar is_plain: an entry of a port protocol that says no more than status, state and id, so that columns hold all.
    """

    def __init__(self, message: bytes, headers: list[int], values: dict[str, tuple[int, str]], kind: int) -> None:
        """:param headers: offsets of all attribute headers. :param values: field -> (offset, code of struct)."""
        self.size = len(message)
        mask = bytearray(len(message))
        fixed = (0, 4, *headers)  # length, type and flags
        for offset in fixed:
            mask[offset : offset + 4] = b"\xff" * 4
        self.mask = int.from_bytes(mask, "little")
        self.expected = int.from_bytes(message, "little") & self.mask
        self._octets = [(at, message[at : at + 1]) for offset in fixed for at in range(offset, offset + 4)]
        order = sorted(values.items(), key=lambda item: item[1][0])
        code, end = ">", 0
        for _, (offset, each) in order:
            code += f"{offset - end}x{each}"
            end = offset + struct.calcsize(">" + each)
        self._whole = struct.Struct(f"{code}{len(message) - end}x")
        self._rest = (kind, *_ABSENT[1:])
        places = {name: index for index, (name, _) in enumerate(order)}
        self._pick = operator.itemgetter(*(places.get(name, len(order) + at) for name, at in _FIELDS.items()))
        self.offsets = {name: offset for name, (offset, _) in values.items()}
        at, form = values["orig"]
        back, other = values["reply"]
        length = struct.calcsize(form)
        orig, reply = message[at : at + length], message[back : back + length]
        self.tuples = struct.Struct(f"{at}x{form}{len(message) - at - length}x")
        # source, destination, destination port and protocol: octets of the message
        wide, port = (4, 44) if length == _V4_LENGTH else (16, 68)
        inside = (*range(8, 8 + wide), *range(12 + wide, 12 + 2 * wide), port, port + 1, port - 16)
        self.way = [at + each for each in inside]
        self.is_plain = (
            form == other
            and has_ports(orig)
            and has_ports(reply)
            and values.keys() >= _PLAIN
            and values.keys() <= _PLAIN | _MORE
        )

    def change(self, message: bytes) -> Change:
        """Decode a message of this layout."""
        return _change(self._pick(self._whole.unpack(message) + self._rest))

    def changes(self, data: bytes) -> list[Change]:
        """Decode messages of this layout in a row."""
        pick, rest = self._pick, self._rest
        return [_change(pick(values + rest)) for values in self._whole.iter_unpack(data)]

    def is_run(self, data: bytes) -> bool:
        """Return True when these are messages of this layout in a row and nothing else."""
        size = self.size
        if size % 4 or len(data) % size:
            return False
        count = len(data) // size
        for at, octet in self._octets:  # noqa: SIM110 - a generator costs a third more
            if data[at::size] != octet * count:
                return False
        return True


class Run:
    """Entries of a dump that share a layout: :class:`Change` values when asked for, else columns."""

    def __init__(self, layout: Layout, data: bytes) -> None:
        self.layout = layout
        self.data = data

    def __len__(self) -> int:
        """Entries."""
        return len(self.data) // self.layout.size

    def changes(self) -> list[Change]:
        """Return the entries one by one."""
        return self.layout.changes(self.data)

    def is_plain(self) -> bool:
        """Return True when all are of TCP with a state or all of other port protocols, and none is translated."""
        if not self.layout.is_plain or self._octets("status", 3).translate(None, _UNTRANSLATED):
            return False
        tcp = self.data[self.layout.way[-1] :: self.layout.size].count(TCP)
        return tcp == (len(self) if self.has_states else 0)

    @property
    def has_states(self) -> bool:
        """True where messages have a state of TCP."""
        return "state" in self.layout.offsets

    def origs(self) -> list[bytes]:
        """Return the original tuples."""
        return [each for (each,) in self.layout.tuples.iter_unpack(self.data)]

    def ways(self) -> list[bytes]:
        """Return the ways of plain entries, see :meth:`netappliance.tracker.counting.places.Places.find_all`."""
        data, size, way = self.data, self.layout.size, self.layout.way
        wide = len(way)
        octets = bytearray(wide * len(self))
        for place, at in enumerate(way):
            octets[place::wide] = data[at::size]
        return [each for (each,) in struct.iter_unpack(f"{wide}s", octets)]

    def states(self) -> bytes:
        """Return the states of TCP."""
        return self._octets("state", 0)

    def low_status(self) -> bytes:
        """Return the low bytes of ``status``."""
        return self._octets("status", 3)

    def numbers(self, field: str) -> array[int]:
        """Return a column of 32 bits."""
        octets = bytearray(4 * len(self))
        for place, more in enumerate(_ORDER):
            octets[place::4] = self._octets(field, more)
        return array("I", bytes(octets))

    def split(self, chosen: bytes) -> tuple[Run, Run]:
        """Return those where ``chosen`` is 0 and those where it is 1."""
        size, data = self.layout.size, self.data
        messages = [data[at : at + size] for at in range(0, len(data), size)]
        left, right = compress(messages, chosen.translate(NOT)), compress(messages, chosen)
        return Run(self.layout, b"".join(left)), Run(self.layout, b"".join(right))

    def _octets(self, field: str, more: int) -> bytes:
        return self.data[self.layout.offsets[field] + more :: self.layout.size]
