"""
This host's TCP sockets as we know them: dumps and destroy notices merged. Sans-I/O.

A connection between two sockets of this host is counted once, at the end that opened it, as conntrack does.
"""

from __future__ import annotations

from collections.abc import Callable

from netappliance.tracker.counting.places import Place, Places
from netappliance.tracker.counting.totals import (
    FIN,
    HOW,
    KILLED,
    NO_GAUGE,
    REFUSED,
    RST,
    TIMEOUT,
    UNANSWERED,
    UNOBSERVED,
)
from netappliance.tracker.sock_diag import inet_diag
from netappliance.tracker.sock_diag.cgroups import Cgroups
from netappliance.tracker.sock_diag.inet_diag import (
    CLOSE,
    ESTABLISHED,
    FIN_WAIT2,
    LISTEN,
    NO_RTT,
    SYN_RECV,
    SYN_SENT,
    TIME_WAIT,
    Socket,
)
from netappliance.tracker.sock_diag.quality import Qualities
from netappliance.tracker.sock_diag.socket_entry import SocketEntry, both_ways

#: state (tcp_states.h) -> index of totals.GAUGES
STATE_GAUGE = (NO_GAUGE, 1, 0, 0, 2, 2, 2, 3, 2, 2, NO_GAUGE, 2, 0, NO_GAUGE)
#: seconds that a socket which has left the kernel's tables, and whose owner keeps it, counts as closed
LINGER_S = 10.0
#: a walk of the kernel's tables may miss a socket when its neighbours go; two in a row do not
_MISSES = 2
_ASK_AGAIN_S = 0.1
_SHAKING = (SYN_SENT, SYN_RECV, inet_diag.NEW_SYN_RECV)

#: versions of IP, as bits
V4, V6 = 1, 2

Key = int | tuple[bytes, int, bytes, int]


