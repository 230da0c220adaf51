"""http-01: tokens of orders under way are answered before the routes, and nothing else is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.challenges import HttpChallenges
from netappliance.http.routing.router import Router
from tests.http.exchange.world import World
from tests.http.filters.support import exchange
from tests.http.routing.support import found, route

TOKEN = "q2r3s4t5u6v7w8x9y0z1A2"
PATH = f"/.well-known/acme-challenge/{TOKEN}"


class ChallengeTests(SynchronousTestCase):
    """Over routers of two listeners, one of which has routes of its own for everything."""

    def setUp(self) -> None:
        """Join both."""
        self.challenges = HttpChallenges()
        self.first = Router([])
        self.second = Router([route("redirect", host="*", position="pre"), route("web")])
        self.challenges.join(self.first)
        self.challenges.join(self.second)

    def test_a_token_in_flight_is_answered_by_all(self) -> None:
        """Whatever the host, before pre routes, with the key authorization and nothing else."""
        self.challenges.present("a.example", TOKEN, f"{TOKEN}.thumb")
        for router in (self.first, self.second):
            for host in ("a.example", "other.example", "[::1]", "192.0.2.1", ""):
                self.assertEqual(found(router, host, PATH), "acme-challenge")
            self.assertEqual(found(router, "a.example", f"{PATH}?x=1", "HEAD"), "acme-challenge")
        chosen = self.first.find(b"a.example", PATH.encode(), b"GET")
        assert chosen is not None
        answer = chosen.chain.request(exchange(PATH.encode()))
        self.assertEqual((answer.status, answer.body), (200, f"{TOKEN}.thumb".encode()))
        self.assertEqual(answer.lines, [b"Content-Type: application/octet-stream", b"Cache-Control: no-store"])
        self.assertEqual(self.challenges.answered_total, 1)

    def test_everything_else_goes_on_to_the_routes(self) -> None:
        """Other tokens, longer and shorter paths, another case, other methods."""
        self.challenges.present("a.example", TOKEN, "x")
        for path in (f"{PATH}x", PATH[:-1], f"{PATH}/", PATH.swapcase(), PATH.replace("acme", "%61cme"), "/", "*"):
            self.assertEqual(found(self.second, "a.example", path), "redirect", path)
            self.assertEqual(found(self.first, "a.example", path), "", path)
        self.assertEqual(found(self.second, "a.example", PATH, "POST"), "redirect")

    def test_a_withdrawn_token_is_forgotten(self) -> None:
        """Others stay; one that is not there does not matter; routers are as before."""
        self.challenges.present("a.example", TOKEN, "x")
        self.challenges.present("b.example", TOKEN[::-1], "y")
        self.challenges.withdraw("a.example", TOKEN)
        self.challenges.withdraw("a.example", TOKEN)
        self.assertEqual(found(self.second, "a.example", PATH), "redirect")
        self.assertEqual(found(self.second, "b.example", PATH.replace(TOKEN, TOKEN[::-1])), "acme-challenge")
        self.challenges.withdraw("b.example", TOKEN[::-1])
        self.assertEqual((self.first._early, self.second._early), (False, True))
        self.assertEqual(found(self.second, "a.example", PATH), "redirect")

    def test_a_listener_that_comes_later_answers_too(self) -> None:
        """What is in flight already."""
        self.challenges.present("a.example", TOKEN, "x")
        third = Router([])
        self.challenges.join(third)
        self.assertEqual(found(third, "a.example", PATH), "acme-challenge")


class ExchangeTests(SynchronousTestCase):
    """In an exchange of the proxy."""

    def test_the_service_of_a_section_has_joined(self) -> None:
        """The answer comes without a backend."""
        world = World()
        challenges = world.appliance.find(HttpChallenges)
        assert challenges is not None
        challenges.present("a.example", TOKEN, f"{TOKEN}.thumb")
        client = world.client()
        client.give(f"GET {PATH} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        world.turn()
        self.assertEqual(world.upstreams, [])
        self.assertTrue(bytes(client.outbound).startswith(b"HTTP/1.1 200 OK\r\n"), client.outbound)
        self.assertTrue(bytes(client.outbound).endswith(b"\r\n\r\n" + f"{TOKEN}.thumb".encode()))
