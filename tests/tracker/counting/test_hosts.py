"""Which remote ends have a series of their own: weights, the budget, how places are kept and lost."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.counting.hosts import Host, Hosts, ignore_rule, network_range


def packed(text: str) -> bytes:
    """An address as bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


class HostTests(SynchronousTestCase):
    """One remote end."""

    def test_a_new_one_is_idle(self) -> None:
        """And has no series yet."""
        host = Host("x")
        self.assertEqual((host.packed, host.port, host.gauges, host.used), (b"", 0, [0] * 5, 0.0))
        self.assertEqual((host.score, host.shown, host.weight), (0.0, False, 0))

    def test_what_is_open_weighs_four_times_what_is_over(self) -> None:
        """What has no state weighs nothing."""
        host = Host("x")
        for gauges, weight in (
            *(([1, 0, 0, 0, 0], 4), ([0, 1, 0, 0, 0], 4), ([0, 0, 1, 0, 0], 1), ([0, 0, 0, 1, 0], 1)),
            *(([0, 0, 0, 0, 9], 0), ([1, 2, 3, 4, 5], 19)),
        ):
            host.gauges = gauges
            self.assertEqual(host.weight, weight)


class RuleTests(SynchronousTestCase):
    """What ``ignore`` may name."""

    def test_ranges(self) -> None:
        """First and last address; host bits do not matter."""
        for text, first, last in (
            ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7/24 ", "192.0.2.0", "192.0.2.255"),
            ("2001:db8::/127", "2001:db8::", "2001:db8::1"),
        ):
            self.assertEqual(network_range(text), (packed(first), packed(last)))

    def test_rules(self) -> None:
        """Address, network, or either with a port; of its own family."""
        for rule, address, port, ignored in (
            *(("192.0.2.7", "192.0.2.7", 443, True), ("192.0.2.7", "192.0.2.7", 0, True)),
            *(("192.0.2.7", "192.0.2.8", 0, False), ("192.0.2.0/30", "192.0.2.3", 1, True)),
            *(("192.0.2.0/30", "192.0.2.4", 1, False), ("192.0.2.4/30", "192.0.2.3", 1, False)),
            *(("192.0.2.7:443", "192.0.2.7", 443, True), ("192.0.2.7:443", "192.0.2.7", 80, False)),
            *(("192.0.2.7:443", "192.0.2.7", 0, False), ("192.0.2.0/24:53", "192.0.2.9", 53, True)),
            *(("2001:db8::7", "2001:db8::7", 9, True), ("[2001:db8::7]:443", "2001:db8::7", 443, True)),
            *(("[2001:db8::7]:443", "2001:db8::7", 80, False), ("::/0", "192.0.2.7", 1, False)),
            *(("0.0.0.0/0", "2001:db8::7", 1, False), (" [2001:db8::/32]:1 ", "2001:db8::7", 1, True)),
        ):
            self.assertEqual(ignore_rule(rule)(packed(address), port), ignored, (rule, address, port))
        for rule in ("", "x", "192.0.2.7:x", "192.0.2.0/33", "[::1]", "[::1]:", "192.0.2.7:80:90"):
            error = self.assertRaises(ValueError, ignore_rule, rule)
            self.assertEqual(str(error), "an address, a network or address:port")


