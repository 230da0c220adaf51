"""Connections over many requests: what is kept, what is sent again, and what must never be taken for a response."""

from __future__ import annotations

import errno
from pathlib import Path

from netappliance.http.kind import shared_routes
from tests.http.exchange.test_exchange import GET, OK
from tests.http.exchange.test_life import POST, LifeTestCase
from tests.http.exchange.world import FakeSocket, World

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


class KeptTests(LifeTestCase):
    """Requests one after another."""

    def test_many_requests_on_one_pair_of_connections(self) -> None:
        """With and without bodies, which come with the head or behind it; with every kind of response."""
        world = self.world()
        client = world.client()
        requests = [
            (GET % b"/0", b""),
            (POST % (b"/1", 3) + b"abc", b""),
            (POST % (b"/2", 3), b"abc"),
            (POST % (b"/3", 3) + b"a", b"bc"),
            (b"POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b""),
            (b"POST /5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n0\r\n\r\n"),
            (POST % (b"/6", 0), b""),
            (GET.replace(b"GET", b"HEAD") % b"/7", b""),
            (GET % b"/8", b""),
        ]
        responses = [
            OK,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            b"HTTP/1.1 204 No\r\n\r\n",
            b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n",
            b"HTTP/1.1 103 Early\r\n\r\n" + OK,
        ]
        for number, (first, later) in enumerate(requests * 3):
            client.give(first)
            world.turn()
            if later:
                client.give(later)
                world.turn()
            response = responses[number % len(responses)]
            if first.startswith(b"HEAD"):
                response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            cut = number % len(response)
            for piece in (response[:cut], response[cut:]):
                world.upstreams[0].give(piece)
                world.turn()
            self.assertEqual(len(world.log.lines), number + 1)
        self.assertEqual((len(world.upstreams), world.upstreams[0].closes, client.closes), (1, 0, 0))
        self.assertNotIn(b"Connection", client.outbound)
        self.assertEqual({reason for _, reason in self.ends(world)}, {"client/data/fin"})
        self.assertEqual([line["target"] for line in self.logged(world)], [f"/{n % 9}" for n in range(27)])

    def test_a_hundred_requests_at_once(self) -> None:
        """More than one turn takes up; none waits for the next edge."""
        world = self.world()
        client = self.ask(world, b"".join(GET % (b"/here?%d" % number) for number in range(100)))
        world.turn(9)
        self.assertEqual(self.answered(client), [403] * 100)

    def test_one_connection_leaves_others_their_turn(self) -> None:
        """So many answers, then the rest of the round."""
        world = self.world()
        client = world.client()
        world.turn()
        client.give(b"".join(GET % b"/here" for _ in range(100)))
        world.poller.doRead()
        self.assertEqual(len(self.answered(client)), 32)

    def test_reads_are_none_too_many(self) -> None:
        """A read that was not full leaves nothing; one that was is followed by another."""
        ask = GET % (b"/here?" + b"x" * 100)
        for size, reads in ((len(ask), 2), (len(ask) + 1, 1), (len(ask) - 1, 2)):
            world = self.world(reads=size)
            client = world.client()
            world.turn()
            for _ in range(3):
                client.reads.clear()
                client.give(ask)
                world.turn()
                self.assertEqual(len(client.reads), reads, size)
            self.assertEqual(self.answered(client), [403] * 3)

    def test_requests_on_kept_connections_go_out_when_the_round_is_over(self) -> None:
        """A send between two events' work wakes a process that slept; on new ones they go out at once."""
        world = self.world()
        world.shuffle = lambda ready: ready.sort(key=FakeSocket.fileno)
        clients = [self.ask(world) for _ in range(2)]
        for backend in world.upstreams:
            backend.give(OK)
        world.turn()
        order: list[str] = []
        world.bug = order.append
        for client in clients:
            client.give(GET % b"/2")
        world.poller.doRead()
        self.assertEqual([what for what in order if what != "choose"], ["receive", "receive", "send", "send"])
        self.assertEqual(len(world.upstreams), 2)

    def test_the_session_of_a_closed_connection_says_so(self) -> None:
        """To whoever still looks at it; its sockets are gone."""
        world = self.world()
        client = self.ask(world)
        (session,) = world.appliance.sessions
        self.assertEqual([sock.fileno() for sock in session.sockets()], [client.fileno(), world.upstreams[0].fileno()])
        self.assertEqual(session.describe()["state"], "exchange")
        client.break_off()
        world.turn()
        self.assertEqual((session.describe()["state"], list(session.sockets())), ("closed", []))


class StaleTests(LifeTestCase):
    """Kept connections that are dead, or speak unasked."""

    def kept(self, world: World, count: int = 1) -> FakeSocket:
        """Have so many idle connections to the backend; return a client."""
        clients = [self.ask(world) for _ in range(count)]
        for backend in world.upstreams:
            backend.give(OK)
        world.turn()
        self.assertEqual(len(world.upstreams), count)
        return clients[0]

    def test_after_a_dead_one_no_other_kept_one_is_tried(self) -> None:
        """They are likely to be dead as well."""
        world = self.world()
        client = self.kept(world, 2)
        client.give(GET % b"/2")
        world.turn()
        used = next(sock for sock in world.upstreams if b"/2" in sock.outbound)
        used.end()
        world.turn()
        self.assertEqual((len(world.upstreams), b"/2" in world.upstreams[2].outbound), (3, True))
        world.upstreams[2].give(OK)
        world.turn()
        self.assertEqual((self.answered(client), self.logged(world)[-1]["retries"]), ([200, 200], 1))

    def test_a_body_of_which_more_was_sent_is_not_sent_again(self) -> None:
        """A part of it is gone."""
        for later, again in ((b"", True), (b"bc", False)):
            world = self.world()
            client = self.kept(world)
            client.give(POST.replace(b"POST", b"PUT") % (b"/2", 3) + (b"a" if later else b"abc"))
            world.turn()
            client.give(later)
            world.turn()
            world.upstreams[0].end()
            world.turn()
            self.assertEqual(len(world.upstreams), 2 if again else 1, later)
            if again:
                self.assertTrue(world.upstreams[1].outbound.endswith(b"\r\n\r\nabc"))
            else:
                self.assertEqual(self.answered(client), [200, 502])

    def test_a_request_that_was_answered_is_not_sent_again(self) -> None:
        """Neither after an interim response nor after the beginning of the final one."""
        for said, statuses in (
            (b"HTTP/1.1 103 Early\r\n\r\n", [200, 103, 502]),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", [200, 200]),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", [200, 200]),
        ):
            world = self.world()
            client = self.kept(world)
            client.give(GET % b"/2")
            world.turn()
            world.upstreams[0].give(said)
            world.turn()
            world.upstreams[0].end()
            world.turn()
            self.assertEqual((len(world.upstreams), self.answered(client)), (1, statuses))
            self.assertEqual(self.logged(world)[-1]["retries"], 0)

    def test_an_upload_that_was_blocked_is_not_sent_again(self) -> None:
        """When there is room again the rest of it comes, which nobody keeps."""
        world = self.world()
        client = self.kept(world)
        backend = world.upstreams[0]
        backend.window = 300
        client.give(POST.replace(b"POST", b"PUT") % (b"/2", 30000) + b"x" * 10000)
        world.turn()
        backend.widen(1 << 20)
        world.turn()
        backend.end()
        world.turn()
        self.assertEqual((len(world.upstreams), self.answered(client)), (1, [200, 502]))

    def test_bytes_that_nobody_asked_for_end_a_kept_connection(self) -> None:
        """And so does its end; a next request has another one."""
        for what in ("bytes", "fin", "rst"):
            world = self.world()
            client = self.kept(world)
            backend = world.upstreams[0]
            if what == "bytes":
                backend.give(EVIL)
            elif what == "fin":
                backend.end()
            else:
                backend.break_off()
            world.turn()
            self.assertEqual(backend.closes, 1)
            client.give(GET % b"/2")
            world.turn()
            world.upstreams[1].give(OK)
            world.turn()
            self.assertEqual(self.answered(client), [200, 200])
            self.assertNotIn(b"evil", client.outbound)

    def test_bytes_that_came_in_this_very_moment_are_seen_before_what_may_not_be_sent_twice(self) -> None:
        """The kernel is asked, whatever the poll had known."""
        world = self.world()
        client = self.ask(world, GET % b"/1" + POST % (b"/2", 0))
        backend = world.upstreams[0]

        def meanwhile(where: str) -> None:
            if where == "choose" and not backend.inbound:
                backend.inbound += EVIL

        backend.give(OK)
        world.bug = meanwhile
        world.poller.doRead()
        world.bug = lambda where: None
        world.turn()
        self.assertEqual((len(world.upstreams), backend.closes), (2, 1))
        self.assertNotIn(b"evil", client.outbound)
        self.assertIn(b"POST /2", world.upstreams[1].outbound)


