"""What can be said of a backend in one word. Pure."""

from __future__ import annotations

from enum import Enum


class BackendState(Enum):
    """
    States of a backend; of several that hold, the first of these counts.

    Only ``up`` ones get new sessions and requests, as long as there are any; what a cluster does without them is told
    in :class:`netappliance.clusters.cluster.Cluster`.
    """

    #: taken out of the configuration, and kept for what it still serves
    DRAINING = "draining"
    #: its health check has not passed often enough yet since it was new (``initial=checking``)
    CHECKING = "checking"
    #: its health check failed, or so many connections in a row that it counts as dead
    DOWN = "down"
    #: left alone for a while: a connection to it failed, or it behaved unlike the others
    EJECTED = "ejected"
    #: at its ``max_connections``
    FULL = "full"
    UP = "up"


class StateChange:
    """
    A backend's state has changed.

    :ivar before, after: the states. :ivar why: what made it, in words; empty for time that has passed.
    """

    __slots__ = ("after", "backend", "before", "cluster", "why")

    def __init__(self, cluster: str, backend: str, before: BackendState, after: BackendState, why: str) -> None:
        self.cluster = cluster
        self.backend = backend
        self.before = before
        self.after = after
        self.why = why
