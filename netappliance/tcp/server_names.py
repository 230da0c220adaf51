"""Which section of a shared address serves a connection: by the server name of its ClientHello. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

Target = TypeVar("Target")

#: matches what no other pattern does, and clients that name nothing
ANY = "*"


class ServerNames(Generic[Target]):
    """
    The patterns of one address: exact names before ``*.`` and a domain, which stands for one label; ``*`` takes what is
    left, clients without a server name too. Asking costs the same for ten names and for ten thousand.
    """

    def __init__(self) -> None:
        self._exact: dict[bytes, Target] = {}
        self._wildcards: dict[bytes, Target] = {}
        self._any: list[Target] = []

    def add(self, patterns: Iterable[str], target: Target) -> None:
        """Send names of these patterns, as the configuration has checked them, to ``target``."""
        for pattern in patterns:
            if pattern == ANY:
                self._any = [target]
            elif pattern.startswith("*."):
                self._wildcards[pattern[2:].encode()] = target
            else:
                self._exact[pattern.encode()] = target

    def find(self, name: bytes) -> Target | None:
        """
        Return who serves a name, or None when nobody does.

        :param name: lower case, without trailing dot; empty when the client sent none.
        """
        found = self._exact.get(name)
        if found is None and self._wildcards:
            found = self._wildcards.get(name.partition(b".")[2])
        if found is None and self._any:
            found = self._any[0]
        return found
