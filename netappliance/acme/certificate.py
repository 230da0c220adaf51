"""One certificate that is kept: what is in force, when it is ordered next, what became of the last attempt."""

from __future__ import annotations

from typing import Any

from netappliance.acme.pem import Held
from netappliance.acme.schedule import Schedule


class Certificate:
    """
    One line of ``names``.

    :ivar held: what is in the store, or None. :ivar last_success: when one was issued, in Unix seconds; 0 = never.
    :ivar last_failure: (when, result, why) of the last attempt, empty when it succeeded or there was none.
    """

    def __init__(self, names: tuple[str, ...], schedule: Schedule) -> None:
        self.name = names[0]
        self.names = names
        self.schedule = schedule
        self.held: Held | None = None
        self.last_success = 0.0
        self.last_failure: tuple[float, str, str] | tuple[()] = ()

    def take_up(self, held: Held | None, left: Any, directory: str, now: float) -> None:
        """
        Begin with what is in the store, and what an earlier process left.

        :param left: what :meth:`to_keep` returned then; anything else is as nothing.
        """
        self.held = held
        known = left if isinstance(left, dict) else {}
        moved = known.get("directory", directory) != directory
        # a certificate of another authority, or of other names, is served until there is a new one
        if moved:
            return
        failures, retry_at, last_success = (_number(known.get(key)) for key in ("failures", "retry_at", "last_success"))
        self.schedule.resume(int(failures), retry_at, now)
        self.last_success = min(last_success, now)
        if held is not None and held.covers(self.names):
            self.schedule.in_force(held.not_before, held.not_after, self.last_success)

    def issued(self, held: Held, now: float) -> None:
        """Book a certificate that is in the store now."""
        self.held = held
        self.last_success = now
        self.last_failure = ()
        self.schedule.succeeded(held.not_before, held.not_after, now)

    def failed(self, result: str, why: str, retry_after_s: float, now: float) -> None:
        """Book an attempt that failed."""
        self.last_failure = (now, result, why)
        self.schedule.failed(now, retry_after_s)

    def to_keep(self, directory: str) -> dict[str, Any]:
        """Return what must outlive a restart, as JSON knows it."""
        return {
            "directory": directory,
            "failures": self.schedule.failures,
            "retry_at": self.schedule.retry_at,
            "last_success": self.last_success,
        }

    def state(self, now: float) -> str:
        """Say how it stands: ``valid``, ``expired``, ``placeholder`` or ``missing``."""
        held = self.held
        if held is None:
            return "missing"
        if held.placeholder:
            return "placeholder"
        return "valid" if now < held.not_after else "expired"

    @property
    def expires(self) -> float:
        """When the authority's certificate that is served ends, in Unix seconds; 0 = none is."""
        return 0.0 if self.held is None or self.held.placeholder else self.held.not_after


def _number(value: Any) -> float:
    """Return what a file has as a number; 0 = it is none that can be."""
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0.0
