"""What the metrics page says of pools."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.http.exchange.world import World


class PoolCollectorTests(SynchronousTestCase):
    """Pools belong to clusters."""

    def test_a_pool_that_listeners_share_is_counted_once(self) -> None:
        """Else a sum over listeners counts each request of one for all of them."""
        world = World()
        world.listener()
        world.cluster.reused_total = 7
        samples = [
            sample
            for collector in world.appliance.collectors
            for family in collector.collect()
            for sample in family.samples
            if sample.name == "netappliance_http_pool_events_total" and sample.labels["event"] == "hits"
        ]
        self.assertEqual(
            [(sample.labels, sample.value) for sample in samples], [({"cluster": "web", "event": "hits"}, 7)]
        )