class SocketTable:
    """
    Sockets by cookie.

    :ivar entries: key -> SocketEntry; the key is the cookie, or the ends where there is none.
    :ivar adopted: connections that were there before us. :ivar unobserved: those that a dump proved gone.
    :ivar opened: connections whose beginning we know of. :ivar closed: by index of totals.HOW.
    :ivar cgroups: traffic by control group, when that is wanted.
    :ivar listening: local ports that listen -> V4, V6 or both. :ivar ask_listening: brings them up to date at once
        (calls ``listens`` for each), for a connection whose direction nothing else tells.
    :param notices: destroy notices come, so a socket that a dump lacks is not gone yet.
    :param ephemeral: the kernel's range of local ports, first and last.
    """

    def __init__(
        self, places: Places, qualities: Qualities, *, notices: bool, ephemeral: tuple[int, int] = (32768, 60999)
    ) -> None:
        self.places = places
        self.qualities = qualities
        self.notices = notices
        self.ephemeral = ephemeral
        self.entries: dict[Key, SocketEntry] = {}
        self.opened = self.adopted = self.unobserved = 0
        self.closed = [0] * len(HOW)
        self.listening: dict[int, int] = {}
        self.dumping = False
        self.complete = False
        self.cgroups: Cgroups | None = None
        self.ask_listening: Callable[[], None] | None = None
        self._asked = -_ASK_AGAIN_S
        self._generation = 0
        self._lossy = 0
        self._destroyed: set[Key] = set()
        self._killed: set[Key] = set()
        self._listening: dict[int, int] = {}

    def __len__(self) -> int:
        """Sockets known."""
        return len(self.entries)

    def begin_dump(self, *, lost: bool = False) -> None:
        """
        From here to ``end_dump`` records of a dump are expected, while notices go on.

        :param lost: notices were lost since the dump before began: of sockets that go missing nobody may tell.
        """
        self._generation += 1
        if lost:
            self._lossy = self._generation
        self._destroyed.clear()
        self._listening = {}
        self.dumping = True

    def dumped(self, found: Socket, now: float) -> None:
        """Take a record of a dump; a notice that came during the dump is newer than it."""
        if found.state == LISTEN:
            self.listens(found)
            return
        if not found.destination_port:
            return
        key = _key(found)
        if key in self._destroyed:
            return
        known = self.entries.get(key)
        if known is not None and _replaced(known.socket, found):
            self._end_unobserved(key, known, now)
            known = None
        if known is None:
            known = self.entries[key] = self._make(found, now)
        if not known.counted and self._is_whole(found):
            self._count_opened(known)
        elif known.counted and not known.ended and self.notices and _is_shadow(found):
            # its notice may be on its way, or lost
            self._end(key, known, FIN, now)
        known.generation = self._generation
        known.misses = 0
        self._observe(known, found)
        known.socket = found
        if found.state != known.state:
            if found.state == TIME_WAIT and known.place is None:
                # all that is left of a connection within the host, for its opener's socket is gone
                known.place = self._place(found, now, inbound=True)
            known.state = found.state
            self._set_gauge(known, STATE_GAUGE[found.state] if found.state < len(STATE_GAUGE) else NO_GAUGE, now)

    def end_dump(self, now: float) -> int:
        """
        The dump is complete.

        :return: how many connections ended unobserved.
        """
        before = self.unobserved
        for key, known in [each for each in self.entries.items() if each[1].generation != self._generation]:
            known.misses += 1
            if known.misses < _MISSES and self.notices:
                continue
            if not known.counted or known.ended:  # SYN_RECV and shadows go without notice
                self._leave(key, known, now)
            elif self._lossy > known.generation or not self.notices:
                self._end_unobserved(key, known, now)
            elif known.misses == _MISSES:
                known.state = CLOSE
                known.left = now
                self._set_gauge(known, STATE_GAUGE[CLOSE], now)
            elif known.misses > _MISSES and known.gauge >= 0 and now - known.left > LINGER_S:
                self._set_gauge(known, -1, now)
        self.listening = self._listening
        self.complete = True
        self.abandon_dump()
        return self.unobserved - before

    def abandon_dump(self) -> None:
        """The dump failed; what it brought stays, nothing is concluded from what it did not bring."""
        self.dumping = False
        self._destroyed.clear()

    def destroyed(self, found: Socket, now: float) -> SocketEntry | None:
        """
        Take a destroy notice.

        :return: the connection that ended, or None when the socket never was one.
        """
        key = _key(found)
        if self.dumping:
            self._destroyed.add(key)
        known = self.entries.get(key)
        if known is None:
            if not self.complete or not was_connection(found):
                return None
            known = self._make(found, now)
        else:
            self._leave(key, known, now)
        if not known.counted:
            self._count_opened(known)
        self._observe(known, found)
        if not known.ended:
            killed = key in self._killed
            self._end(key, known, KILLED if killed else how_ended(found, outbound=not known.inbound), now)
        return known

    def killed(self, found: Socket) -> None:
        """An operator ended the socket; its notice will not say so."""
        self._killed.add(_key(found))

    def clear(self, now: float) -> None:
        """Forget everything, for a source that stops for good; what was there ended unobserved."""
        for key, known in list(self.entries.items()):
            if known.counted and not known.ended:
                self._end_unobserved(key, known, now)
            else:
                self._leave(key, known, now)
        self.complete = False
        self.abandon_dump()

    def _make(self, found: Socket, now: float) -> SocketEntry:
        inbound = self._is_inbound(found, now)
        local = self.places.local
        if found.source not in local and any(found.source):
            self.places.set_local(local := local | {found.source})
        within = found.destination in local or (len(found.destination) == 4 and found.destination[0] == 127)
        place = None if inbound and within else self._place(found, now, inbound=inbound)
        return SocketEntry(found, place, inbound=inbound, exact=self.complete, now=now)

    def _place(self, found: Socket, now: float, *, inbound: bool) -> Place:
        here, there = both_ways(found)
        return self.places.place_of(there, here, now) if inbound else self.places.place_of(here, there, now)

    def _is_inbound(self, found: Socket, now: float) -> bool:
        """Tell by the listening ports, else by which port is an ephemeral one, else by what was acknowledged."""
        if self._listens(found.source_port):
            return True
        low, high = self.ephemeral
        mine, theirs = low <= found.source_port <= high, low <= found.destination_port <= high
        if mine != theirs:
            return theirs
        if self.ask_listening is not None and now - self._asked >= _ASK_AGAIN_S:
            self._asked = now
            self.ask_listening()
        if self._listens(found.source_port):
            return True
        if found.destination in self.places.local and self._listens(found.destination_port):
            return False
        return not opened_here(found)

    def listens(self, found: Socket) -> None:
        """Take the record of a listening socket."""
        known = self._listening if self.dumping else self.listening
        known[found.source_port] = known.get(found.source_port, 0) | _versions(found)

    def _is_whole(self, found: Socket) -> bool:
        """
        Return False for what the kernel keeps before and after a socket's life.

        Those come without TCP_INFO.
        """
        if self.notices:
            return found.info is not None
        return bool(found.inode) or found.state not in (SYN_RECV, TIME_WAIT, FIN_WAIT2)

    def _listens(self, port: int) -> bool:
        return port in self.listening or port in self._listening

    def _count_opened(self, known: SocketEntry) -> None:
        known.counted = True
        if known.place is None:
            return
        if known.exact:
            self.opened += 1
            known.place[1].opened += 1
        else:
            self.adopted += 1

    def _end(self, key: Key, known: SocketEntry, how: int, now: float) -> None:
        known.ended = True
        self._killed.discard(key)
        if known.place is None:
            return
        host, totals = known.place
        self.closed[how] += 1
        totals.closed[how] += 1
        host.used = now
        if known.exact:
            totals.durations.observe(now - known.since)

    def _end_unobserved(self, key: Key, known: SocketEntry, now: float) -> None:
        self._leave(key, known, now)
        self.unobserved += known.place is not None
        self._end(key, known, UNOBSERVED, now)

    def _leave(self, key: Key, known: SocketEntry, now: float) -> None:
        del self.entries[key]
        self._set_gauge(known, -1, now)

    def _observe(self, known: SocketEntry, found: Socket) -> None:
        info, place = found.info, known.place
        if not known.established and place is not None:
            shaken = bool(info and info.rtt_us) or (info is None and found.state not in _SHAKING)
            if shaken and known.counted:
                known.established = True
                if known.exact:
                    place[1].established += 1
        if info is None or not info.segments_out:
            return
        before = known.info
        if before is not None and (before.segments_out, before.segments_in) == (info.segments_out, info.segments_in):
            return
        if place is not None:
            self.qualities.observe(place[1], known.inbound, known.info, info)
        if self.cgroups is not None:
            self.cgroups.observe(known.socket.cgroup, known.info, info)
        known.info = info

    @staticmethod
    def _set_gauge(known: SocketEntry, gauge: int, now: float) -> None:
        if known.place is not None:
            for counted in known.place:
                if known.gauge >= 0:
                    counted.gauges[known.gauge] -= 1
                if gauge >= 0:
                    counted.gauges[gauge] += 1
            known.place[0].used = now
        known.gauge = gauge


