"""Counting of requests."""

from __future__ import annotations

from tests.http.exchange.test_exchange import GET
from tests.http.exchange.test_life import LifeTestCase


class StatusTests(LifeTestCase):
    """Statuses of backends, and where they are counted."""

    def test_statuses_of_no_class_pass_and_are_counted_as_other(self) -> None:
        """As HAProxy and nginx pass them: 999 is seen in the wild."""
        world = self.world()
        for status in (600, 999, 204):
            self.answered(self.served(world, b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status, GET % b"/"))
        counted = {
            sample.labels["status"]: sample.value
            for collector in world.appliance.collectors
            for family in collector.collect()
            for sample in family.samples
            if sample.name == "netappliance_http_requests_total" and sample.value
        }
        self.assertEqual(counted, {"other": 2, "2xx": 1})
        self.assertEqual([status for status, _ in self.ends(world)], [600, 999, 204])
