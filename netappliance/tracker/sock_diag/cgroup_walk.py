"""Finding the paths of control groups by a walk through the cgroup v2 hierarchy, a few directories at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from netappliance.tracker.sock_diag.cgroups import Cgroups

STEP = 300
"""Directories for each call."""

MAX_DIRECTORIES = 100_000
"""Directories of one walk; further ones are not looked at."""

PAUSE_S = 5.0
"""From the end of a walk to the next one that is needed (seconds)."""


class CgroupWalk:
    """
    Names the groups of a :class:`Cgroups`.

    :param root: where the hierarchy is mounted. :param living: gives the ids of the groups that have sockets.
    """

    def __init__(self, cgroups: Cgroups, root: str, living: Callable[[], Iterable[int]]) -> None:
        self._cgroups = cgroups
        self._root = root
        self._living = living
        self._walk: Iterator[None] | None = None
        self._ended = -PAUSE_S

    def check(self, now: float) -> None:
        """Go on with a walk, or begin one when it is of use. Call once a second."""
        if self._walk is None:
            if not self._cgroups.walk_wanted or now - self._ended < PAUSE_S:
                return
            self._walk = self._directories()
        for _ in range(STEP):
            if next(self._walk, self) is self:
                self._walk = None
                self._ended = now
                self._cgroups.end_walk(self._living())
                return

    def _directories(self) -> Iterator[None]:
        waiting = [""]
        for _ in range(MAX_DIRECTORIES):
            if not waiting:
                return
            path = waiting.pop()
            try:
                self._cgroups.name(Path(self._root + path).stat().st_ino, path or "/")
                with os.scandir(self._root + path) as entries:
                    waiting += [f"{path}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)]
            except OSError:
                pass  # it went while we looked
            yield None