def _versions(found: Socket) -> int:
    """Return the versions of IP that a listening socket takes; the IPv6 wildcard takes both."""
    if len(found.source) == 4:
        return V4
    return V6 if any(found.source) else V4 | V6


def _key(found: Socket) -> Key:
    return found.cookie or (found.source, found.source_port, found.destination, found.destination_port)


def _is_shadow(found: Socket) -> bool:
    """
    Return True for what the kernel keeps of a socket whose FIN was acknowledged, once the socket itself is gone.

    It has the socket's cookie, if the socket had one by then (inet_twsk_alloc), else one of its own.
    """
    return found.info is None and found.state in (TIME_WAIT, FIN_WAIT2)


def _replaced(known: Socket, found: Socket) -> bool:
    """Without cookies, tell by the inode that the same ends have a new connection (an orphan has no inode)."""
    return not found.cookie and bool(known.inode) and bool(found.inode) and known.inode != found.inode


def opened_here(found: Socket) -> bool:
    """
    Return True when TCP_INFO proves that this end opened the connection.

    Its SYN counts as an acknowledged byte, that of the accepting end does not; our FIN does at either end.
    """
    info = found.info
    if info is None:
        return False
    beyond = info.acked - (info.sent - info.retransmitted)
    return found.state == SYN_SENT or beyond > (found.state != ESTABLISHED)


def was_connection(found: Socket) -> bool:
    """
    Return False for the destroy notice of a socket that listened or was never connected.

    tcp_disconnect() (a failed connect, or a close with SO_LINGER 0) clears the remote port and moves the send sequence.
    """
    return bool(found.destination_port or found.send_queue or (found.info and found.info.min_rtt_us != NO_RTT))


def how_ended(found: Socket, *, outbound: bool) -> int:
    """
    Say how a connection ended, from the destroy notice, as an index of totals.HOW.

    The kernel counts the acknowledgement of our FIN as a byte, and that of our SYN when we opened (tcp_input.c,
    tcp_snd_una_update), so what is acknowledged beyond the data tells whether our FIN was.
    """
    info = found.info
    if info is None:
        return UNOBSERVED
    if not found.destination_port:
        return REFUSED if info.min_rtt_us == NO_RTT else RST
    if not info.rtt_us:
        return REFUSED if info.segments_in else UNANSWERED
    if info.acked - (info.sent - info.retransmitted) - outbound > 0:
        return FIN
    return TIMEOUT if info.retransmits else RST


def state_name(state: int) -> str:
    """Return the word for a TCP state, such as ``established``."""
    return inet_diag.STATE_NAMES[state] if 0 < state < len(inet_diag.STATE_NAMES) else "unknown"
