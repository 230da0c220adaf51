"""Rules by network and port."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from netappliance.udp.filters.sections.firewall import rules
from tests.udp.filters.support import build, datagram


class FirewallTests(SynchronousTestCase):
    """Rules."""

    RULES = """kind = firewall
on_read =
    deny 192.0.2.128/25
    allow 192.0.2.0/24 2001:db8::/32 ports 1024-65535
    allow any port 53
on_write = allow 10.0.0.0/8 ports 7
"""

    def test_the_first_matching_rule_decides_and_the_rest_is_denied(self) -> None:
        """Both ends of a range count; a v4-mapped address was written as IPv4 before it came here."""
        firewall = build(self.RULES)
        for source, allowed in (
            (("192.0.2.1", 1024), True),
            (("192.0.2.1", 65535), True),
            (("192.0.2.1", 1023), False),
            (("192.0.2.200", 2000), False),
            (("203.0.113.9", 53), True),
            (("203.0.113.9", 54), False),
            (("2001:db8::1", 4000), True),
            (("not an address", 53), False),
        ):
            self.assertEqual(firewall.read(datagram(source=source)), None if allowed else Drop.DENIED, source)
        self.assertIsNone(firewall.write(datagram(source=("10.1.2.3", 7))))
        self.assertEqual(firewall.write(datagram(source=("10.1.2.3", 8))), Drop.DENIED)

    def test_without_rules_nothing_is_read(self) -> None:
        """Default deny."""
        self.assertEqual(build("kind = firewall").read(datagram()), Drop.DENIED)

    def test_bad_rules_are_refused(self) -> None:
        """By line."""
        for rule in (
            "permit any",
            "allow 10.0.0.1/8",
            "allow any ports 5-1",
            "allow any ports 1-70000",
            "allow any ports",
        ):
            self.assertRaises(ValueError, build, f"kind = firewall\non_read = {rule}")

    def test_rules_as_they_are_read(self) -> None:
        """``port`` and ``ports``, several words and commas; no network is every network."""
        (rule,) = rules("allow 192.0.2.1 10.0.0.0/8 ports 1,5-7, 9 65535")
        self.assertEqual((rule.allow, [str(each) for each in rule.networks]), (True, ["192.0.2.1/32", "10.0.0.0/8"]))
        self.assertEqual(rule.ports, ((1, 1), (5, 7), (9, 9), (65535, 65535)))
        (every,) = rules("deny any")
        self.assertEqual((every.allow, every.networks, every.ports), (False, (), ()))
        (port,) = rules("deny port 0")
        self.assertEqual((port.networks, port.ports), ((), ((0, 0),)))
        self.assertEqual(len(rules("allow any\ndeny any")), 2)

    def test_the_words_of_refusals(self) -> None:
        """Which line or part, and what was expected there."""
        for line, words in (
            ("permit any", "allow or deny first in 'permit any'"),
            ("allow any ports", "a port or range after ports in 'allow any ports'"),
            ("allow any ports ,", "a port or range after ports in 'allow any ports ,'"),
            ("allow any ports 5-", "a port or range such as 1024-65535, not '5-'"),
            ("allow any ports 100000", "a port or range such as 1024-65535, not '100000'"),
            ("allow any ports 65536", "a range from low to high, at most 65535, not '65536'"),
            ("allow any ports 6-5", "a range from low to high, at most 65535, not '6-5'"),
            ("allow any ports 1-65536", "a range from low to high, at most 65535, not '1-65536'"),
            ("allow ports 1 10.0.0.0/8", "a port or range such as 1024-65535, not '10.0.0.0/8'"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, rules, line)), words)

    def test_the_scope_of_an_address_does_not_count(self) -> None:
        """fe80::1%eth0 is fe80::1; an address of the other family matches no network."""
        firewall = build("kind = firewall\non_read = allow fe80::/10")
        self.assertIsNone(firewall.read(datagram(source=("fe80::1%eth0", 1))))
        self.assertEqual(firewall.read(datagram(source=("192.0.2.1", 1))), Drop.DENIED)

    def test_replies_pass_unless_rules_say_otherwise(self) -> None:
        """Default allow, of any port."""
        self.assertIsNone(build("kind = firewall").write(datagram(source=("10.0.0.1", 0))))

    def test_both_ends_of_a_range_count(self) -> None:
        """One below and one above do not."""
        firewall = build("kind = firewall\non_read = allow any ports 5-7,9")
        passed = [port for port in range(12) if firewall.read(datagram(source=("192.0.2.1", port))) is None]
        self.assertEqual(passed, [5, 6, 7, 9])
