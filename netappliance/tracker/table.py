"""The kernel's connections as we know them: dump and events merged, loss repaired by a later dump. Sans-I/O."""

from __future__ import annotations

from netappliance.tracker import ctnetlink
from netappliance.tracker.ctnetlink import Change, ends
from netappliance.tracker.hosts import STATE_GAUGE, Host, Hosts

_CLOSING = (4, 5, 6, 7)


class Entry:
    """One connection; ``host`` is None when it is ignored, ``gauge`` an index of hosts.GAUGES or -1."""

    __slots__ = ("counted", "gauge", "generation", "host", "orig", "reply", "state", "status", "zone")

    def __init__(self, change: Change, host: Host | None) -> None:
        self.orig = change.orig
        self.reply = change.reply
        self.zone = change.zone
        self.host = host
        self.status = 0
        self.state = -1
        self.gauge = -1
        self.counted = False
        self.generation = 0


class Table:
    """
    Entries by (original tuple, zone).

    :ivar entries: key -> Entry; the key is the raw original tuple, with the zone's two bytes where there is one.
    :ivar opened: connections whose NEW event was seen. :ivar closed: DESTROY events seen.
    :ivar unobserved: entries that a dump proved gone without an event.
    """

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.entries: dict[bytes, Entry] = {}
        self.opened = 0
        self.closed = 0
        self.unobserved = 0
        self.dumping = False
        self._generation = 0
        self._destroyed: set[bytes] = set()

    def begin_dump(self) -> None:
        """From here to ``end_dump`` entries of a dump are expected, while events go on."""
        self._generation += 1
        self._destroyed.clear()
        self.dumping = True

    def dumped(self, change: Change, now: float) -> None:
        """Take an entry of a dump; an event that came during the dump is newer than it."""
        key = change.orig + change.zone.to_bytes(2, "big") if change.zone else change.orig
        if key in self._destroyed:
            return
        entry = self.entries.get(key)
        if entry is None:
            entry = self._add(key, change, now)
        elif entry.generation == self._generation:
            return
        entry.generation = self._generation
        self._merge(entry, change, now)

    def end_dump(self, now: float) -> int:
        """The dump is complete: what was neither in it nor touched since is gone. Return how many."""
        generation = self._generation
        gone = [key for key, entry in self.entries.items() if entry.generation != generation]
        for key in gone:
            self._drop(self.entries.pop(key), "unobserved", now)
        self.unobserved += len(gone)
        self.abandon_dump()
        return len(gone)

    def abandon_dump(self) -> None:
        """The dump failed; what it brought stays, nothing is concluded from what it did not bring."""
        self.dumping = False
        self._destroyed.clear()

    def event(self, change: Change, now: float) -> None:
        """Take a NEW, UPDATE or DESTROY event; attributes it does not carry keep their value."""
        key = change.orig + change.zone.to_bytes(2, "big") if change.zone else change.orig
        entry = self.entries.get(key)
        if change.kind == ctnetlink.DESTROY:
            self.closed += 1
            if self.dumping:
                self._destroyed.add(key)
            if entry is not None:
                del self.entries[key]
                if change.status >= 0:
                    entry.status = change.status
                how = how_closed(entry.state if change.state < 0 else change.state, entry.status, change.timeout)
                self._drop(entry, how, now)
            return
        self._destroyed.discard(key)
        if entry is None:
            entry = self._add(key, change, now)
        if change.kind == ctnetlink.NEW and not entry.counted:
            entry.counted = True
            self.opened += 1
            if entry.host is not None:
                entry.host.opened += 1
        entry.generation = self._generation
        self._merge(entry, change, now)

    def _add(self, key: bytes, change: Change, now: float) -> Entry:
        orig, reply = ends(change.orig), ends(change.reply)
        tcp = orig is not None and reply is not None and orig.protocol == ctnetlink.TCP
        host = self.hosts.find(orig, reply, now) if tcp and orig and reply else None
        entry = self.entries[key] = Entry(change, host)
        return entry

    @staticmethod
    def _merge(entry: Entry, change: Change, now: float) -> None:
        if change.status >= 0:
            entry.status = change.status
        state = change.state
        if state < 0 or state == entry.state:
            return
        entry.state = state
        host = entry.host
        if host is None:
            return
        if entry.gauge >= 0:
            host.gauges[entry.gauge] -= 1
        entry.gauge = gauge = STATE_GAUGE[state] if state < 10 else -1
        if gauge >= 0:
            host.gauges[gauge] += 1
        host.used = now

    @staticmethod
    def _drop(entry: Entry, how: str, now: float) -> None:
        host = entry.host
        if host is None:
            return
        if entry.gauge >= 0:
            host.gauges[entry.gauge] -= 1
        host.closed[how] += 1
        host.used = now


def how_closed(state: int, status: int, timeout: int) -> str:
    """
    Say how a TCP connection ended, from its last state.

    :param timeout: seconds it had left (kernel 5.11+: only in a DESTROY that came before it expired), or -1.
    """
    early = timeout > 0
    if not status & ctnetlink.SEEN_REPLY and state in (1, 8, 9):
        return "refused" if early else "unanswered"
    if early:
        return "rst" if state == 8 else "killed"
    if state == 8:
        return "rst"
    return "fin" if state in _CLOSING else "timeout"
