"""The words and bounds of what is counted, and how an ended connection is judged."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.counting.totals import (
    DIRECTIONS,
    DURATION_BUCKETS,
    GAUGES,
    HANDSHAKE_BUCKETS,
    HOW,
    PROTOCOLS,
    STATE_GAUGE,
    WAYS,
    Totals,
    how_closed,
    protocol_name,
)


class WordTests(SynchronousTestCase):
    """Label values are contracts with dashboards."""

    def test_labels(self) -> None:
        """Closed sets."""
        self.assertEqual(GAUGES, ("opening", "open", "closing", "closed"))
        self.assertEqual((DIRECTIONS, WAYS), (("in", "out", "forward"), ("original", "reply")))
        self.assertEqual(PROTOCOLS, ("tcp", "udp", "icmp", "sctp", "other"))
        self.assertEqual(HOW, ("fin", "rst", "refused", "timeout", "unanswered", "killed", "unobserved"))

    def test_protocols_have_names(self) -> None:
        """Both versions of ICMP are one; what has none is other."""
        names = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 132: "sctp", 0: "other", 47: "other", 255: "other"}
        self.assertEqual({number: protocol_name(number) for number in names}, names)

    def test_states_of_tcp_have_gauges(self) -> None:
        """The kernel's names (nf_conntrack_tcp.h) -> the seed's table; none for what is no state."""
        kernel = ("none", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait")
        shown = ("", "opening", "opening", "open", "closing", "closing", "closing", "closing", "closed", "opening")
        self.assertEqual(len(STATE_GAUGE), 256)
        for state, (name, gauge) in enumerate(zip((*kernel, "close", "syn_sent2"), shown, strict=True)):
            self.assertEqual(STATE_GAUGE[state], GAUGES.index(gauge) if gauge else 4, name)
        self.assertEqual(set(STATE_GAUGE[10:]), {4})

    def test_bounds_of_histograms(self) -> None:
        """In seconds."""
        durations = "0.01 0.1 1.0 5.0 10.0 25.0 60.0 300.0 900.0 3600.0 14400.0"
        self.assertEqual(" ".join(map(str, DURATION_BUCKETS)), durations)
        shakes = "0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 3.0 10.0"
        self.assertEqual(" ".join(map(str, HANDSHAKE_BUCKETS)), shakes)

    def test_new_totals_are_zero_and_add_up(self) -> None:
        """Counters, not gauges; the others stay as they are."""
        one, other = Totals("g", "in", "tcp"), Totals("g", "in", "udp")
        self.assertEqual(
            (one.tcp, other.tcp, one.gauges, one.closed, one.traffic), (True, False, [0] * 5, [0] * 7, [0] * 4)
        )
        self.assertEqual((one.opened, one.established), (0, 0))
        for totals, factor in ((one, 1), (other, 10)):
            totals.opened, totals.established, totals.gauges = factor, 2 * factor, [factor] * 5
            totals.closed = [factor * each for each in range(7)]
            totals.traffic = [factor * each for each in range(4)]
            totals.durations.observe(factor)
            totals.handshakes.observe(2 * factor)
        one.add(other)
        self.assertEqual((one.opened, one.established, one.gauges), (11, 22, [1] * 5))
        self.assertEqual(
            (one.closed, one.traffic), ([11 * each for each in range(7)], [11 * each for each in range(4)])
        )
        self.assertEqual((one.durations.sum, one.handshakes.sum, other.opened), (11.0, 22.0, 10))


class EndTests(SynchronousTestCase):
    """How a connection ended."""

    def test_tcp(self) -> None:
        """By its last state, whether it was answered, and whether time was left."""
        for state, answered, left, how in (
            *((1, False, 5, "refused"), (1, False, 0, "unanswered"), (1, False, -1, "unanswered")),
            *((8, False, 5, "refused"), (8, False, -1, "unanswered"), (9, False, 5, "refused")),
            *((9, False, -1, "unanswered"), (2, False, 5, "killed"), (2, False, -1, "timeout")),
            *((3, False, -1, "timeout"), (1, True, -1, "timeout"), (1, True, 5, "killed"), (2, True, -1, "timeout")),
            *((3, True, 5, "killed"), (3, True, 0, "timeout"), (8, True, 5, "rst"), (8, True, -1, "rst")),
            *(
                (4, True, 5, "fin"),
                (5, True, -1, "fin"),
                (6, True, 5, "fin"),
                (7, True, -1, "fin"),
                (9, True, 5, "killed"),
            ),
            *((4, False, -1, "fin"), (-1, True, -1, "timeout"), (-1, False, 5, "killed")),
        ):
            status = 0x1D | (2 if answered else 0)
            self.assertEqual(HOW[how_closed(True, state, status, left)], how, (state, answered, left))

    def test_others(self) -> None:
        """Only whether they were answered, and whether time was left."""
        for answered, left, how in (
            *((True, -1, "timeout"), (True, 0, "timeout"), (True, 1, "killed")),
            *((False, -1, "unanswered"), (False, 0, "unanswered"), (False, 1, "killed")),
        ):
            for state in (-1, 7, 8):
                self.assertEqual(HOW[how_closed(False, state, 2 if answered else 8, left)], how)
