"""How the process is: whether it welcomes new sessions, its reloads, what its diagnostics lost."""

from __future__ import annotations

from netappliance.logs.diagnostics import LineLogObserver


class Status:
    """
    Written by the lifecycle, read by metrics and pages.

    :ivar ready: the start is complete. :ivar draining: the stop has begun.
    :ivar reloads: attempts to put a new configuration in force, by result.
    :ivar log_observer: writes the diagnostics; None while twistd's own observer does.
    """

    def __init__(self) -> None:
        self.ready = False
        self.draining = False
        self.reloads = {"success": 0, "failure": 0}
        self.log_observer: LineLogObserver | None = None

    def obstacle(self) -> str:
        """Return an empty text when new sessions are welcome, else ``starting`` or ``draining``."""
        if self.draining:
            return "draining"
        return "" if self.ready else "starting"