class FilterTests(LifeTestCase):
    """Filters of the route see every response."""

    def test_a_filter_that_raises_at_a_response_is_answered_with_500(self) -> None:
        """The backend's response goes nowhere, and its connection is closed."""
        world = self.world()
        world.filter.raises = lambda side: side == "response"
        client = self.served(world, OK)
        self.assertEqual((self.answered(client), self.ends(world)), ([500], [(500, "proxy/data/internal")]))
        self.assertNotIn(b"\r\n\r\nhi", client.outbound)
        self.assertEqual((world.upstreams[0].closes, len(world.filter.finished_ones)), (1, 1))
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_filter_that_raises_at_a_request(self) -> None:
        """Nothing goes to the backend."""
        world = self.world()
        world.filter.raises = lambda side: side == "request"
        client = self.ask(world)
        self.assertEqual((self.answered(client), world.upstreams), ([500], []))
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_filter_that_answers(self) -> None:
        """By its status; the exchange is finished once, with all that filters want to know of it."""
        world = self.world()
        world.filter.denies = lambda: True
        client = self.ask(world)
        self.assertEqual((self.answered(client), self.ends(world)), ([429], [(429, "proxy/request/policy")]))
        (seen,) = world.filter.finished_ones
        self.assertEqual((seen.client, seen.listener, seen.port, seen.secure), ("192.0.2.7", "web", 8080, False))
        self.assertEqual((seen.route, seen.cluster, seen.now), ("all", "web", 1000.0))


