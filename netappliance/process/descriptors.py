"""File descriptors: how many the limits need, raising RLIMIT_NOFILE, and what to do with fewer."""

from __future__ import annotations

import resource
from dataclasses import dataclass

#: what the process itself needs: standard streams, epoll, logs, resolver threads, admin and manhole connections
RESERVE = 64


@dataclass(frozen=True, slots=True)
class DescriptorPlan:
    """
    The limits that the descriptors allow.

    :ivar needed: descriptors that the configured limits would use.
    :ivar available: the soft RLIMIT_NOFILE after raising.
    """

    needed: int
    available: int
    max_connections: int
    accept_queue_size: int

    @property
    def enough(self) -> bool:
        """True when the configured limits hold unchanged."""
        return self.available >= self.needed


def plan(
    available: int, max_connections: int, accept_queue_size: int, listeners: int, other: int = 0
) -> DescriptorPlan:
    """
    Share the descriptors: two for each connection, one for each place in an accept queue.

    Pure. With too few, the queues shrink to a sixteenth of what there is and the connections to half of the rest: a
    proxy that accepts what it cannot connect would refuse old work for new.

    :param available: soft RLIMIT_NOFILE.
    :param listeners: stream listeners, each with a queue.
    :param other: descriptors of other services (one for each datagram session).
    """
    queues = max(1, listeners)
    needed = RESERVE + listeners + other + 2 * max_connections + queues * accept_queue_size
    if available >= needed:
        return DescriptorPlan(needed, available, max_connections, accept_queue_size)
    free = max(4, available - RESERVE - listeners - min(other, available // 2))
    queue = max(1, min(accept_queue_size, free // (16 * queues)))
    connections = max(1, min(max_connections, (free - queue * queues) // 2))
    return DescriptorPlan(needed, available, connections, queue)


def raise_limit(needed: int) -> int:
    """
    Raise the soft RLIMIT_NOFILE to ``needed``, the hard one too where we may.

    :return: the soft limit that holds now; it is never lowered.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return soft
    for wanted_soft, wanted_hard in ((needed, max(needed, hard)), (min(needed, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted_soft, wanted_hard))
        except (OSError, ValueError):
            continue
        return wanted_soft
    return soft
