"""Numbers of one group, direction and protocol: plain integers that only go up, and gauges. Sans-I/O."""

from __future__ import annotations

from netappliance.metrics.histogram import Histogram
from netappliance.tracker.conntrack import ctnetlink

#: gauges of the seed's table; the fifth takes what has no state and is not shown
GAUGES = ("opening", "open", "closing", "closed")
OPENING, OPEN, CLOSING, CLOSED, NO_GAUGE = range(5)
#: TCP state of the kernel (0-9) -> index of GAUGES
STATE_GAUGE = bytes((NO_GAUGE, 0, 0, 1, 2, 2, 2, 2, 3, 0)) + bytes((NO_GAUGE,)) * 246
DIRECTIONS = ("in", "out", "forward")
PROTOCOLS = ("tcp", "udp", "icmp", "sctp", "other")
#: how connections end, see :func:`how_closed`; unobserved = a dump proved it gone without an event
HOW = ("fin", "rst", "refused", "timeout", "unanswered", "killed", "unobserved")
FIN, RST, REFUSED, TIMEOUT, UNANSWERED, KILLED, UNOBSERVED = range(7)
#: order of ``Totals.traffic``
WAYS = ("original", "reply")

DURATION_BUCKETS = (0.01, 0.1, 1.0, 5.0, 10.0, 25.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
HANDSHAKE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0)

_SYN_SENT, _FIN_WAIT, _TIME_WAIT, _CLOSE, _SYN_SENT2 = 1, 4, 7, 8, 9
_PROTOCOL = {
    ctnetlink.TCP: "tcp",
    ctnetlink.UDP: "udp",
    ctnetlink.ICMP: "icmp",
    ctnetlink.ICMPV6: "icmp",
    ctnetlink.SCTP: "sctp",
}


def protocol_name(number: int) -> str:
    """Return one of PROTOCOLS for an IP protocol number."""
    return _PROTOCOL.get(number, "other")


class Totals:
    """
    What is counted for one (group, direction, protocol).

    :ivar gauges: connections now by index of GAUGES. :ivar opened: whose NEW event was seen.
    :ivar established: TCP: whose handshake was seen to end; others: first answer seen.
    :ivar closed: ended, by index of HOW, once for each connection.
    :ivar traffic: [original packets, original bytes, reply packets, reply bytes], where the kernel counts them.
    :ivar durations: seconds from the NEW event to the end. :ivar handshakes: seconds from NEW to established (TCP).
    """

    __slots__ = (
        "closed",
        "direction",
        "durations",
        "established",
        "gauges",
        "group",
        "handshakes",
        "opened",
        "protocol",
        "tcp",
        "traffic",
    )

    def __init__(self, group: str, direction: str, protocol: str) -> None:
        self.group = group
        self.direction = direction
        self.protocol = protocol
        self.tcp = protocol == "tcp"
        self.gauges = [0] * 5
        self.opened = 0
        self.established = 0
        self.closed = [0] * len(HOW)
        self.traffic = [0] * 4
        self.durations = Histogram(DURATION_BUCKETS)
        self.handshakes = Histogram(HANDSHAKE_BUCKETS)

    def add(self, other: Totals) -> None:
        """Take over the counters of another one, not its gauges."""
        self.opened += other.opened
        self.established += other.established
        self.closed = [mine + theirs for mine, theirs in zip(self.closed, other.closed, strict=True)]
        self.traffic = [mine + theirs for mine, theirs in zip(self.traffic, other.traffic, strict=True)]
        self.durations.add(other.durations)
        self.handshakes.add(other.handshakes)


def how_closed(tcp: bool, state: int, status: int, timeout: int) -> int:
    """
    Say how a connection ended, from its last state, as an index of HOW.

    :param tcp: others end by timeout, unanswered, or killed.
    :param state: TCP's, -1 when unknown. :param status: bits of the entry.
    :param timeout: seconds it had left (kernel 5.11+: only in a DESTROY that came before it expired), or -1.
    """
    early = timeout > 0
    answered = status & ctnetlink.SEEN_REPLY
    if not tcp:
        return KILLED if early else TIMEOUT if answered else UNANSWERED
    if not answered and state in (_SYN_SENT, _CLOSE, _SYN_SENT2):
        return REFUSED if early else UNANSWERED
    if state == _CLOSE:
        return RST
    if _FIN_WAIT <= state <= _TIME_WAIT:
        return FIN
    return KILLED if early else TIMEOUT
