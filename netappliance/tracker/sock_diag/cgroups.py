"""TCP traffic by control group: which service of this host talks. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netappliance.tracker.counting.hosts import OTHER
from netappliance.tracker.sock_diag.inet_diag import ESTABLISHED, TcpInfo
from netappliance.tracker.sock_diag.socket_entry import SocketEntry


class Traffic:
    """What the sockets of one control group did; only ever added to. ``path`` is empty until it is known."""

    __slots__ = ("path", "received", "retransmitted", "sent", "walk")

    def __init__(self, path: str = "", walk: int = 0) -> None:
        self.path = path
        self.walk = walk
        self.sent = 0
        self.received = 0
        self.retransmitted = 0

    def add(self, other: Traffic) -> None:
        """Take over the numbers of another one."""
        self.sent += other.sent
        self.received += other.received
        self.retransmitted += other.retransmitted


class Cgroups:
    """
    Traffic by control group, the first ``limit`` of them each by itself.

    A group's id is the inode of its directory in the cgroup v2 hierarchy. It is shown under its path as soon as a walk
    through the hierarchy has found that, and under its number when a whole walk has not.

    :ivar walk: number of the walk under way, or of the next one.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.walk = 0
        self.other = Traffic(OTHER)
        self._by_id: dict[int, Traffic] = {}
        self._overflowed = False

    @property
    def walk_wanted(self) -> bool:
        """True while a walk would be of use: to name groups, or to find those that make room."""
        return self._overflowed or any(not traffic.path for traffic in self._by_id.values())

    def observe(self, ident: int, before: TcpInfo | None, info: TcpInfo) -> None:
        """Add what a socket of a group did since it was looked at last (``before``; None at the first look)."""
        traffic = self._of(ident)
        sent, received, again = info.sent - info.retransmitted, info.received, info.total_retransmits
        if before is not None:
            sent -= before.sent - before.retransmitted
            received -= before.received
            again -= before.total_retransmits
        traffic.sent += max(0, sent)
        traffic.received += max(0, received)
        traffic.retransmitted += max(0, again)

    def name(self, ident: int, path: str) -> None:
        """A walk has found the directory of a group; one that had that path before is continued by it."""
        traffic = self._by_id.get(ident)
        if traffic is None:
            return
        traffic.walk = self.walk
        if traffic.path != path:
            traffic.path = path
            for other, before in list(self._by_id.items()):
                if before.path == path and other != ident:
                    traffic.add(self._by_id.pop(other))

    def end_walk(self, living: Iterable[int]) -> None:
        """
        A walk is over: groups that it did not find are shown by number, or make room when they have no sockets.

        :param living: ids of the groups that have sockets.
        """
        alive = set(living)
        for ident, traffic in list(self._by_id.items()):
            if traffic.walk < self.walk:
                traffic.path = traffic.path or f"#{ident}"
                if ident not in alive:
                    self.other.add(self._by_id.pop(ident))
        self._overflowed = False
        self.walk += 1

    def path(self, ident: int) -> str:
        """Return the path of a group, empty while it is not known."""
        traffic = self._by_id.get(ident)
        return traffic.path if traffic is not None else ""

    def shown(self, entries: Iterable[SocketEntry]) -> Iterator[tuple[str, int, Traffic]]:
        """Yield (path, established connections now, traffic) of each group that has a name, and of ``other``."""
        counts: dict[int, int] = {}
        for entry in entries:
            if entry.state == ESTABLISHED:
                counts[entry.socket.cgroup] = counts.get(entry.socket.cgroup, 0) + 1
        for ident, traffic in self._by_id.items():
            if traffic.path:
                yield traffic.path, counts.pop(ident, 0), traffic
            else:
                counts.pop(ident, 0)
        yield OTHER, sum(counts.values()), self.other

    def _of(self, ident: int) -> Traffic:
        traffic = self._by_id.get(ident)
        if traffic is None:
            if not ident or len(self._by_id) >= self.limit:
                self._overflowed = bool(ident)
                return self.other
            traffic = self._by_id[ident] = Traffic(walk=self.walk)
        return traffic
