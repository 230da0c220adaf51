"""Which source tells the connections: the one that is asked for, or the best that works, and why. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

#: best first
ORDER = ("conntrack", "sock_diag", "proc")
#: why a source was chosen, as a label: the operator asked for it, it is the best there is, or what a better one lacks
REASONS = ("asked", "best", "no_rights", "not_tracking", "unavailable", "nothing_works")


class Chosen(NamedTuple):
    """The source (one of ORDER, or ``none``), why (one of REASONS), and the same in words for the log."""

    source: str
    reason: str
    words: str


UNCHOSEN = Chosen("none", "nothing_works", "not started")


class NotTracking(OSError):
    """The source works, but the kernel tracks no connection now."""


def choose(wanted: str, starters: Mapping[str, Callable[[], None]]) -> Chosen:
    """
    Start the best source that works.

    :param wanted: one of ORDER, or ``auto``, or ``sockets`` for the best but conntrack.
    :param starters: starts a source by name, or raises OSError; a name that is missing is not tried.
    """
    several = {"auto": ORDER, "sockets": ORDER[1:]}.get(wanted)
    names = [name for name in several if name in starters] if several else [wanted]
    reason, failed = "best" if several else "asked", []
    for name in names:
        try:
            starters[name]()
        except OSError as problem:
            failed.append(f"{name}: {problem.strerror or problem}")
            if reason in ("best", "unavailable"):
                reason = _reason(problem)
            continue
        words = "; ".join(failed) or ("the best there is" if several else "as configured")
        return Chosen(name, reason, words)
    return Chosen("none", "nothing_works", "; ".join(failed))


def _reason(problem: OSError) -> str:
    if isinstance(problem, NotTracking):
        return "not_tracking"
    return "no_rights" if isinstance(problem, PermissionError) else "unavailable"
