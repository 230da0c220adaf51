"""What a policy looks like from the inside, and the hash that all keyed ones share."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from mypy_extensions import mypyc_attr

from netappliance.clusters.backend import Backend

#: fixed, so that independent processes agree; a new value moves every key
SEED = b"netappliance/1"


@mypyc_attr(allow_interpreted_subclasses=True)
class Policy:
    """What every policy is; see :class:`netappliance.interfaces.IBalancer`."""

    needs_key: bool = False
    #: :meth:`loaded` is called
    counts: bool = False

    def set_members(self, members: Sequence[Backend]) -> None:
        """The configured backends of the tier changed; most policies remember nothing of them."""

    def weights_changed(self) -> None:
        """The members' weights changed, for a while; what must be equal everywhere goes by ``full_weight``."""

    def loaded(self, backend: Backend) -> None:
        """The number of a backend's connections changed."""

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """
        Choose one of ``backends``, a non-empty subset of the members. It is the same object for as long as it has the
        same content, so that what is made of it can be kept.
        """
        raise TypeError(f"{type(self).__name__} does not say how it chooses")


class ThirdPartyPolicy(Policy):
    """
    A policy of a plug-in: what it returns is looked at before it goes further.

    :raises TypeError: by :meth:`choose`, naming the plug-in that returned something else than a backend.
    """

    def __init__(self, name: str, balancer: Any) -> None:
        self.needs_key = bool(balancer.needs_key)
        self._name = name
        self._balancer = balancer

    def set_members(self, members: Sequence[Backend]) -> None:
        """Tell it."""
        self._balancer.set_members(members)

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Backend:
        """Ask it."""
        chosen = self._balancer.choose(backends, key, now)
        if not isinstance(chosen, Backend):
            raise TypeError(f"balance = {self._name} chose {type(chosen).__name__}, not a Backend")
        return chosen


def stable_hash(*parts: bytes) -> int:
    """Hash to 64 bits, the same in every process and on every machine."""
    hasher = blake2b(key=SEED, digest_size=8)
    for part in parts:
        # the length keeps ("ab", "c") and ("a", "bc") apart
        hasher.update(len(part).to_bytes(4, "big") + part)
    return int.from_bytes(hasher.digest(), "big")
