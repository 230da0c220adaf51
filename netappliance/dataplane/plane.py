"""What a service needs to move traffic."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.dataplane.poller import Poller
from netappliance.dataplane.timers import TimerWheel
from netappliance.sessions.admission import Admission
from netappliance.sessions.table import SessionTable


@dataclass(frozen=True, slots=True)
class DataPlane:
    """
    The data plane of a process, given to every service that has listeners.

    :ivar poller: tells of sockets. :ivar timers: deadlines. :ivar sessions: all live ones, and totals of those that
        ended. :ivar admission: who counts against ``max_connections``.
    """

    poller: Poller
    timers: TimerWheel
    sessions: SessionTable
    admission: Admission
