"""Rules by network and port."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
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
