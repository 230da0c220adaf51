"""What an exchange waits for, and until when."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.exchange.deadlines import BODY, CONNECT, PLACE, RESPONSE, look
from netappliance.sessions.reasons import Cause
from tests.http.exchange.world import FakeSocket, World

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n%b\r\n"
TIMEOUTS = "backend_timeout = 30s\nclient_timeout = 60s\nrequest_timeout = 10s\nmin_body_rate = %d"


class DeadlineTests(SynchronousTestCase):
    """Each state of the way; the request comes at 1000, and a byte moved last at 990."""

    def world(self, rate: int = 0, **keys: Any) -> World:
        """A listener with these timeouts."""
        return World(cluster="queue_timeout = 5s\nconnect_timeout = 3s", http=TIMEOUTS % rate, **keys)

    def asked(self, world: World, data: bytes = GET) -> Any:
        """Return the way of a request that a new client sends."""
        client = world.client()
        world.turn()
        client.give(data)
        world.turn()
        return world.connection(client).user.way

    def waited(self, world: World, way: Any, now: float = 1001.0, interim: int = 0) -> tuple[int, float]:
        """Look."""
        return look(way, world.frontend.limits, 990.0, now, interim)

    def test_a_place_and_a_connection(self) -> None:
        """From when they were asked for."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1")
        world.connects = lambda sock: None
        first, second = self.asked(world), self.asked(world)
        self.assertEqual(self.waited(world, first), (CONNECT, 1003.0))
        self.assertEqual(self.waited(world, second), (PLACE, 1005.0))

    def test_the_response(self) -> None:
        """When the body is over, cannot be sent on, or waits for a word of the backend; from the last byte on."""
        world = self.world()
        self.assertEqual(self.waited(world, self.asked(world)), (RESPONSE, 1020.0))
        broken = self.asked(world, POST % b"" + b"x")
        broken.broke = Cause.RST
        self.assertEqual(self.waited(world, broken), (RESPONSE, 1020.0))
        waiting = self.asked(world, POST % b"Expect: 100-continue\r\n")
        self.assertEqual(self.waited(world, waiting), (RESPONSE, 1020.0))
        self.assertEqual(self.waited(world, waiting, interim=1), (BODY, 1050.0))

    def test_a_backend_that_takes_nothing(self) -> None:
        """It is its turn, though more of the body is to come."""
        world = self.world()

        def narrow(sock: FakeSocket) -> None:
            sock.window = 10
            sock.accept()

        world.connects = narrow
        self.assertEqual(self.waited(world, self.asked(world, POST % b"" + b"x")), (RESPONSE, 1020.0))

    def test_the_body(self) -> None:
        """From the last byte on; where a rate is asked for, it is too slow below it after request_timeout."""
        world = self.world()
        self.assertEqual(self.waited(world, self.asked(world, POST % b"" + b"x")), (BODY, 1050.0))
        world = self.world(rate=10)
        way = self.asked(world, POST % b"" + b"x" * 105)
        for now, deadline in ((1010.0, 1050.0), (1010.5, 1050.0), (1010.6, 1010.6), (1011.0, 1011.0)):
            self.assertEqual(self.waited(world, way, now), (BODY, deadline))
        # nothing has come: the client may not have begun
        self.assertEqual(self.waited(world, self.asked(world, POST % b""), 1011.0), (BODY, 1050.0))