class ChoiceTests(LifeTestCase):
    """Where requests go."""

    def test_a_host_that_no_route_has(self) -> None:
        """404; the connection goes on."""
        world = self.world(host="other.example")
        client = self.ask(world)
        self.assertEqual((self.answered(client), self.ends(world)), ([404], [(404, "proxy/request/policy")]))
        self.assertEqual((client.closes, world.frontend.local.rows[b"GET"][4]), (0, 1))

    def test_the_clients_port_may_count(self) -> None:
        """Connections of one address are spread, each stays where it is."""
        keys = "balance = rendezvous\nbalance_key = client_address_port"
        world = self.world(backends="10.0.0.1:80 id=a, 10.0.0.2:80 id=b", cluster=keys)
        for _ in range(12):
            client = self.ask(world)
            for sock in world.upstreams:
                if not sock.inbound and sock.outbound.endswith(b"\r\n\r\n") and sock.closes == 0:
                    sock.give(OK)
            world.turn()
            self.assertEqual(self.answered(client), [200])
        self.assertEqual({line["backend"] for line in self.logged(world)}, {"a", "b"})

    def test_the_sticky_cookie_needs_no_filters(self) -> None:
        """It is set once, and leads back."""
        world = self.world(backends="10.0.0.1:80 id=a, 10.0.0.2:80 id=b", cluster="sticky_cookie = S")
        shared_routes(world.appliance)[0].chain = None
        client = self.served(world)
        backend = self.logged(world)[0]["backend"]
        self.assertIn(b"\r\nSet-Cookie: S=%b; " % backend.encode(), client.outbound)
        for _ in range(3):
            again = self.ask(world, b"GET / HTTP/1.1\r\nHost: a\r\nCookie: S=%b\r\n\r\n" % backend.encode())
            next(sock for sock in world.upstreams if sock.outbound.endswith(b"\r\n\r\n")).give(OK)
            world.turn()
            self.assertEqual((self.answered(again), self.logged(world)[-1]["backend"]), ([200], backend))
            self.assertNotIn(b"Set-Cookie", again.outbound)

    def test_our_answers_are_what_the_client_accepts(self) -> None:
        """By its Accept, wherever there is a choice."""
        for accept, media in ((b"application/json", b"application/json"), (b"text/html", b"text/html; charset=utf-8")):
            world = self.world()
            client = self.ask(world, b"GET /here HTTP/1.1\r\nHost: a\r\nAccept: " + accept + b"\r\n\r\n")
            self.assertIn(b"\r\nContent-Type: " + media + b"\r\n", client.outbound)
        world = self.world()
        client = self.ask(world, b"HEAD /here HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(client.outbound.endswith(b"\r\n\r\n"))
        self.assertEqual((self.answered(client), client.closes), ([403], 0))

    def test_a_bug_while_a_request_is_taken_up(self) -> None:
        """500, and the connection ends."""
        world = self.world()

        def fail(where: str) -> None:
            if where == "choose":
                raise ZeroDivisionError

        world.bug = fail
        client = self.ask(world)
        self.assertEqual((self.answered(client), self.ends(world)), ([500], [(500, "proxy/data/internal")]))
        self.assertTrue(client.shut or client.closes)
        self.flushLoggedErrors(ZeroDivisionError)


class MomentTests(LifeTestCase):
    """Orders of events within a round."""

    def test_a_new_connection_gets_its_request_at_once(self) -> None:
        """The backend may begin while others are seen to."""
        world = self.world()
        world.shuffle = lambda ready: ready.sort(key=FakeSocket.fileno)
        world.connects = lambda sock: None
        self.ask(world)
        other = world.client()
        world.turn()
        order: list[str] = []
        world.bug = order.append
        world.upstreams[0].accept()
        other.give(GET % b"/here")
        world.poller.doRead()
        self.assertEqual(order[:2], ["send", "receive"])

    def test_a_busy_connection_waits_for_one_turn(self) -> None:
        """However many edges it has meanwhile."""
        world = self.world(reads=1024)
        self.served(world, b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        backend = world.upstreams[0]
        backend.reads.clear()
        backend.give(b"x" * 50000)
        world.poller.doRead()
        backend.edge = True
        world.poller.doRead()
        self.assertEqual(len(backend.reads), 16)
        world.reactor.step()
        self.assertEqual(len(backend.reads), 24)

    def test_who_comes_when_a_place_is_free_goes_behind_those_who_wait(self) -> None:
        """In the same round."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1")
        world.shuffle = lambda ready: ready.sort(key=FakeSocket.fileno)
        self.ask(world, GET % b"/1")
        self.ask(world, GET % b"/2")
        third = world.client()
        world.turn()
        world.upstreams[0].give(OK)
        third.give(GET % b"/3")
        world.turn()
        self.assertIn(b"GET /2 ", world.upstreams[0].outbound)
        self.assertNotIn(b"GET /3 ", world.upstreams[0].outbound)
        world.upstreams[0].give(OK)
        world.turn()
        self.assertIn(b"GET /3 ", world.upstreams[0].outbound)

    def test_a_long_wait_in_the_queue(self) -> None:
        """Longer than the other deadlines, which are looked at meanwhile."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1", cluster="queue_timeout = 25s")
        self.ask(world)
        second = self.ask(world)
        world.wait(23)
        self.assertEqual(self.answered(second), [])
        world.wait(4)
        self.assertEqual(self.answered(second), [503])

    def test_what_comes_with_the_head_counts_for_the_rate(self) -> None:
        """A body that began fast is not slow at once."""
        world = self.world(http="min_body_rate = 64")
        client = self.ask(world, POST % (b"/", 100000) + b"x" * 2000)
        world.wait(20)
        self.assertEqual(self.answered(client), [])
        world.wait(20)
        self.assertEqual(self.answered(client), [408])

    def test_backends_that_speak_or_leave_as_soon_as_they_are_connected(self) -> None:
        """They are connected all the same, and get the request; what they said is judged as its response."""
        for said, ends, statuses, reason in (
            (b"220 mail.example ESMTP\r\n", False, [502], "backend/headers/protocol"),
            (OK, False, [200], "client/data/fin"),
            (b"", True, [502], "backend/headers/fin"),
            (OK, True, [200], "client/data/fin"),
        ):
            world = self.world(cluster="retries = 1")
            world.connects = lambda sock: None
            client = self.ask(world)
            backend = world.upstreams[0]
            if said:
                backend.give(said)
            if ends:
                backend.end()
            backend.accept()
            world.turn()
            self.assertIn(b"GET / HTTP/1.1\r\n", backend.outbound)
            self.assertEqual((self.answered(client), self.ends(world)), (statuses, [(statuses[0], reason)]), said)
            self.assertEqual((len(world.upstreams), self.logged(world)[0]["retries"]), (1, 0))

    def test_a_connection_that_breaks_while_it_is_made_is_an_attempt(self) -> None:
        """Another one follows."""
        world = self.world()
        world.connects = lambda sock: None
        self.ask(world)
        world.upstreams[0].break_off(errno.EHOSTUNREACH)
        world.turn()
        self.assertEqual((len(world.upstreams), bytes(world.upstreams[0].outbound)), (2, b""))
        world.upstreams[1].fin = world.upstreams[1].shut = True  # EPOLLHUP without an error
        world.upstreams[1].accept()
        world.turn()
        self.assertEqual((len(world.upstreams), bytes(world.upstreams[1].outbound)), (3, b""))


class AnswerTests(LifeTestCase):
    """Our own answers know what there is to know."""

    def test_what_a_page_may_show(self) -> None:
        """Route, cluster and backend as far as the request got."""
        page = Path(self.mktemp()).with_suffix(".txt").absolute()
        page.write_text("[$status|$route|$cluster|$backend|$request_id]")
        answers = "answers =\n" + "".join(f"    {status} = {page}\n" for status in (403, 404, 502, 503))
        for keys, target, shown in (
            ({"host": "other.example"}, b"/", b"[404||||"),
            ({}, b"/here", b"[403|here|||"),
            ({"backends": ""}, b"/", b"[503|all|web||"),
            ({}, b"/", b"[502|all|web|a|"),
        ):
            world = self.world(http=answers, cluster="retries = 1", **keys)
            client = self.ask(world, b"GET %b HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n" % target)
            for backend in world.upstreams:
                backend.end()
            world.turn()
            body = bytes(client.outbound).partition(b"\r\n\r\n")[2]
            self.assertEqual(body, shown + self.logged(world)[0]["request_id"].encode() + b"]")
