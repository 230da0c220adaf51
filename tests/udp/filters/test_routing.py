"""Destinations by token and by policy."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import Drop
from netappliance.udp.filters.sections.routing import policy_name
from tests.udp.filters.support import BACKENDS, backend, build, datagram


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

    def test_quilkins_policies_and_ours(self) -> None:
        """Every name is taken, others are refused with the list."""
        names = ("round_robin", "random", "least_connections", "power_of_two", "rendezvous", "maglev", "peak_ewma")
        self.assertEqual([policy_name(name) for name in names], list(names))
        quilkins = [policy_name(name) for name in ("ROUND_ROBIN", "RANDOM", "HASH")]
        self.assertEqual(quilkins, ["round_robin", "random", "rendezvous"])
        self.assertEqual(str(self.assertRaises(ValueError, policy_name, "hash")), " | ".join(names))

    def test_clients_are_told_apart_by_address_and_port(self) -> None:
        """A hundred of them reach all backends, by either; each of them always the same."""
        balancer = build("kind = load_balancer\npolicy = HASH")
        for clients in (
            [("192.0.2.1", port) for port in range(100)],
            [(f"192.0.2.{host}", 1) for host in range(100)],
        ):
            chosen = []
            for client in clients * 2:
                given_ = datagram(source=client)
                balancer.read(given_)
                assert given_.destinations is not None
                chosen.append(given_.destinations[0].id)
            self.assertEqual(chosen[:100], chosen[100:])
            self.assertEqual(set(chosen), {"b1", "b2", "b3"})

    def test_the_literal_choices_of_hash(self) -> None:
        """Another choice would part clients from their backends when this version takes over."""
        balancer = build("kind = load_balancer\npolicy = HASH")
        chosen = []
        for port in range(5000, 5012):
            given_ = datagram(source=("192.0.2.1", port))
            balancer.read(given_)
            assert given_.destinations is not None
            chosen.append(given_.destinations[0].id)
        self.assertEqual(" ".join(chosen), "b1 b3 b2 b1 b2 b2 b2 b3 b3 b2 b1 b2")

    def test_weights_are_honoured(self) -> None:
        """The policy knows the members with theirs."""
        balancer = build("kind = load_balancer")
        light, heavy = backend(1), backend(2)
        heavy.weight = 300
        members = (light, heavy)
        chosen = []
        for _ in range(8):
            given_ = datagram()
            given_.backends = members
            balancer.read(given_)
            assert given_.destinations is not None
            chosen.append(given_.destinations[0].id)
        self.assertEqual((chosen.count("b1"), chosen.count("b2")), (2, 6))

    def test_backends_that_come_and_go_are_noticed(self) -> None:
        """The policy learns the members when they change."""
        balancer = build("kind = load_balancer\npolicy = maglev")
        for members in (BACKENDS[:1], BACKENDS[1:], BACKENDS):
            for port in range(20):
                given_ = datagram(source=("192.0.2.1", port))
                given_.backends = members
                self.assertIsNone(balancer.read(given_))
                assert given_.destinations is not None
                self.assertIn(given_.destinations[0], members)
