"""One TCP socket of this host as the tracker knows it. Sans-I/O."""

from __future__ import annotations

from netappliance.tracker.conntrack.ctnetlink import TCP, Ends
from netappliance.tracker.counting.places import Place
from netappliance.tracker.sock_diag.inet_diag import Socket, TcpInfo


class SocketEntry:
    """
    One socket that has a remote end.

    :ivar socket: its newest record. :ivar since: monotonic seconds; ``exact`` when that is when it began, else it began
        then or earlier. :ivar inbound: it was accepted. :ivar place: None for a twin, whose other end is a socket of
        this host that is counted instead. :ivar gauge: index of totals.GAUGES. :ivar info: the newest TCP_INFO.
    :ivar counted: its beginning is counted, as opened or adopted. :ivar ended: its end is; what is left is a shadow.
    :ivar left: when it had left the kernel's tables without a notice.
    """

    __slots__ = (
        "counted",
        "ended",
        "established",
        "exact",
        "gauge",
        "generation",
        "inbound",
        "info",
        "left",
        "misses",
        "place",
        "since",
        "socket",
        "state",
    )

    def __init__(self, found: Socket, place: Place | None, *, inbound: bool, exact: bool, now: float) -> None:
        self.socket = found
        self.place = place
        self.inbound = inbound
        self.exact = exact
        self.since = now - silence_s(found)
        self.state = -1
        self.gauge = -1
        self.generation = 0
        self.misses = 0
        self.left = 0.0
        self.counted = False
        self.ended = False
        self.established = False
        self.info: TcpInfo | None = None


def silence_s(found: Socket) -> float:
    """
    Return how long the connection has existed at least, by how long it has been silent: seconds.

    The kernel sets these times when the handshake ends, so that they tell nothing before, nor once it has cleared them.
    """
    info = found.info
    if info is None or not info.rtt_us or not found.destination_port:
        return 0.0
    return max(info.last_data_sent_ms, info.last_data_recv_ms, info.last_ack_recv_ms) / 1000


def both_ways(found: Socket) -> tuple[Ends, Ends]:
    """Return the socket's connection as it is when this end opened it, and when the other one did."""
    here = Ends(found.source, found.destination, TCP, found.source_port, found.destination_port)
    return here, Ends(found.destination, found.source, TCP, found.destination_port, found.source_port)
