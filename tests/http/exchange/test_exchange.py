"""Exchanges on fake sockets: what happens at moments that real ones seldom hit."""

from __future__ import annotations

import errno
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.message import Exchange
from tests.http.exchange.world import FakeSocket, World, error_of

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class ExchangeTestCase(SynchronousTestCase):
    """Makes worlds."""

    def world(self, **keys: Any) -> World:
        """A world for one test."""
        return World(**keys)

    def ask(self, world: World, data: bytes = GET % b"/") -> FakeSocket:
        """A new client that sends something."""
        client = world.client()
        world.turn()
        client.give(data)
        world.turn()
        return client

    def logged(self, world: World) -> list[Any]:
        """Every line of the access log."""
        return [json.loads(line) for line in world.log.lines]


class EarlyAnswerTests(ExchangeTestCase):
    """Responses to requests whose body is still on its way."""

    def test_our_own_answer_waits_for_the_body_that_the_client_still_sends(self) -> None:
        """Closing at once would reset the connection under the client's body and take the answer with it."""
        world = self.world()
        client = self.ask(world, b"POST /here HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        self.assertIn(b"HTTP/1.1 403 ", client.outbound)
        self.assertEqual((client.shut, client.closes), (True, 0))
        client.give(b"x" * 100000)
        client.end()
        world.turn()
        self.assertEqual((client.closes, client.reset), (1, False))

    def test_a_response_that_comes_before_the_upload_is_over_announces_the_end(self) -> None:
        """The rest of the body is not read as a request, so the client must not reckon with another one."""
        world = self.world()
        client = self.ask(world, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        world.upstreams[0].give(OK)
        world.turn()
        self.assertIn(b"\r\nConnection: close\r\n", client.outbound)
        self.assertTrue(client.shut)

    def test_a_response_is_read_to_its_end_when_the_upload_breaks(self) -> None:
        """The backend answered, and reset the connection under the upload it does not want."""
        world = self.world()
        client = self.ask(world, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf")
        backend = world.upstreams[0]
        client.window = 1000
        backend.give(b"HTTP/1.1 413 No\r\nContent-Length: 300000\r\n\r\n" + b"n" * 300000)
        world.turn()
        backend.break_off(errno.ECONNRESET)
        backend.error = 0  # the kernel tells it to whoever writes
        backend.edge = False
        client.give(b"x" * 50000)
        world.turn()
        client.widen(1 << 20)
        world.turn(20)
        self.assertTrue(client.outbound.endswith(b"n" * 300000))
        self.assertEqual((client.reset, backend.closes), (False, 1))
        self.assertEqual(self.logged(world)[0]["status"], 413)


class QueueTests(ExchangeTestCase):
    """Requests that wait for a place on a backend."""

    def test_a_waiting_sticky_request_holds_up_none_that_may_go_elsewhere(self) -> None:
        """Its backend is full; another one is not."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1, 10.0.0.2:80 id=b", cluster="sticky_cookie = S")
        sticky = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: S=a\r\n\r\n"
        self.ask(world, sticky)
        self.ask(world, sticky)
        self.assertEqual((len(world.upstreams), len(world.pool.queue)), (1, 1))
        self.ask(world)
        self.assertEqual([each.address for each in world.upstreams[1:]], [("10.0.0.2", 80)])

    def test_a_failed_connection_frees_its_place_for_those_who_wait(self) -> None:
        """It held one while it was tried."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1", cluster="retries = 1")
        world.connects = lambda sock: None
        first = self.ask(world)
        second = self.ask(world)
        self.assertEqual(len(world.upstreams), 1)
        world.upstreams[0].break_off(errno.ECONNREFUSED)
        world.turn()
        self.assertIn(b"HTTP/1.1 503 ", first.outbound)
        self.assertEqual(len(world.upstreams), 2)
        world.upstreams[1].accept()
        world.turn()
        world.upstreams[1].give(OK)
        world.turn()
        self.assertIn(b"HTTP/1.1 200 ", second.outbound)

    def test_a_place_that_fails_at_once_is_free_for_those_who_wait_too(self) -> None:
        """The second one's attempt fails before it has begun."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1", cluster="retries = 1")
        clients = [self.ask(world) for _ in range(3)]

        def refuse(sock: FakeSocket) -> None:
            raise error_of(errno.ECONNREFUSED)

        world.connects = refuse
        world.upstreams[0].give(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        world.turn(6)
        self.assertEqual([bytes(client.outbound[9:12]) for client in clients], [b"200", b"503", b"503"])

    def test_a_full_backend_is_waited_for_while_a_broken_one_is_not_tried(self) -> None:
        """Only when all look broken are the broken ones tried all the same."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1, 10.0.0.2:80 id=b")
        world.cluster.set_health(world.cluster.backends[1], False, 0.0)
        self.ask(world)
        self.ask(world)
        self.assertEqual((len(world.upstreams), len(world.pool.queue)), (1, 1))


class AttemptTests(ExchangeTestCase):
    """How often it was tried."""

    def test_retries_are_the_attempts_beyond_the_first(self) -> None:
        """All three fail, so two were retries."""

        def refuse(sock: FakeSocket) -> None:
            raise error_of(errno.ECONNREFUSED)

        world = self.world(backends="10.0.0.1:80 id=a, 10.0.0.2:80 id=b", cluster="retries = 3")
        world.connects = refuse
        self.ask(world)
        self.assertEqual((self.logged(world)[0]["retries"], world.target.statistics.retries), (2, 2))

    def test_a_crash_after_our_answer_was_sent_sends_no_second_one(self) -> None:
        """Whatever follows the answer must not look like a response."""
        world = self.world()
        client = self.ask(world)

        def fail(where: str) -> None:
            if where == "log":
                raise ZeroDivisionError

        world.bug = fail
        world.upstreams[0].give(b"garbage\r\n\r\n")
        world.turn()
        world.wait(12)
        self.assertEqual((client.outbound.count(b"HTTP/1.1 "), client.closes), (1, 1))
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_log_that_raises_keeps_no_connection(self) -> None:
        """Of an exchange that is cut, and of a tunnel."""
        world = self.world()

        def fail(where: str) -> None:
            if where == "log":
                raise ZeroDivisionError

        world.bug = fail
        self.ask(world).break_off()
        tunnel = self.ask(world, UpgradeTests.ASK)
        world.upstreams[1].give(UpgradeTests.AGREE)
        world.turn()
        tunnel.break_off()
        world.turn()
        self.assertEqual((len(world.appliance.sessions), world.appliance.admission.active), (0, 0))
        self.assertEqual([sock.closes for sock in world.sockets], [1] * 4)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_request_from_the_queue_that_crashes_sends_none_of_its_body(self) -> None:
        """Without its head the body would be read as a request."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1")
        self.ask(world)
        second = self.ask(world, b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n")
        third = self.ask(world)

        sends = iter(("the first response", "the second request"))

        def fail(where: str) -> None:
            if where == "send" and next(sends, "") == "the second request":
                raise ZeroDivisionError

        world.bug = fail
        world.upstreams[0].give(OK)
        world.turn()
        second.give(b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n0123456")
        world.turn()
        self.assertIn(b"HTTP/1.1 500 ", second.outbound)
        self.assertFalse([sock for sock in world.upstreams if b"evil" in sock.outbound])
        self.assertIn(b"GET / ", world.upstreams[1].outbound)
        self.assertEqual(bytes(third.outbound), b"")
        self.flushLoggedErrors(ZeroDivisionError)


class LimitTests(ExchangeTestCase):
    """Numbers that hold for our own answers too."""

    def test_the_last_allowed_request_closes_the_connection_when_we_answer_it(self) -> None:
        """As it does when a backend answers."""
        world = self.world(http="max_requests = 2")
        client = self.ask(world, GET % b"/here")
        self.assertFalse(client.shut)
        client.give(GET % b"/here")
        world.turn()
        self.assertEqual((client.outbound.count(b"Connection: close"), bool(client.shut or client.closes)), (1, True))

    def test_an_answer_that_says_close_closes_also_when_a_filter_made_it_say_so(self) -> None:
        """A response filter that raises at our 502 turns it into a 500, which ends the connection."""
        world = self.world(cluster="retries = 1")
        world.filter.raises = lambda side: side == "response"
        client = self.ask(world)
        world.upstreams[0].end()
        world.turn()
        self.assertIn(b"Connection: close", client.outbound)
        self.assertTrue(client.shut or client.closes)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_pool_that_keeps_nothing_remembers_nothing(self) -> None:
        """Backends come and go with name resolution."""
        world = self.world(cluster="pool_max_idle = 0")
        self.ask(world)
        world.upstreams[0].give(OK)
        world.turn()
        self.assertEqual((world.pool.idle, world.upstreams[0].closes), ({}, 1))


class TimeoutTests(ExchangeTestCase):
    """Who is slow."""

    def test_a_backend_that_takes_an_upload_slowly_is_not_silent(self) -> None:
        """It moves, if less than all that waits."""
        world = self.world(http="backend_timeout = 10s\nmin_body_rate = 0")
        client = self.ask(world, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n")
        backend = world.upstreams[0]
        backend.window = 0
        client.give(b"x" * 400000)
        world.turn()
        for _ in range(6):
            world.wait(5)
            backend.widen(10)
            world.turn()
        self.assertEqual(bytes(client.outbound), b"")
        world.wait(12)
        self.assertIn(b"HTTP/1.1 504 ", client.outbound)

    def test_an_empty_line_begins_no_request(self) -> None:
        """A client whose last body ended with one too many is idle, and idle connections end without a word."""
        world = self.world()
        client = self.ask(world, GET % b"/here")
        size = len(client.outbound)
        client.give(b"\r\n")
        world.turn()
        world.wait(70)
        self.assertEqual((len(client.outbound), client.closes), (size, 1))

    def test_a_request_half_sent_is_told_why_it_ends(self) -> None:
        """Here something began."""
        world = self.world()
        client = self.ask(world, b"\r\nGET / HT")
        world.wait(12)
        self.assertIn(b"HTTP/1.1 408 ", client.outbound)


class UpgradeTests(ExchangeTestCase):
    """Exchanges that become tunnels."""

    ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    AGREE = b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    def test_the_log_counts_every_byte_that_a_tunnel_sent_to_the_client(self) -> None:
        """The head and what came with it included."""
        world = self.world()
        client = self.ask(world, self.ASK)
        world.upstreams[0].give(self.AGREE + b"hello")
        world.turn()
        world.upstreams[0].give(b"more")
        world.turn()
        client.end()
        world.upstreams[0].end()
        world.turn()
        [line] = self.logged(world)
        self.assertEqual((line["status"], line["sent_bytes"]), (101, len(client.outbound)))

    def test_a_filter_that_raises_at_the_101_is_answered_with_500(self) -> None:
        """As with any other response."""
        world = self.world()
        world.filter.raises = lambda side: side == "response"
        client = self.ask(world, self.ASK)
        world.upstreams[0].give(self.AGREE)
        world.turn()
        self.assertIn(b"HTTP/1.1 500 ", client.outbound)
        self.assertEqual(len(world.filter.finished_ones), 1)
        self.flushLoggedErrors(ZeroDivisionError)


class BrokenBackendTests(ExchangeTestCase):
    """Connections that break."""

    def test_a_reset_is_called_a_reset(self) -> None:
        """Looking for a response that might be there all the same finds the end, which is not how it ended."""
        world = self.world(cluster="retries = 1")
        client = self.ask(world)
        world.upstreams[0].break_off()
        world.turn()
        self.assertIn(b"HTTP/1.1 502 ", client.outbound)
        self.assertEqual(self.logged(world)[0]["cause"], "rst")

    def test_a_part_of_a_head_is_no_reason_not_to_read_the_rest_of_it(self) -> None:
        """The write that failed says nothing about what the backend had sent before."""
        world = self.world()
        client = self.ask(world, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        backend = world.upstreams[0]
        backend.give(b"HTTP/1.1 413 No\r\nContent-Le")
        world.turn()
        backend.give(b"ngth: 0\r\n\r\n")
        backend.edge = False
        backend.broken = True
        client.give(b"x")
        world.turn()
        self.assertIn(b"HTTP/1.1 413 ", client.outbound)

    def test_bytes_that_came_since_the_poll_are_seen_before_a_queued_request_takes_the_connection(self) -> None:
        """They would be taken for its response."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1")
        self.ask(world)
        second = self.ask(world)
        world.upstreams[0].give(OK)
        world.poller.doRead()
        world.upstreams[0].give(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        world.reactor.step()
        world.turn()
        self.assertNotIn(b"evil", second.outbound)
        self.assertEqual(len(world.upstreams), 2)

    def test_an_edge_that_the_poll_had_no_room_for_is_not_overlooked(self) -> None:
        """A full poll does not know what else is there, so the kernel is asked about a kept connection."""
        world = self.world()
        client = self.ask(world)
        world.upstreams[0].give(OK)
        world.turn()
        world.poller.max_events = 1
        client.give(GET % b"/")
        world.shuffle = lambda ready: ready.sort(key=FakeSocket.fileno)
        world.upstreams[0].give(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        world.turn()
        self.assertNotIn(b"evil", client.outbound)


class RepeatedFieldsTests(ExchangeTestCase):
    """Requests of one connection whose fields are the same, byte for byte, and so are judged once."""

    def test_what_a_filter_does_to_one_request_is_not_done_to_the_next(self) -> None:
        """A rewritten Host is rewritten anew, from what the client sent."""
        world = self.world()

        def rewrite(exchange: Exchange) -> None:
            request = exchange.request
            request.forwarded_host = request.forwarded_host or request.authority
            request.authority = b"inner." + request.authority
            request.lines.append(b"A: b")

        self.patch(world.filter, "also", rewrite)
        client = self.ask(world)
        world.upstreams[0].give(OK)
        world.turn()
        client.give(GET % b"/second")
        world.turn()
        first, second = bytes(world.upstreams[0].outbound).split(b"\r\n\r\n")[:2]
        ours = [head.partition(b"X-Request-Id")[0].split(b"\r\n")[1:] for head in (first, second)]
        self.assertEqual(ours[0], ours[1])
        self.assertIn(b"Host: inner.a\r\n", second)
