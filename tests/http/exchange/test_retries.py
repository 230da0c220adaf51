"""Requests that are tried again: when, where, how often, and when not."""

from __future__ import annotations

from typing import Any

from netappliance.clusters.retry_budget import WINDOW_S
from tests.http.exchange.test_exchange import GET, OK
from tests.http.exchange.test_life import POST, LifeTestCase
from tests.http.exchange.world import FakeSocket, World

BACKENDS = "10.0.0.1:80 id=a\n    10.0.0.2:80 id=b\n    10.0.0.3:80 id=c"
PUT = POST.replace(b"POST", b"PUT")


def response(status: int, body: bytes = b"") -> bytes:
    """A whole response."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


class RetryTestCase(LifeTestCase):
    """Three backends."""

    def three(self, keys: str = "", **more: Any) -> World:
        """Build a world of them."""
        return self.world(backends=BACKENDS, cluster=keys, **more)

    def asked(self, world: World) -> list[str]:
        """The addresses that connections were made to, in order."""
        return [sock.address[0] for sock in world.upstreams]


class BrokenTests(RetryTestCase):
    """Connections that break after the request was sent, before a byte of the response."""

    def test_another_backend_is_asked_on_a_fresh_connection_too(self) -> None:
        """Up to ``retries`` connections, each to another backend; each failure is its backend's."""
        for end in (FakeSocket.end, FakeSocket.break_off):
            world = self.three()
            client = self.ask(world)
            for attempt in range(2):
                end(world.upstreams[attempt])
                world.turn()
            world.upstreams[2].give(OK)
            world.turn()
            self.assertEqual((self.answered(client), len(set(self.asked(world)))), ([200], 3))
            self.assertEqual((self.logged(world)[0]["retries"], world.target.statistics.retries), (2, 2))
            self.assertEqual(sorted(backend.failures_total for backend in world.cluster.backends), [0, 1, 1])
            self.assertTrue(all(sock.outbound == world.upstreams[0].outbound for sock in world.upstreams))

    def test_the_last_attempt_is_the_last(self) -> None:
        """Then 502, with how it ended."""
        world = self.three("retries = 2")
        client = self.ask(world)
        for sock in (0, 1):
            world.upstreams[sock].break_off()
            world.turn()
        self.assertEqual((self.answered(client), len(world.upstreams)), ([502], 2))
        self.assertEqual(self.ends(world), [(502, "backend/headers/rst")])

    def test_methods_that_may_not_be_repeated_are_not(self) -> None:
        """Nobody knows what the backend did with the request."""
        world = self.three()
        client = self.ask(world, POST % (b"/", 1) + b"x")
        world.upstreams[0].break_off()
        world.turn()
        self.assertEqual((self.answered(client), len(world.upstreams)), ([502], 1))

    def test_a_body_that_is_still_there_is_sent_again(self) -> None:
        """Not one of which a part was passed on already."""
        world = self.three()
        client = self.ask(world, PUT % (b"/", 4) + b"body")
        world.upstreams[0].break_off()
        world.turn()
        world.upstreams[1].give(OK)
        world.turn()
        self.assertEqual((self.answered(client), world.upstreams[1].outbound[-4:]), ([200], b"body"))
        world = self.three()
        client = self.ask(world, PUT % (b"/", 4) + b"bo")
        client.give(b"dy")
        world.turn()
        world.upstreams[0].break_off()
        world.turn()
        self.assertEqual((self.answered(client), len(world.upstreams)), ([502], 1))

    def test_nothing_is_repeated_once_an_answer_has_begun(self) -> None:
        """Be it an interim one, or a part of a head."""
        for begun in (b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 2"):
            world = self.three()
            client = self.ask(world)
            world.upstreams[0].give(begun)
            world.turn()
            world.upstreams[0].break_off()
            world.turn()
            self.assertEqual((self.answered(client)[-1], len(world.upstreams)), (502, 1), begun)

    def test_where_broken_is_no_reason(self) -> None:
        """Neither on a fresh connection nor on a kept one."""
        world = self.three("retry_on = connect")
        client = self.ask(world)
        world.upstreams[0].break_off()
        world.turn()
        self.assertEqual(self.answered(client), [502])
        world = self.three("retry_on =")
        client = self.served(world)
        client.give(GET % b"/2")
        world.turn()
        for sock in world.upstreams:
            sock.break_off()
        world.turn()
        self.assertEqual(self.answered(client), [200, 502])

    def test_where_a_failed_connection_is_no_reason(self) -> None:
        """The first one decides, whether it fails at once or later."""
        world = self.three("retry_on = broken")
        world.connects = FakeSocket.break_off
        client = self.ask(world)
        self.assertEqual((self.answered(client), len(world.upstreams)), ([503], 1))

        def refuse(sock: FakeSocket) -> None:
            raise ConnectionRefusedError(111, "refused")

        world = self.three("retry_on = broken")
        world.connects = refuse
        client = self.ask(world)
        self.assertEqual(self.answered(client), [503])
        self.assertEqual(sum(backend.failures_total for backend in world.cluster.backends), 1)


class StatusTests(RetryTestCase):
    """Responses and silences that are no answers, where ``retry_on`` says so."""

    def test_a_status_of_the_list_is_not_passed_on_while_there_is_another_try(self) -> None:
        """The last one is; others are at once."""
        world = self.three("retry_on = connect, 503")
        client = self.ask(world)
        world.upstreams[0].give(response(503))
        world.turn()
        world.upstreams[1].give(response(502))
        world.turn()
        self.assertEqual((self.answered(client), self.logged(world)[0]["retries"]), ([502], 1))
        self.assertEqual((world.upstreams[0].closes, world.upstreams[1].closes), (0, 0))
        world = self.three("retry_on = 503")
        client = self.ask(world)
        for attempt in range(3):
            world.upstreams[attempt].give(response(503, b"%d" % attempt))
            world.turn()
        self.assertEqual((self.answered(client), client.outbound[-1:]), ([503], b"2"))
        self.assertEqual((len(set(self.asked(world))), self.logged(world)[0]["status"]), (3, 503))

    def test_a_response_of_which_only_a_part_has_come_is_left_with_its_connection(self) -> None:
        """Its rest is nobody's."""
        world = self.three("retry_on = 503")
        client = self.ask(world)
        world.upstreams[0].give(response(503, b"half")[:-2])
        world.turn()
        world.upstreams[1].give(OK)
        world.turn()
        self.assertEqual((self.answered(client), world.upstreams[0].closes), ([200], 1))

    def test_methods_that_may_not_be_repeated_get_the_status(self) -> None:
        """The backend has seen the request."""
        world = self.three("retry_on = 503")
        client = self.ask(world, POST % (b"/", 0))
        world.upstreams[0].give(response(503))
        world.turn()
        self.assertEqual((self.answered(client), len(world.upstreams)), ([503], 1))

    def test_silence(self) -> None:
        """After ``backend_timeout``, on each backend; 504 in the end."""
        world = self.three("retry_on = timeout\nretries = 2", http="backend_timeout = 5s")
        client = self.ask(world)
        world.wait(6)
        self.assertEqual((self.answered(client), len(world.upstreams), world.upstreams[0].closes), ([], 2, 1))
        world.wait(6)
        self.assertEqual((self.answered(client), self.ends(world)), ([504], [(504, "backend/headers/timeout")]))

    def test_silence_is_no_reason_unless_it_is_asked_for(self) -> None:
        """The request may be what makes backends slow."""
        world = self.three(http="backend_timeout = 5s")
        client = self.ask(world)
        world.wait(6)
        self.assertEqual((self.answered(client), len(world.upstreams)), ([504], 1))


class WaitTests(RetryTestCase):
    """Requests that wait for a place."""

    def test_a_backend_that_is_back_is_noticed_by_those_who_wait(self) -> None:
        """They do not wait for the end of somebody else's request."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1\n    10.0.0.2:80 id=b")
        b = world.cluster.backends[1]
        world.cluster.set_health(b, False, 1000.0)
        self.ask(world)
        waiting = self.ask(world)
        self.assertEqual((len(world.pool.queue), self.asked(world)), (1, ["10.0.0.1"]))
        world.cluster.set_health(b, True, 1000.0)
        world.turn()
        world.upstreams[1].give(OK)
        world.turn()
        self.assertEqual((self.answered(waiting), self.asked(world)), ([200], ["10.0.0.1", "10.0.0.2"]))


class BudgetTests(RetryTestCase):
    """A share of the requests."""

    def test_beyond_the_budget_the_failure_is_told_at_once(self) -> None:
        """And counted; first tries go on."""
        world = self.three("retry_budget = 0\nretry_budget_min = 1")
        statuses = []
        for number in range(int(WINDOW_S) + 5):
            client = self.ask(world)
            world.upstreams[-1].break_off()
            world.turn()
            if not self.answered(client):
                world.upstreams[-1].give(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                world.turn()
            statuses += self.answered(client)
            self.assertEqual(len(statuses), number + 1)
        self.assertEqual(statuses, [200] * int(WINDOW_S) + [502] * 5)
        self.assertEqual(world.cluster.retry_budget.exceeded_total, 5)

    def test_slow_backends_get_no_more_than_the_budget(self) -> None:
        """Every request times out everywhere: of a hundred, two hundred retries were wanted."""
        world = self.three(
            "retry_on = timeout\nretry_budget_min = 0", http="backend_timeout = 5s\nclient_timeout = 10m"
        )
        clients = [self.ask(world) for _ in range(100)]
        world.wait(20)
        self.assertEqual({status for client in clients for status in self.answered(client)}, {504})
        self.assertEqual((len(world.upstreams), world.cluster.retry_budget.taken_total), (120, 20))
        self.assertEqual(world.target.statistics.retries, 20)


class OutlierTests(RetryTestCase):
    """What exchanges tell of backends, where outliers are looked for."""

    def state(self, world: World) -> list[str]:
        """The states of a, b and c."""
        return [backend.state(world.poller.now).value for backend in world.cluster.backends]

    def test_statuses(self) -> None:
        """With the time that each took from its request on; the client gets what the backend said."""
        world = self.three("outlier_gateway_errors = 2\nretries = 1")
        statuses = []
        for _ in range(6):
            client = self.ask(world)
            world.wait(1)
            sock = world.upstreams[-1]
            sock.give(response(503 if sock.address[0] == "10.0.0.1" else 200) if len(sock.sends) == 1 else b"")
            world.turn()
            statuses += self.answered(client)
            for kept in world.upstreams:
                kept.end()
            world.turn()
        self.assertEqual((sorted(statuses), self.state(world)), ([200] * 4 + [503] * 2, ["ejected", "up", "up"]))
        conduct = world.cluster.backends[1].conduct
        self.assertEqual((conduct.requests, conduct.successes), (2, 2))
        self.assertTrue(1.9 <= conduct.seconds <= 2.1, conduct.seconds)
        self.assertEqual(world.cluster.backends[0].ejections_total, 1)

    def test_silence_and_broken_connections(self) -> None:
        """The first is a gateway error, the others are failures, as is what is no response."""
        world = self.three("outlier_gateway_errors = 1\nretries = 1", http="backend_timeout = 5s")
        self.ask(world)
        world.wait(6)
        self.assertEqual(self.state(world).count("ejected"), 1)
        for said in (b"", b"garbage\r\n\r\n"):
            world = self.three("outlier_failures = 1\nretries = 1")
            self.ask(world)
            world.upstreams[0].give(said)
            world.upstreams[0].end()
            world.turn()
            self.assertEqual((self.state(world).count("ejected"), world.frontend.totals.rx_errors), (1, 1), said)

    def test_where_nothing_is_looked_for_nothing_is_counted(self) -> None:
        """It would cost each request."""
        world = self.three()
        self.served(world)
        self.assertEqual([backend.conduct.requests for backend in world.cluster.backends], [0, 0, 0])
