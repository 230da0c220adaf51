"""The life of requests on fake sockets: what is said, what is logged, and why it ended."""

from __future__ import annotations

from tests.http.exchange.test_exchange import GET, OK, ExchangeTestCase
from tests.http.exchange.world import FakeSocket, World

POST = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class LifeTestCase(ExchangeTestCase):
    """Worlds, and how things ended in them."""

    def ends(self, world: World) -> list[tuple[int, str]]:
        """(status, reason) of every line of the log."""
        return [(line["status"], "/".join((line["side"], line["phase"], line["cause"]))) for line in self.logged(world)]

    def closed(self, world: World) -> list[str]:
        """Why the clients' connections ended."""
        return sorted(str(reason) for reason, count in world.frontend.totals.closed.items() for _ in range(count))

    def answered(self, client: FakeSocket) -> list[int]:
        """Statuses of all that was sent to a client."""
        return [int(piece[:3]) for piece in bytes(client.outbound).split(b"HTTP/1.1 ")[1:]]

    def served(self, world: World, response: bytes = OK, data: bytes = GET % b"/") -> FakeSocket:
        """Let a request be answered by the backend that it went to."""
        client = self.ask(world, data)
        world.upstreams[-1].give(response)
        world.turn()
        return client

    def nothing_left(self, world: World) -> None:
        """No connection, place or timer is kept."""
        self.assertEqual((len(world.appliance.sessions), world.appliance.admission.active), (0, 0))
        self.assertEqual([backend.active for backend in world.cluster.backends], [0] * len(world.cluster.backends))


