"""Which backends of a cluster may be used now. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from netappliance.clusters.backend import Backend


class Availability:
    """
    A look at the backends, good until one of them changes or ``until`` comes.

    :ivar usable: primaries that get new sessions. :ivar backups: likewise; they serve while ``usable`` is empty.
    :ivar available: id -> those that a client may come back to: also backups, and backends that are full or have weight
        0, which only get no new clients. :ivar by_token: token -> the usable ones that have it, backups too.
    :ivar until: when a pause ends, monotonic seconds. :ivar panic: so few look well that all are used.
    """

    __slots__ = ("available", "backups", "by_token", "panic", "until", "usable")

    def __init__(self, backends: Sequence[Backend], now: float, panic_threshold: int) -> None:
        """:param panic_threshold: percent of the primaries; 0 = never."""
        self.available: dict[str, Backend] = {}
        self.until = float("inf")
        well = [backend for backend in backends if self._well(backend, now)]
        primaries = [backend for backend in backends if not backend.backup and not backend.draining]
        living = sum(not backend.backup for backend in well)
        # where no primary is left, backups are better than panic
        self.panic = living * 100 < panic_threshold * len(primaries) and (living > 0 or not well)
        if self.panic:
            well = [*primaries, *(backend for backend in well if backend.backup)]
        tiers: tuple[list[Backend], list[Backend]] = ([], [])
        for backend in well:
            self.available[backend.id] = backend
            if not backend.full:
                tiers[backend.backup].append(backend)
        self.usable, self.backups = (tuple([backend for backend in tier if backend.weight] or tier) for tier in tiers)
        tokens: dict[bytes, list[Backend]] = {}
        for backend in (*tiers[0], *tiers[1]):
            for token in backend.tokens:
                tokens.setdefault(token, []).append(backend)
        self.by_token = {token: tuple(found) for token, found in tokens.items()}

    def _well(self, backend: Backend, now: float) -> bool:
        if backend.draining or not backend.healthy or backend.trying:
            return False
        pause = max(backend.backoff.until, backend.ejected_until)
        if now < pause:
            self.until = min(self.until, pause)
            return False
        return True
