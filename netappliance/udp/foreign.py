"""Filters of plug-ins and operators: what they return and leave behind is looked at before it goes further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netappliance.clusters.backend import Backend
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop

#: the package whose filters need no looking after
_OURS = f"{__name__.partition('.')[0]}.udp.filters."


class ForeignFilter(DatagramFilter):
    """
    Runs a filter that is not ours.

    :raises TypeError: by :meth:`read` and :meth:`write`, saying what was wrong in what the filter returned or left in
        the datagram.
    """

    def __init__(self, made: Any) -> None:
        self._made = made

    def read(self, datagram: Datagram) -> Drop | None:
        """Run its read side."""
        return _checked(self._made.read(datagram), datagram)

    def write(self, datagram: Datagram) -> Drop | None:
        """Run its write side."""
        return _checked(self._made.write(datagram), datagram)


def guarded(made: Any) -> DatagramFilter:
    """Return a filter of ours as it is, another one looked after."""
    if isinstance(made, DatagramFilter) and (
        isinstance(made, ForeignFilter) or type(made).__module__.startswith(_OURS)
    ):
        return made
    return ForeignFilter(made)


def _checked(drop: Any, datagram: Datagram) -> Drop | None:
    if drop is not None and not isinstance(drop, Drop):
        raise TypeError(f"returned {type(drop).__name__}, not a Drop or None")
    left: Any = datagram
    if not isinstance(left.payload, bytes):
        raise TypeError(f"left {type(left.payload).__name__} as payload, not bytes")
    if not isinstance(left.metadata, dict):
        raise TypeError(f"left {type(left.metadata).__name__} as metadata, not a dict")
    destinations = left.destinations
    if not isinstance(destinations, Sequence | None):
        raise TypeError(f"left {type(destinations).__name__} as destinations, not a sequence")
    for backend in destinations or ():
        if not isinstance(backend, Backend):
            raise TypeError(f"left {type(backend).__name__} among destinations, not a Backend")
    return drop