class OrdinaryTests(LifeTestCase):
    """One request after another."""

    def test_what_is_logged_and_counted(self) -> None:
        """Bytes of every direction, and the times from the head on."""
        world = self.world()
        world.connects = lambda sock: None
        client = self.ask(world, POST % (b"/t?x", 3) + b"ab")
        world.reactor.rightNow += 0.25
        world.upstreams[0].accept()
        world.turn()
        client.give(b"c")
        world.turn()
        world.reactor.rightNow += 0.5
        world.upstreams[0].give(b"HTTP/1.1 201 Made\r\nContent-Length: 4\r\n\r\nab")
        world.turn()
        world.reactor.rightNow += 1.0
        world.upstreams[0].give(b"cd")
        world.turn()
        [line] = self.logged(world)
        sent = bytes(world.upstreams[0].outbound)
        self.assertTrue(sent.startswith(b"POST /t?x HTTP/1.1\r\nHost: a\r\n") and sent.endswith(b"\r\n\r\nabc"))
        self.assertEqual(client.outbound, b"HTTP/1.1 201 Made\r\nContent-Length: 4\r\n\r\nabcd")
        wanted = {
            "method": "POST", "host": "a", "target": "/t?x", "version": "1.1", "status": 201, "route": "all",
            "cluster": "web", "backend": "a", "duration_s": 1.75, "connect_s": 0.25, "first_byte_s": 0.75,
            "rx_bytes": len(client.outbound), "tx_bytes": len(sent), "sent_bytes": len(client.outbound), "retries": 0,
            "side": "client", "phase": "data", "cause": "fin", "kind": "http", "id": 1,
        }  # fmt: skip
        self.assertEqual({name: line[name] for name in wanted}, wanted)
        self.assertEqual(world.target.statistics.rows[b"POST"], [0, 0, 1, *[0] * 7])
        self.assertEqual(world.target.statistics.seconds.sum, 1.75)
        (session,) = world.appliance.sessions
        session.refresh()
        self.assertEqual((session.rx_bytes, session.tx_bytes, session.state), (len(client.outbound), len(sent), "idle"))

    def test_a_kept_connection_serves_the_next_request(self) -> None:
        """Its connect time is nothing; each line counts its own bytes."""
        world = self.world()
        client = self.served(world)
        client.give(GET % b"/2")
        world.turn()
        world.upstreams[0].give(OK.replace(b"hi", b"ho"))
        world.turn()
        self.assertEqual((len(world.upstreams), self.answered(client)), (1, [200, 200]))
        first, second = self.logged(world)
        self.assertEqual((second["sent_bytes"], second["rx_bytes"]), (first["sent_bytes"], first["rx_bytes"]))
        self.assertEqual(second["tx_bytes"], first["tx_bytes"] + 1)
        self.assertNotEqual(first["request_id"], second["request_id"])
        self.assertEqual((world.cluster.backends[0].active, world.cluster.backends[0].connections_total), (0, 1))

    def test_requests_behind_each_other_are_answered_in_their_order(self) -> None:
        """Many at once, more than one turn takes up."""
        world = self.world()
        client = self.ask(world, b"".join(GET % (b"/here?%d" % number) for number in range(30)))
        world.turn(9)
        self.assertEqual(self.answered(client), [403] * 30)
        self.assertEqual([line["target"] for line in self.logged(world)], [f"/here?{number}" for number in range(30)])

    def test_what_a_connection_is_not_kept_for(self) -> None:
        """Each of these says that it is over, or leaves something on it."""
        for response, kept in (
            (OK, True),
            (b"HTTP/1.1 204 No\r\n\r\n", True),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", True),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
            (OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), False),
            (OK + b"x", False),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", False),
        ):
            world = self.world()
            client = self.served(world, response)
            self.assertEqual(world.upstreams[0].closes, int(not kept), response)
            client.give(GET % b"/2")
            world.turn()
            self.assertEqual(len(world.upstreams), 1 if kept else 2, response)
            self.assertNotIn(b"x" * 2, client.outbound)

    def test_users_own_connections_are_not_given_to_others(self) -> None:
        """NTLM and Negotiate bind the whole connection to a user."""
        for credentials, kept in ((b"NTLM x", False), (b"Basic x", True)):
            world = self.world()
            self.served(world, data=b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: " + credentials + b"\r\n\r\n")
            self.assertEqual(world.upstreams[0].closes, int(not kept))

    def test_bodies_without_a_length_end_with_the_connection(self) -> None:
        """The client gets chunks, one of HTTP/1.0 the end."""
        for version, end in ((b"1.1", b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"), (b"1.0", b"abcd")):
            world = self.world()
            client = self.served(world, b"HTTP/1.1 200 OK\r\n\r\nab", b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")
            world.upstreams[0].give(b"cd")
            world.turn()
            world.upstreams[0].end()
            world.turn()
            self.assertTrue(client.outbound.endswith(b"\r\n\r\n" + end), client.outbound)
            self.assertEqual(bool(client.shut or client.closes), version == b"1.0")
            self.assertEqual(self.ends(world), [(200, "client/data/fin" if version == b"1.1" else "proxy/data/fin")])

    def test_clients_of_http_1_0_may_go_on(self) -> None:
        """Where they ask for it and the body's length is known."""
        ask = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
        for response, goes_on in (
            (OK, True),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
            (b"HTTP/1.1 304 No\r\n\r\n", True),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        ):
            world = self.world()
            client = self.served(world, response, ask)
            self.assertEqual(
                (b"Connection: keep-alive" in client.outbound, bool(client.closes)), (goes_on, not goes_on)
            )
            self.assertEqual(b"Connection: close" in client.outbound, not goes_on)

    def test_a_trusted_proxy_names_its_requests(self) -> None:
        """Others are given a name."""
        ask = b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: theirs\r\n\r\n"
        for keys, trusted in (("trusted_proxies = 192.0.2.0/24", True), ("trusted_proxies = 10.0.0.0/8", False)):
            world = self.world(http=keys)
            self.served(world, OK, ask)
            self.assertEqual(b"\r\nX-Request-Id: theirs\r\n" in world.upstreams[0].outbound, trusted)
            self.assertEqual(self.logged(world)[0]["request_id"] == "theirs", trusted)
            self.assertEqual(world.upstreams[0].outbound.lower().count(b"x-request-id"), 1)

    def test_trailers_pass_both_ways(self) -> None:
        """In chunks that are written anew."""
        world = self.world()
        client = self.ask(world, CHUNKED + b"1\r\na\r\n1\r\nb\r\n0\r\nX-Up: 1\r\n\r\n")
        self.assertTrue(world.upstreams[0].outbound.endswith(b"\r\n\r\n2\r\nab\r\n0\r\nX-Up: 1\r\n\r\n"))
        world.upstreams[0].give(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\nX-Down: 2\r\n\r\n"
        )
        world.turn()
        self.assertTrue(client.outbound.endswith(b"\r\n\r\n1\r\nc\r\n0\r\nX-Down: 2\r\n\r\n"))


class RefusalTests(LifeTestCase):
    """Requests that go nowhere."""

    def test_reasons_by_status(self) -> None:
        """What is malformed is the client's protocol, what is too large its limit; both are counted by their words."""
        for data, status, reason, why in (
            (b"GET / HTTP/9.9\r\n\r\n", 400, "client/request/protocol", "malformed request line"),
            (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "client/request/limit", "target too long"),
            (GET[:-2] % b"/" + b"X: 1\r\n" * 200 + b"\r\n", 431, "client/request/limit", "too many fields"),
            (CHUNKED + b"zz\r\n", 400, "client/request/protocol", "malformed chunk size"),
            (CHUNKED + b"0\r\nX: " + b"x" * 17000, 431, "client/request/limit", "trailers too large"),
        ):
            world = self.world()
            client = self.ask(world, data)
            self.assertEqual((self.answered(client), self.ends(world)), ([status], [(status, reason)]), data[:40])
            self.assertIn(b"\r\nConnection: close\r\n", client.outbound)
            self.assertEqual(world.frontend.refusals.requests, {why: 1})
            self.assertTrue(client.shut or client.closes)

    def test_a_body_that_becomes_none_while_it_is_passed_on(self) -> None:
        """Answered at once, counted by its words; the backend's connection is closed over the half request."""
        for later, status, reason in (
            (b"zz\r\n", 400, "client/request/protocol"),
            (b"0\r\nX: " + b"x" * 17000, 431, "client/request/limit"),
            (b"5\r\nhello0", 400, "client/request/protocol"),
        ):
            world = self.world()
            client = self.ask(world, CHUNKED + b"1\r\nx\r\n")
            client.give(later)
            world.turn()
            self.assertEqual((self.answered(client), self.ends(world)), ([status], [(status, reason)]), later[:10])
            self.assertEqual((world.upstreams[0].closes, len(world.frontend.refusals.requests)), (1, 1))
            self.assertFalse(world.upstreams[0].outbound.endswith(b"0\r\n\r\n"))

    def test_no_route_and_routes_without_a_cluster(self) -> None:
        """Answered here; the connection goes on."""
        world = self.world()
        client = self.ask(world, GET % b"/here" + (GET % b"/here").replace(b"1.1", b"1.0"))
        self.assertEqual((self.answered(client), client.outbound.count(b"Connection: close")), ([403, 403], 1))
        self.assertEqual(self.ends(world), [(403, "proxy/request/policy")] * 2)
        self.assertEqual(world.frontend.local.rows[b"GET"][4], 2)

    def test_the_largest_body(self) -> None:
        """max_body_size, by its declaration or as its chunks add up."""
        for data, refused in (
            (POST % (b"/", 64) + b"x" * 64, False),
            (POST % (b"/", 65), True),
            (CHUNKED + b"40\r\n" + b"x" * 64 + b"\r\n0\r\n\r\n", False),
            (CHUNKED + b"41\r\n", True),
            (CHUNKED + b"1\r\nx\r\n40\r\n", True),
        ):
            world = self.world(http="max_body_size = 64")
            client = self.ask(world, data)
            self.assertEqual(self.answered(client), [413] if refused else [], data)
            self.assertEqual(self.ends(world), [(413, "client/request/limit")] if refused else [])

    def test_the_last_request_of_a_connection(self) -> None:
        """max_requests; the response says so."""
        world = self.world(http="max_requests = 2")
        client = self.served(world)
        self.assertNotIn(b"close", client.outbound)
        client.give(GET % b"/2" + GET % b"/3")
        world.turn()
        world.upstreams[0].give(OK)
        world.turn()
        self.assertEqual((self.answered(client), client.outbound.count(b"Connection: close")), ([200, 200], 1))
        self.assertEqual([reason for _, reason in self.ends(world)], ["client/data/fin", "proxy/data/fin"])
        self.assertNotIn(b"/3", world.upstreams[0].outbound)


class ClientTests(LifeTestCase):
    """Clients that leave."""

    def test_before_during_and_after_the_head(self) -> None:
        """Each phase has its own reason."""
        for data, end, reason in (
            (b"", "fin", "client/idle/fin"),
            (b"GET / HT", "fin", "client/request/fin"),
            (b"GET / HT", "rst", "client/request/rst"),
        ):
            world = self.world()
            client = self.ask(world, data)
            client.end() if end == "fin" else client.break_off()
            world.turn()
            self.assertEqual((self.closed(world), client.closes), ([reason], 1), data)
            self.nothing_left(world)

    def test_between_requests(self) -> None:
        """By FIN or by reset; the requests have their lines, the connection has none of its own."""
        for end in ("fin", "rst"):
            world = self.world()
            client = self.served(world)
            (session,) = world.appliance.sessions
            self.assertFalse(session.logged)
            client.end() if end == "fin" else client.break_off()
            world.turn()
            self.assertEqual((self.closed(world), len(world.log.lines)), ([f"client/idle/{end}"], 1))
            self.nothing_left(world)

    def test_while_the_backend_works(self) -> None:
        """The backend's work is aborted; FIN alone is no leaving where half-closed clients are served."""
        for keys, end, reason in (
            ("", "fin", "client/headers/fin"),
            ("half_close = abort", "rst", "client/headers/rst"),
            ("half_close = serve", "rst", "client/headers/rst"),
            ("half_close = serve", "fin", ""),
        ):
            world = self.world(http=keys)
            client = self.ask(world)
            client.end() if end == "fin" else client.break_off()
            world.turn()
            self.assertEqual(self.ends(world), [(0, reason)] if reason else [], (keys, end))
            self.assertEqual(world.upstreams[0].closes, int(bool(reason)))
            if not reason:
                world.upstreams[0].give(OK)
                world.turn(6)
                self.assertEqual((self.answered(client), client.closes), ([200], 1))
            self.nothing_left(world)

    def test_in_the_middle_of_a_body_or_of_a_response(self) -> None:
        """The backend's connection goes with it."""
        world = self.world()
        client = self.ask(world, POST % (b"/", 9) + b"x")
        client.end()
        world.turn()
        self.assertEqual((self.ends(world), world.upstreams[0].closes), ([(0, "client/request/fin")], 1))
        world = self.world()
        client = self.served(world, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        client.break_off()
        world.turn()
        self.assertEqual((self.ends(world), world.upstreams[0].closes), ([(200, "client/data/rst")], 1))
        self.nothing_left(world)

    def test_a_queued_request_leaves_the_queue(self) -> None:
        """Its place is not kept."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1")
        self.ask(world)
        second = self.ask(world)
        self.assertEqual(len(world.pool.queue), 1)
        second.break_off()
        world.turn()
        self.assertEqual((len(world.pool.queue), self.ends(world)), (0, [(0, "client/headers/rst")]))

    def test_the_end_of_the_process(self) -> None:
        """Idle connections go at once; one that is served gets its response, and is told that it was the last."""
        world = self.world()
        idle, busy = self.served(world), self.ask(world)
        world.frontend.draining = True
        for client in (idle, busy):
            carrier = world.connection(client)
            carrier.drain()
        self.assertEqual((idle.closes, busy.closes), (1, 0))
        world.upstreams[-1].give(OK)
        world.turn(6)
        self.assertEqual((self.answered(busy), busy.outbound.count(b"Connection: close"), busy.closes), ([200], 1, 1))
        self.assertEqual(self.closed(world), ["admin/drain/shutdown", "proxy/data/fin"])

    def test_proxy_headers(self) -> None:
        """The client that they name is the one that counts; what follows is the request; others are refused."""
        world = self.world(http="proxy_protocol = expect")
        client = self.ask(world, b"PROXY TCP4 203.0.113.5 203.0.113.80 4711 80\r\n" + GET % b"/")
        self.assertIn(b"\r\nX-Real-IP: 203.0.113.5\r\n", world.upstreams[0].outbound)
        self.assertIn(b"\r\nX-Forwarded-Port: 80\r\n", world.upstreams[0].outbound)
        world.upstreams[0].give(OK)
        world.turn()
        [line] = self.logged(world)
        self.assertEqual((line["client"], line["local"]), ("203.0.113.5:4711", "203.0.113.80:80"))
        for data, end, reason in (
            (GET % b"/", "", "client/handshake/protocol"),
            (b"PROXY TCP4 ", "fin", "client/handshake/fin"),
            (b"PROXY TCP4 ", "rst", "client/handshake/rst"),
        ):
            world = self.world(http="proxy_protocol = expect")
            client = self.ask(world, data)
            if end:
                client.end() if end == "fin" else client.break_off()
                world.turn()
            self.assertEqual((self.closed(world), client.closes, bytes(client.outbound)), ([reason], 1, b""), data)
