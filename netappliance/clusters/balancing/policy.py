"""What a policy looks like from the inside, and the hash that all keyed ones share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

from netappliance.clusters.backend import Backend

#: fixed, so that independent processes agree; a new value moves every key
SEED = b"netappliance/1"


class Policy(Protocol):
    """See :class:`netappliance.interfaces.IBalancer`."""

    needs_key: bool

    def set_members(self, members: Sequence[Backend]) -> None:
        """The configured backends of the tier changed."""

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Choose one of ``backends``, a non-empty subset of the members."""


def stable_hash(*parts: bytes) -> int:
    """Hash to 64 bits, the same in every process and on every machine."""
    hasher = blake2b(key=SEED, digest_size=8)
    for part in parts:
        # the length keeps ("ab", "c") and ("a", "bc") apart
        hasher.update(len(part).to_bytes(4, "big") + part)
    return int.from_bytes(hasher.digest(), "big")


def weighted(rng: random.Random, backends: Sequence[Backend]) -> Backend:
    """Pick at random in proportion to the weights."""
    total = 0
    for backend in backends:
        total += backend.weight
    if not total:
        return backends[int(rng.random() * len(backends))]
    mark = rng.random() * total
    for backend in backends:
        mark -= backend.weight
        if mark < 0:
            return backend
    return backends[-1]
