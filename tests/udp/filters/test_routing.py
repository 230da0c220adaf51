"""Destinations by token and by policy."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from tests.udp.filters.support import BACKENDS, build, datagram


class RoutingTests(SynchronousTestCase):
    """Destinations."""

    def test_every_backend_with_the_token_gets_a_copy(self) -> None:
        """And only those."""
        router = build("kind = token_router\nmetadata_key = k")
        given_ = datagram(k=b"abc")
        self.assertIsNone(router.read(given_))
        self.assertEqual(given_.destinations, BACKENDS[:2])

    def test_no_token_no_match_and_wrong_types_are_dropped(self) -> None:
        """Whatever another filter left under the key."""
        router = build("kind = hashed_token_router\nmetadata_key = k")
        for metadata, reason in (
            ({}, Drop.NO_TOKEN),
            ({"k": b"nope"}, Drop.NO_MATCH),
            ({"k": [b"abc"]}, Drop.NO_TOKEN),
            ({"k": "abc"}, Drop.NO_TOKEN),
            ({"k": 7}, Drop.NO_TOKEN),
        ):
            given_ = datagram()
            given_.metadata = metadata
            self.assertEqual((router.read(given_), given_.destinations), (reason, None))

    def test_the_load_balancer_chooses_for_each_datagram_and_honours_earlier_choices(self) -> None:
        """Quilkin's ignored them, and divided by zero without endpoints."""
        balancer = build("kind = load_balancer\npolicy = ROUND_ROBIN")
        chosen = []
        for _ in range(6):
            given_ = datagram()
            balancer.read(given_)
            assert given_.destinations is not None
            chosen.append(given_.destinations[0].id)
        self.assertEqual(sorted(chosen), ["b1", "b1", "b2", "b2", "b3", "b3"])
        given_ = datagram()
        given_.destinations = BACKENDS[2:]
        balancer.read(given_)
        self.assertEqual(given_.destinations, (BACKENDS[2],))
        empty = datagram()
        empty.backends = ()
        self.assertEqual(balancer.read(empty), Drop.NO_BACKEND)

    def test_hash_keeps_a_client_on_its_backend(self) -> None:
        """By address and port."""
        balancer = build("kind = load_balancer\npolicy = HASH")
        seen = set()
        for _ in range(5):
            given_ = datagram()
            balancer.read(given_)
            assert given_.destinations is not None
            seen.add(given_.destinations[0].id)
        self.assertEqual(len(seen), 1)
