"""Exchanges that fail: who is waited for and how long, and backends that break, at the edges of every limit."""

from __future__ import annotations

import errno
from typing import Any

from tests.http.exchange.test_exchange import GET, OK
from tests.http.exchange.test_life import POST, LifeTestCase
from tests.http.exchange.world import FakeSocket, World, error_of


class TimeoutTests(LifeTestCase):
    """Who is waited for, how long, and what is said then."""

    def after(self, world: World, seconds: float) -> None:
        """Hold that nothing happens before, and let it happen."""

        def seen() -> list[object]:
            clients = [(bytes(client.outbound), client.closes) for client in world.clients]
            return [clients, len(world.log.lines), len(world.upstreams)]

        before = seen()
        world.wait(seconds - 1)
        self.assertEqual(seen(), before)
        world.wait(2)

    def test_a_head_that_does_not_come(self) -> None:
        """request_timeout from the connection's beginning: without a word if nothing came, else 408."""
        world = self.world()
        client = self.ask(world, b"")
        self.after(world, 10)
        self.assertEqual((client.closes, bytes(client.outbound)), (1, b""))
        self.assertEqual(self.closed(world), ["client/request/timeout"])
        world = self.world()
        client = self.ask(world, b"GET / HT")
        self.after(world, 10)
        self.assertEqual((self.answered(client), self.ends(world)), ([408], [(408, "client/request/timeout")]))

    def test_an_idle_connection(self) -> None:
        """client_timeout after the last response; the next head has request_timeout from its first byte."""
        world = self.world()
        client = self.served(world)
        self.after(world, 60)
        self.assertEqual((client.closes, len(world.log.lines)), (1, 1))
        self.assertEqual(self.closed(world), ["proxy/idle/timeout"])
        world = self.world()
        client = self.served(world)
        world.wait(30)
        client.give(b"GET / HT")
        world.turn()
        self.after(world, 10)
        self.assertEqual(self.answered(client), [200, 408])

    def test_a_backend_that_is_not_reached(self) -> None:
        """connect_timeout for each attempt; then 503."""
        world = self.world(cluster="connect_timeout = 3s\nretries = 2")
        world.connects = lambda sock: None
        client = self.ask(world)
        self.after(world, 3)
        self.assertEqual((len(world.upstreams), world.upstreams[0].closes), (2, 1))
        self.after(world, 3)
        self.assertEqual((self.answered(client), self.ends(world)), ([503], [(503, "backend/connect/timeout")]))
        self.assertEqual(self.logged(world)[0]["retries"], 1)
        self.assertEqual(world.cluster.backends[0].failures_total, 2)

    def test_a_backend_that_does_not_answer(self) -> None:
        """backend_timeout after the last byte that moved; 504, or the connection is cut when a response has begun."""
        world = self.world()
        client = self.ask(world)
        self.after(world, 30)
        self.assertEqual((self.answered(client), self.ends(world)), ([504], [(504, "backend/headers/timeout")]))
        self.assertEqual((world.cluster.backends[0].failures_total, world.upstreams[0].closes), (1, 1))
        world = self.world()
        client = self.served(world, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        world.wait(20)
        world.upstreams[0].give(b"x")
        world.turn()
        self.after(world, 30)
        self.assertEqual((client.closes, client.reset), (1, True))
        self.assertEqual(self.ends(world), [(200, "backend/data/timeout")])
        self.assertEqual(world.frontend.totals.rx_errors, 1)

    def test_a_client_that_does_not_take_its_response(self) -> None:
        """client_timeout after it took something last."""
        world = self.world()
        client = self.ask(world)
        client.window = 20
        world.upstreams[0].give(OK)
        world.turn()
        world.wait(40)
        self.assertEqual((world.log.lines, client.closes), ([], 0))
        client.widen(1)
        world.turn()
        self.after(world, 60)
        self.assertEqual((client.closes, client.reset), (1, True))
        self.assertEqual(self.ends(world), [(200, "client/data/timeout")])

    def test_a_body_that_comes_too_slowly(self) -> None:
        """min_body_rate after request_timeout; at exactly that rate it goes on."""
        for piece, served in ((7 * 64, True), (7 * 64 - 8, False)):
            world = self.world(http="min_body_rate = 64")
            client = self.ask(world, POST % (b"/", 100000))
            for _ in range(5):
                client.give(b"x" * piece)
                world.turn()
                world.wait(7)
            self.assertEqual(self.ends(world), [] if served else [(408, "client/request/timeout")], piece)
            self.assertEqual(self.answered(client), [] if served else [408])

    def test_a_body_that_does_not_come_on(self) -> None:
        """client_timeout, where no rate is asked for."""
        world = self.world(http="min_body_rate = 0")
        client = self.ask(world, POST % (b"/", 100) + b"x")
        self.after(world, 60)
        self.assertEqual((self.answered(client), self.ends(world)), ([408], [(408, "client/request/timeout")]))
        world = self.world(http="min_body_rate = 64")
        client = self.ask(world, POST % (b"/", 100))
        self.after(world, 60)
        self.assertEqual(self.answered(client), [408])

    def test_a_client_that_waits_for_100_waits_for_the_backend(self) -> None:
        """Until the backend has spoken, or the client begins all the same."""
        ask = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        world = self.world()
        client = self.ask(world, ask)
        self.assertIn(b"\r\nExpect: 100-continue\r\n", world.upstreams[0].outbound)
        self.after(world, 30)
        self.assertEqual((self.answered(client), self.ends(world)), ([504], [(504, "backend/headers/timeout")]))
        for talk in ("backend", "client"):
            world = self.world()
            client = self.ask(world, ask)
            if talk == "backend":
                world.upstreams[0].give(b"HTTP/1.1 100 Go\r\n\r\n")
            else:
                client.give(b"x")
            world.turn()
            world.wait(58 if talk == "backend" else 20)
            self.assertEqual(self.answered(client), [100] if talk == "backend" else [408])

    def test_a_place_in_the_queue(self) -> None:
        """queue_timeout; then 503."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1", cluster="queue_timeout = 5s\nmax_queue = 2")
        clients = [self.ask(world) for _ in range(4)]
        self.assertEqual([self.answered(client) for client in clients], [[], [], [], [503]])
        self.assertEqual(self.ends(world), [(503, "backend/queue/limit")])
        self.after(world, 5)
        self.assertEqual([self.answered(client) for client in clients], [[], [503], [503], [503]])
        self.assertEqual(self.ends(world)[1:], [(503, "backend/queue/timeout")] * 2)
        self.assertEqual((world.pool.queue_timeouts, len(world.pool.queue)), (2, 0))

    def test_a_client_that_goes_on_sending_after_its_last_response(self) -> None:
        """linger_timeout; what comes is thrown away."""
        world = self.world(http="linger_timeout = 2s")
        client = self.ask(world, POST % (b"/here", 1000))
        self.assertEqual((self.answered(client), client.shut), ([403], True))
        client.give(b"x" * 500)
        world.turn()
        self.assertEqual((len(client.inbound), client.closes), (0, 0))
        self.after(world, 2)
        self.assertEqual((client.closes, self.ends(world)), (1, [(403, "proxy/request/policy")]))
        self.assertEqual(self.closed(world), ["proxy/request/policy"])
        self.nothing_left(world)

    def test_a_client_that_breaks_off_after_its_last_response(self) -> None:
        """It has it: the reason is that of the response."""
        world = self.world()
        client = self.ask(world, POST % (b"/here", 1000))
        client.break_off()
        world.turn()
        self.assertEqual((client.closes, self.closed(world)), (1, ["proxy/request/policy"]))
        self.nothing_left(world)

    def test_a_proxy_header_that_does_not_come(self) -> None:
        """proxy_protocol_timeout, without a word."""
        world = self.world(http="proxy_protocol = expect\nproxy_protocol_timeout = 3s")
        client = self.ask(world, b"PROXY TCP4 ")
        self.after(world, 3)
        self.assertEqual((client.closes, bytes(client.outbound)), (1, b""))
        self.assertEqual(self.closed(world), ["client/handshake/timeout"])


class CrashTests(LifeTestCase):
    """Bugs of ours."""

    def test_a_bug_in_a_timer_and_another_while_it_is_answered(self) -> None:
        """The connection is closed; nothing waits for a deadline that nobody looks at."""
        for second in (False, True):
            world = self.world(cluster="connect_timeout = 3s")
            world.connects = lambda sock: None
            client = self.ask(world)

            def fail(where: str, second: bool = second) -> None:
                if where == "choose" or (second and where == "send"):
                    raise ZeroDivisionError(where)

            world.bug = fail
            world.wait(4)
            world.bug = lambda where: None
            world.wait(3)
            self.assertEqual((self.answered(client), client.closes), ([] if second else [500], 1))
            self.assertEqual([line["cause"] for line in self.logged(world)], ["internal"])
            self.nothing_left(world)
            self.flushLoggedErrors(ZeroDivisionError)


class BackendTests(LifeTestCase):
    """Backends that fail."""

    def test_attempts_go_to_other_backends(self) -> None:
        """As many as retries says; a refused connection is a failure of its backend, a lack here is not."""
        for code, reason, blamed in (
            (errno.ECONNREFUSED, "backend/connect/rst", 1),
            (errno.EMFILE, "proxy/connect/resource", 0),
            (errno.ETIMEDOUT, "backend/connect/timeout", 1),
        ):
            world = self.world(backends="10.0.0.1:80 id=a, 10.0.0.2:80 id=b", cluster="retries = 2")
            tried: list[Any] = []

            def refuse(sock: FakeSocket, code: int = code, tried: list[Any] = tried) -> None:
                tried.append(sock.address)
                raise error_of(code)

            world.connects = refuse
            client = self.ask(world)
            self.assertEqual((self.answered(client), self.ends(world)), ([503], [(503, reason)]))
            self.assertEqual(sorted(tried), [("10.0.0.1", 80), ("10.0.0.2", 80)])
            self.assertEqual([backend.failures_total for backend in world.cluster.backends], [blamed] * 2)
            self.assertEqual([backend.active for backend in world.cluster.backends], [0, 0])

    def test_the_second_attempt_succeeds(self) -> None:
        """The client does not learn of the first."""
        world = self.world(backends="10.0.0.1:80 id=a, 10.0.0.2:80 id=b")
        world.connects = lambda sock: None
        client = self.ask(world)
        world.upstreams[0].break_off(errno.ECONNREFUSED)
        world.turn()
        world.upstreams[1].accept()
        world.turn()
        world.upstreams[1].give(OK)
        world.turn()
        [line] = self.logged(world)
        self.assertEqual((self.answered(client), line["retries"], line["status"]), ([200], 1, 200))
        self.assertNotEqual(world.upstreams[0].address, world.upstreams[1].address)

    def test_a_cluster_without_backends(self) -> None:
        """Nobody is waited for."""
        world = self.world(backends="")
        client = self.ask(world)
        self.assertEqual((self.answered(client), self.ends(world)), ([503], [(503, "backend/connect/resource")]))

    def test_a_kept_connection_that_died(self) -> None:
        """Unseen before the request was sent: what may be sent twice goes to a new one, the rest is an error."""
        for method, again in (
            (b"GET", True),
            (b"PUT", True),
            (b"DELETE", True),
            (b"HEAD", True),
            (b"POST", False),
            (b"PATCH", False),
        ):
            world = self.world()
            client = self.served(world)
            client.give(GET.replace(b"GET", method) % b"/2")
            world.turn()
            world.upstreams[0].end()
            world.turn()
            self.assertEqual(len(world.upstreams), 2 if again else 1, method)
            if again:
                world.upstreams[1].give(OK if method != b"HEAD" else OK[:-2])
                world.turn()
                line = self.logged(world)[1]
                self.assertEqual((self.answered(client), line["retries"]), ([200, 200], 1))
                self.assertEqual((world.target.statistics.retries, world.pool.stale), (1, 1))
            else:
                self.assertEqual(self.answered(client), [200, 502])
                self.assertEqual(self.ends(world)[1], (502, "backend/headers/fin"))

    def test_a_fresh_connection_that_dies_is_an_error_in_the_end(self) -> None:
        """When there is no further attempt; and at once when a part of a response came."""
        world = self.world(cluster="retries = 1")
        client = self.ask(world)
        world.upstreams[0].end()
        world.turn()
        self.assertEqual((self.answered(client), self.ends(world)), ([502], [(502, "backend/headers/fin")]))
        self.assertEqual((world.cluster.backends[0].failures_total, world.frontend.totals.rx_errors), (1, 1))
        world = self.world()
        client = self.served(world)
        client.give(GET % b"/2")
        world.turn()
        world.upstreams[0].give(b"HTTP/1.1 2")
        world.turn()
        world.upstreams[0].end()
        world.turn()
        self.assertEqual((len(world.upstreams), self.answered(client)), (1, [200, 502]))

    def test_a_response_that_is_none(self) -> None:
        """In the head 502, in the body the connection is cut; both are counted by their words."""
        world = self.world()
        client = self.served(world, b"HTTP/1.1 2000 OK\r\n\r\n")
        self.assertEqual((self.answered(client), self.ends(world)), ([502], [(502, "backend/headers/protocol")]))
        self.assertEqual(world.frontend.refusals.responses, {"malformed status line": 1})
        self.assertEqual((world.cluster.backends[0].failures_total, world.upstreams[0].closes), (1, 1))
        world = self.world()
        client = self.served(world, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        self.assertEqual((self.answered(client), self.ends(world)), ([502], [(502, "backend/headers/protocol")]))
        self.assertEqual(world.upstreams[0].closes, 1)
        world = self.world()
        client = self.served(world, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        world.upstreams[0].give(b"zz\r\n")
        world.turn()
        self.assertEqual(self.ends(world), [(200, "backend/data/protocol")])
        self.assertEqual((client.closes, client.reset, client.outbound.endswith(b"1\r\nx\r\n")), (1, True, True))

    def test_a_response_that_is_cut(self) -> None:
        """What is missing is seen: the client's connection is reset."""
        for end, cause in (("fin", "fin"), ("rst", "rst")):
            world = self.world()
            client = self.served(world, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            world.upstreams[0].end() if end == "fin" else world.upstreams[0].break_off()
            world.turn()
            self.assertEqual(self.ends(world), [(200, f"backend/data/{cause}")])
            self.assertEqual((client.closes, client.reset), (1, True))
            self.nothing_left(world)

    def test_a_body_that_only_the_end_ends_is_not_whole_when_the_connection_broke(self) -> None:
        """The write that failed says that it did."""
        world = self.world()
        client = self.ask(world, POST % (b"/", 100) + b"half")
        backend = world.upstreams[0]
        backend.give(b"HTTP/1.1 200 OK\r\n\r\npart")
        world.turn()
        backend.broken = True
        client.give(b"x")
        world.turn()
        self.assertEqual((self.ends(world), client.reset), ([(200, "backend/data/rst")], True))
        self.assertFalse(client.outbound.endswith(b"0\r\n\r\n"))

    def test_interim_responses(self) -> None:
        """Sixteen pass, in HTTP/1.1; the seventeenth is too many."""
        early = b"HTTP/1.1 103 Early\r\n\r\n"
        for count, statuses in ((16, [103] * 16 + [200]), (17, [103] * 16 + [502])):
            world = self.world()
            client = self.served(world, early * count + OK)
            self.assertEqual(self.answered(client), statuses)
        self.assertEqual(world.frontend.refusals.responses, {"too many interim responses": 1})
        world = self.world()
        client = self.served(world, early * 3 + OK, b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        self.assertEqual(self.answered(client), [200])