class BudgetTests(SynchronousTestCase):
    """How many are counted one by one."""

    def test_candidates(self) -> None:
        """Sixteen for each series, at most 65 536, but never fewer than series."""
        for limit, candidates in ((1, 16), (100, 1600), (4096, 65536), (4097, 65536), (65536, 65536), (70000, 70000)):
            self.assertEqual(Hosts(limit, 60).candidates, candidates)

    def test_a_host_is_found_again(self) -> None:
        """By address and port; its label has both."""
        hosts = Hosts(2, 60)
        first = hosts.find(packed("192.0.2.7"), 443, 5.0)
        self.assertIs(hosts.find(packed("192.0.2.7"), 443, 6.0), first)
        self.assertEqual(
            (first.label, first.used, first.shown, first.packed, first.port),
            ("192.0.2.7:443", 5.0, True, packed("192.0.2.7"), 443),
        )
        client = hosts.find(packed("2001:db8::7"), 0, 6.0)
        third = hosts.find(packed("192.0.2.7"), 80, 7.0)
        self.assertEqual((client.label, client.shown, third.shown, len(hosts)), ("2001:db8::7", True, False, 3))
        self.assertEqual(hosts.shown, (first, client))

    def test_those_beyond_the_candidates_are_one(self) -> None:
        """And counted each time; the sum of all is shown as other."""
        hosts = Hosts(1, 60)
        made = [hosts.find(bytes((10, 0, 0, last)), 0, 1.0) for last in range(18)]
        self.assertEqual((len(hosts), hosts.overflowed, made[16], made[17]), (16, 2, hosts.overflow, hosts.overflow))
        for number, host in enumerate(made):
            host.gauges = [number, 1, 0, 0, 0]
        shown, rest = hosts.series()
        self.assertEqual((shown, shown.gauges, rest.label), (made[0], [0, 1, 0, 0, 0], "other"))
        self.assertEqual(rest.gauges, [sum(range(1, 16)) + 17, 16, 0, 0, 0])

    def ranked(self, *hosts: Host) -> list[str]:
        """Labels of those that are shown now."""
        return sorted(host.label for host in hosts if host.shown)

    def test_a_place_changes_hands_at_a_quarter_more(self) -> None:
        """Not at exactly as much; the busiest of the others takes it."""
        for challenger, shown in ((125, "10.0.0.1"), (126, "10.0.0.2")):
            hosts = Hosts(1, 60)
            first, second = (hosts.find(bytes((10, 0, 0, last)), 0, 0.0) for last in (1, 2))
            first.gauges[1], second.gauges[1] = 100, challenger
            hosts.rank(1.0)
            hosts.rank(2.0)
            self.assertEqual(self.ranked(first, second), [shown])
            self.assertEqual([host.label for host in hosts.shown], [shown])

    def test_a_score_fades_by_half_in_a_quarter_of_the_keep_time(self) -> None:
        """And is at least the weight of now."""
        hosts = Hosts(1, 60)
        host = hosts.find(bytes((10, 0, 0, 1)), 0, 0.0)
        host.gauges[1] = 100
        hosts.rank(0.0)
        self.assertEqual(host.score, 400.0)
        host.gauges[1] = 1
        for now, score in ((15.0, 200.0), (30.0, 100.0), (90.0, 6.25), (105.0, 4.0)):
            hosts.rank(now)
            self.assertAlmostEqual(host.score, score)
        quick = Hosts(1, 1)
        host = quick.find(bytes((10, 0, 0, 1)), 0, 0.0)
        host.gauges[1], host.score = 1, 64.0
        quick.rank(1.0)
        self.assertEqual(host.score, 32.0)

    def test_who_is_forgotten(self) -> None:
        """Those without connections: shown ones after the keep time, others at once; what has no state counts."""
        hosts = Hosts(2, 60)
        idle, busy, hidden, stateless = (hosts.find(bytes((10, 0, 0, last)), 0, 5.0) for last in (1, 2, 3, 4))
        busy.gauges[3] = 1
        stateless.gauges[4] = 1
        self.assertEqual((idle.shown, busy.shown, hidden.shown), (True, True, False))
        self.assertTrue(hosts.rank(10.0))
        self.assertEqual(len(hosts), 3)
        self.assertFalse(hosts.rank(65.0))
        self.assertTrue(hosts.rank(65.1))
        self.assertEqual([host.label for host in hosts.shown], ["10.0.0.2", "10.0.0.4"])
        self.assertEqual(len(hosts), 2)
