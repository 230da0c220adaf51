"""Refusal by network, and maintenance."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.filters.access import SWITCH_EVERY_S
from netappliance.http.filters.client_network import REMEMBERED, grouping, within
from tests.http.filters.support import build, exchange


class NetworkTests(SynchronousTestCase):
    """kind = deny and allow."""

    def status(self, options: str, client: str) -> int:
        """0 when the client passes."""
        answer = build(options).request(exchange(client=client))
        return 0 if answer is None else int(answer.status)

    def test_deny_refuses_those_networks_or_everybody(self) -> None:
        """IPv4, IPv6, mapped and scoped addresses; a unix socket is in no network."""
        options = "kind = deny\nnetworks = 192.0.2.0/24, 2001:db8::/32, fe80::/10"
        for client, status in (
            ("192.0.2.7", 403),
            ("::ffff:192.0.2.7", 403),
            ("192.0.3.7", 0),
            ("2001:db8::1", 403),
            ("fe80::1%eth0", 403),
            ("2001:db9::1", 0),
            ("", 0),
        ):
            self.assertEqual(self.status(options, client), status, client)
            self.assertEqual(self.status("kind = deny", client), 403)
        self.assertEqual(self.status("kind = deny\nstatus = 404", "192.0.2.1"), 404)

    def test_allow_refuses_all_others(self) -> None:
        """A unix socket too."""
        options = "kind = allow\nnetworks =\n 10.0.0.0/8\n ::1"
        for client, status in (("10.1.2.3", 0), ("::1", 0), ("11.0.0.1", 403), ("::2", 403), ("", 403), ("odd", 403)):
            self.assertEqual(self.status(options, client), status, client)
        self.assertIn("networks", str(self.assertRaises(ValueError, build, "kind = allow")))
        self.assertIn("at least one", str(self.assertRaises(ValueError, build, "kind = allow\nnetworks =")))

    def test_what_is_remembered_of_clients_is_bounded(self) -> None:
        """Verdicts and groups."""
        inside, group = within(()), grouping(32, 64)
        for number in range(REMEMBERED + 100):
            client = f"10.0.{number >> 8}.{number & 255}"
            inside(client)
            group(client)
        remembered: tuple[Any, ...] = (inside, group)
        for cached in remembered:
            self.assertEqual(cached.cache_info().currsize, REMEMBERED)

    def test_clients_are_grouped_by_prefix(self) -> None:
        """As many bits as the family's."""
        group = grouping(24, 48)
        self.assertEqual(group("192.0.2.9"), group("::ffff:192.0.2.1"))
        self.assertEqual(group("2001:db8:1::1"), "2001:db8:1::/48")
        self.assertNotEqual(group("192.0.3.1"), group("192.0.2.1"))
        self.assertEqual(group(""), "")


class MaintenanceTests(SynchronousTestCase):
    """kind = maintenance."""

    def test_everybody_but_some_is_told_to_come_again(self) -> None:
        """With Retry-After and the sentence."""
        made = build("kind = maintenance\nallow = 10.0.0.0/8\nretry_after = 90s\nwhy = Back at noon.")
        answer = made.request(exchange())
        self.assertEqual((answer.status, answer.why, answer.lines), (503, "Back at noon.", [b"Retry-After: 90"]))
        self.assertIsNone(made.request(exchange(client="10.0.0.1")))
        self.assertEqual(build("kind = maintenance\nretry_after = 0").request(exchange()).lines, [])
        # an answer's lines may be changed by others; the filter's own are not
        answer.lines.clear()
        self.assertEqual(made.request(exchange()).lines, [b"Retry-After: 90"])

    def test_a_file_switches_it(self) -> None:
        """It is looked for once a second at most."""
        present, looked = {"on": False}, []

        def exists(path: str) -> bool:
            looked.append(path)
            return present["on"]

        made = build("kind = maintenance\nswitch = var/maintenance", exists)
        self.assertEqual(looked, [])
        self.assertIsNone(made.request(exchange(now=100.0)))
        present["on"] = True
        self.assertIsNone(made.request(exchange(now=100.0 + SWITCH_EVERY_S / 2)))
        self.assertIsNotNone(made.request(exchange(now=100.0 + SWITCH_EVERY_S)))
        present["on"] = False
        self.assertIsNone(made.request(exchange(now=100.0 + 2 * SWITCH_EVERY_S)))
        self.assertEqual(looked, ["var/maintenance"] * 3)
