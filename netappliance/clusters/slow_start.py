"""Backends that are new or back get their share of the load bit by bit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from netappliance.clusters.backend import Backend

#: percent of its weight that a backend begins with
FIRST_PERCENT: Final = 10
#: value of ``Backend.warming_since`` for who is not warming up; for who begins at the next look
NOT: Final = -1.0
NEXT: Final = -2.0


def warm_up(backends: Sequence[Backend], duration_s: float, now: float) -> bool:
    """
    Set the weights of a cluster's backends by how long each has been back; call again each second.

    While one is warming up all weights are a hundred times those of the configuration: only their ratios count.

    :return: False when all have their own weights again.
    """
    warming = False
    for backend in backends:
        if backend.warming_since == NEXT:
            backend.warming_since = now
        if now - backend.warming_since >= duration_s:
            backend.warming_since = NOT
        warming = warming or backend.warming_since >= 0
    for backend in backends:
        percent = 100
        if backend.warming_since >= 0:
            percent = max(FIRST_PERCENT, int(100 * (now - backend.warming_since) / duration_s))
        backend.weight = backend.full_weight * percent if warming else backend.full_weight
    return warming
