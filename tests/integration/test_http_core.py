"""The HTTP proxy with real sockets: requests and responses arrive as they were meant, one after the other."""

from __future__ import annotations

import socket
import threading

from tests.integration.http_support import (
    ECHO,
    BackendConnection,
    HttpProxyTestCase,
    chunks,
    echoing,
    get,
    post,
    response,
    serving,
    wait_for,
)

#: without the fields that tell about the client, so that the backend's bytes are exactly known
BARE = "identity_headers =\nsession_header =\n"


class RoundTripTests(HttpProxyTestCase):
    """One request, one response."""

    def test_requests_and_responses_are_written_anew_byte_for_byte(self) -> None:
        """What reaches the backend and the client, exactly."""
        answer = b"HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nX-Back: 1\r\nContent-Length: 5\r\n\r\nhello"
        backend = self.backend(answer)
        self.front(backend, keys=BARE)
        client = self.client()
        client.ask(get("/a?b=c", "Accept: */*\r\nX-Mixed: Some Value\r\n"))
        self.assertEqual(client.received, answer)
        expected = b"GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nX-Mixed: Some Value\r\n\r\n"
        self.assertEqual(backend.connections[0].received, expected)

    def test_bodies_with_length_arrive(self) -> None:
        """POST and PUT, empty and not; Content-Length is passed on even when it is 0."""
        backend = self.backend()
        self.front(backend, keys=BARE)
        client = self.client()
        self.assertEqual(client.ask(post(b"hello")).body, b"POST / hello")
        self.assertEqual(client.ask(post(b"", method="PUT")).body, b"PUT / ")
        self.assertEqual(backend.requests[0].raw, post(b"hello"))
        self.assertEqual(backend.requests[1].get("Content-Length"), b"0")

    def test_bodies_in_chunks_arrive_in_chunks_of_our_own(self) -> None:
        """Extensions and odd spellings of sizes do not get through; content and trailers do."""
        backend = self.backend()
        self.front(backend, keys=BARE)
        body = b"005;name=value\r\nhello\r\n6\r\n world\r\n00\r\nX-Check: 1\r\n\r\n"
        self.assertEqual(
            self.ask(get(method="POST", lines="Transfer-Encoding: chunked\r\n") + body).body, b"POST / hello world"
        )
        (request,) = backend.requests
        self.assertEqual(request.trailers, [(b"x-check", b"1")])
        self.assertNotIn(b"name", request.raw)

    def test_chunked_responses_arrive_with_their_trailers(self) -> None:
        """test_h1_chunked_trailer_forwarded of Sōzu."""
        answer = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.front(self.backend(answer + chunks(b"hello ", b"world", trailers=b"X-Sum: 11\r\n")))
        got = self.ask(get())
        self.assertEqual((got.body, got.trailers), (b"hello world", [(b"x-sum", b"11")]))

    def test_response_without_length_ends_with_the_backends_connection(self) -> None:
        """In chunks for a client of HTTP/1.1, who stays connected."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n", b"hello ", b"world")

        backend = self.backend(talk)
        self.front(backend)
        client = self.client()
        got = client.ask(get())
        self.assertEqual((got.body, got.length), (b"hello world", -1))
        self.assertEqual(client.ask(get()).body, b"hello world")
        self.assertEqual(len(backend.connections), 2)

    def test_a_large_response_without_length_arrives_whole(self) -> None:
        """Sōzu's test_h1_close_delimited_response_fully_delivered, at 5 MiB, for both versions."""
        big = bytes(range(256)) * 20480

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + big)

        self.front(self.backend(talk))
        for version in ("1.1", "1.0"):
            self.assertTrue(self.ask(get(version=version)).body == big)

    def test_response_without_length_closes_for_a_client_of_http_1_0(self) -> None:
        """Who does not know chunks."""
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hello ", b"world")
        self.front(self.backend(answer))
        client = self.client()
        got = client.ask(get(version="1.0"))
        self.assertEqual((got.body, got.length, got.start[:9]), (b"hello world", None, b"HTTP/1.1 "))
        self.assertTrue(client.closed())

    def test_head_204_and_304_have_no_body_and_the_connection_goes_on(self) -> None:
        """Whatever length their head says."""

        def answer(request: object) -> bytes:
            return answers.pop(0)

        answers = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            response(b"last"),
        ]
        backend = self.backend(serving(answer))
        self.front(backend)
        client = self.client()
        head = client.ask(get(method="HEAD"), b"HEAD")
        self.assertEqual((head.status, head.get("Content-Length")), (200, b"500"))
        empty = client.ask(get())
        self.assertEqual((empty.status, empty.get("Content-Length")), (204, None))
        unchanged = client.ask(get())
        self.assertEqual((unchanged.status, unchanged.get("Content-Length")), (304, b"500"))
        self.assertEqual(client.ask(get(method="HEAD"), b"HEAD").status, 200)
        self.assertEqual(client.ask(get()).body, b"last")
        self.assertEqual(len(backend.connections), 1)

    def test_a_response_split_everywhere_arrives(self) -> None:
        """Segments end inside status line, head, size line and data (Sōzu's test_status_header_split)."""
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n" + chunks(b"hello", b" world")
        pieces = [whole[:3], whole[3:12], whole[12:40], whole[40:59], whole[59:65], whole[65:72], whole[72:]]

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(*pieces)

        self.front(self.backend(talk))
        self.assertEqual(self.ask(get()).body, b"hello world")

    def test_a_request_split_everywhere_arrives(self) -> None:
        """Byte by byte."""
        backend = self.backend()
        self.front(backend, keys=BARE)
        data = get("/slow", "Transfer-Encoding: chunked\r\n", method="POST") + b"5\r\nhello\r\n0\r\n\r\n"
        client = self.client().send(*(data[at : at + 1] for at in range(len(data))))
        self.assertEqual(client.read().body, b"POST /slow hello")

    def test_methods_of_any_name_are_passed_on(self) -> None:
        """If they are tokens; CONNECT is not for a reverse proxy."""
        backend = self.backend()
        self.front(backend)
        client = self.client()
        for method in ("PURGE", "M-SEARCH", "PROPFIND", "OPTIONS", "TRACE", "get"):
            self.assertEqual(client.ask(get("/x", method=method)).body, f"{method} /x ".encode())
        self.assertEqual(client.ask(get("*", method="OPTIONS")).body, b"OPTIONS * ")
        self.assertIn(client.ask(get("a.example:443", method="CONNECT")).status, (400, 405, 501))
        self.assertEqual(len(backend.requests), 7)

    def test_absolute_targets_reach_the_backend_as_paths(self) -> None:
        """And Host says what it said."""
        backend = self.backend()
        self.front(backend, keys=BARE)
        self.ask(get("http://a.example/x?y"))
        self.assertEqual(backend.requests[0].raw, get("/x?y"))

    def test_large_bodies_arrive_both_ways_at_once(self) -> None:
        """8 MiB up and down, by length and in chunks."""
        big = bytes(range(256)) * 32768
        self.front(self.backend(serving(lambda request: response(request.body))))
        client = self.client()
        sender = threading.Thread(target=client.send, args=(post(big),))
        sender.start()
        self.assertTrue(client.read().body == big)
        sender.join()
        data = get(method="POST", lines="Transfer-Encoding: chunked\r\n") + chunks(
            big[:5], big[5:1000000], big[1000000:]
        )
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        self.assertTrue(client.read().body == big)
        sender.join()


class KeepAliveTests(HttpProxyTestCase):
    """Whose connection goes on, and when."""

    def test_four_combinations_of_keep_and_close(self) -> None:
        """Sōzu's test_keep_alive: the client's wish and the backend's are separate."""

        def answer(request: object) -> bytes:
            return response(b"x", lines=b"Connection: close\r\n" if backend_closes else b"")

        for client_closes in (False, True):
            for backend_closes in (False, True):
                backend = self.backend(serving(answer, count=1 if backend_closes else -1))
                self.front(backend)
                wish = "Connection: close\r\n" if client_closes else ""
                client = self.client()
                got = client.ask(get(lines=wish))
                self.assertEqual((got.body, got.get("Connection")), (b"x", b"close" if client_closes else None))
                if client_closes:
                    self.assertTrue(client.closed())
                    client = self.client()
                self.assertEqual(client.ask(get(lines=wish)).body, b"x")
                self.assertEqual(len(backend.connections), 2 if backend_closes else 1, (client_closes, backend_closes))
                self.assertIsNone(backend.requests[0].get("Connection"))

    def test_backend_connections_are_shared_by_clients(self) -> None:
        """Ten clients one after another need one."""
        backend = self.backend()
        self.front(backend)
        for number in range(10):
            self.assertEqual(self.ask(get(f"/{number}", "Connection: close\r\n")).body, f"GET /{number} ".encode())
        self.assertEqual(len(backend.connections), 1)

    def test_http_1_0_closes_unless_asked_to_keep(self) -> None:
        """And is told that it goes on."""
        self.front(self.backend())
        client = self.client()
        kept = client.ask(get(version="1.0", lines="Connection: keep-alive\r\n"))
        self.assertEqual(kept.get("Connection"), b"keep-alive")
        last = client.ask(get(version="1.0"))
        self.assertNotEqual(last.get("Connection"), b"keep-alive")
        self.assertTrue(client.closed())

    def test_backend_of_http_1_0_is_not_reused_unless_it_says_so(self) -> None:
        """Its connection ends with its response."""
        backend = self.backend(serving(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", count=1))
        self.front(backend)
        client = self.client()
        self.assertEqual([client.ask(get()).body for _ in range(3)], [b"x"] * 3)
        self.assertEqual(len(backend.connections), 3)

    def test_bytes_after_a_response_spoil_the_backends_connection(self) -> None:
        """They are nobody's response: dropped, and the connection with them."""
        evil = response(b"good") + response(b"smuggled")
        backend = self.backend(evil)
        self.front(backend)
        for _ in range(3):
            self.assertEqual(self.ask(get()).body, b"good")
        self.assertEqual(len(backend.connections), 3)

    def test_bytes_that_a_backend_sends_while_idle_are_nobodys_response(self) -> None:
        """Response queue poisoning: they come a moment after the response, before the next request."""
        sent = threading.Event()

        def talk(connection: BackendConnection) -> None:
            while connection.read_request():
                connection.send(response(b"good"))
                if connection is backend.connections[0]:
                    connection.send(response(b"smuggled"))
                    sent.set()

        backend = self.backend(talk)
        self.front(backend)
        client = self.client()
        self.assertEqual(client.ask(get()).body, b"good")
        sent.wait(5)
        self.assertEqual(client.ask(get()).body, b"good")
        self.assertEqual(self.ask(get()).body, b"good")

    def test_connections_that_belong_to_a_user_are_not_shared(self) -> None:
        """
        NTLM and Negotiate (Kerberos) authenticate the connection, not the request.

        The next request on it would be the user's, whoever sent it.
        """

        def talk(connection: BackendConnection) -> None:
            user = b"nobody"
            while request := connection.read_request():
                credentials = request.get("Authorization") or b""
                if credentials.lower().startswith((b"negotiate", b"ntlm")):
                    user = credentials.partition(b" ")[2]
                connection.send(response(user))

        self.front(self.backend(talk))
        for scheme in ("Negotiate", "NTLM", "negotiate"):
            self.assertEqual(self.ask(get(lines=f"AUTHORIZATION: {scheme} ann\r\n")).body, b"ann")
            self.assertEqual(self.ask(get()).body, b"nobody")

    def test_credentials_of_a_request_do_not_cost_the_connection(self) -> None:
        """Basic and Bearer are for the request that has them, which reaches the backend whole."""
        backend = self.backend()
        self.front(backend, keys=BARE)
        client = self.client()
        for value in ("Basic eDp5", "Bearer x.y.z", "Digest username=x"):
            client.ask(get(lines=f"Authorization: {value}\r\n"))
            self.assertEqual(backend.requests[-1].raw, get(lines=f"Authorization: {value}\r\n"))
        self.assertEqual(len(backend.connections), 1)

    def test_max_requests_closes_after_the_last(self) -> None:
        """Which says so."""
        self.front(self.backend(), keys="max_requests = 2\n")
        client = self.client()
        self.assertIsNone(client.ask(get()).get("Connection"))
        self.assertEqual(client.ask(get()).get("Connection"), b"close")
        self.assertTrue(client.closed())


class PipelineTests(HttpProxyTestCase):
    """Several requests before the first response."""

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        """Twenty in one segment, GET and POST mixed."""
        backend = self.backend()
        self.front(backend, keys=BARE)
        data = b"".join(post(b"body", f"/{n}") if n % 3 == 0 else get(f"/{n}") for n in range(20))
        client = self.client().send(data)
        bodies = [client.read().body for _ in range(20)]
        self.assertEqual(
            bodies,
            [f"{'POST' if n % 3 == 0 else 'GET'} /{n} {'body' if n % 3 == 0 else ''}".encode() for n in range(20)],
        )
        self.assertEqual([request.target for request in backend.requests], [f"/{n}".encode() for n in range(20)])

    def test_slow_first_response_stays_first(self) -> None:
        """The second request does not overtake it."""
        release = threading.Event()

        def talk(connection: BackendConnection) -> None:
            while request := connection.read_request():
                if request.target == b"/slow":
                    release.wait(5)
                connection.send(echoing(request))

        backend = self.backend(talk)
        self.front(backend)
        client = self.client().send(get("/slow") + get("/fast"))
        backend.wait_requests(1)
        self.assertTrue(client.silent())
        release.set()
        self.assertEqual([client.read().body, client.read().body], [b"GET /slow ", b"GET /fast "])

    def test_requests_unread_by_the_client_are_not_lost(self) -> None:
        """Sōzu's test_h1_pipelining: three are sent, and read only then."""
        backend = self.backend(response(b"x" * 100000))
        self.front(backend)
        client = self.client().send(get("/1"), get("/2"), get("/3"))
        wait_for(lambda: len(backend.requests) == 3, "all requests at the backend")
        self.assertEqual([len(client.read().body) for _ in range(3)], [100000] * 3)

    def test_nothing_behind_close_is_served(self) -> None:
        """It is dropped without an answer."""
        backend = self.backend()
        self.front(backend)
        client = self.client().send(get("/1", "Connection: close\r\n") + get("/2"))
        self.assertEqual(client.read().body, b"GET /1 ")
        self.assertTrue(client.closed())
        self.assertEqual([request.target for request in backend.requests], [b"/1"])

    def test_a_bad_request_behind_a_good_one_ends_the_connection(self) -> None:
        """The good one is answered first."""
        backend = self.backend()
        self.front(backend)
        client = self.client().send(get("/1") + b"GET /2 HTTP/1.1\r\nHost : a\r\n\r\n" + get("/3"))
        self.assertEqual([client.read().body, client.read().status], [b"GET /1 ", 400])
        self.assertTrue(client.closed())
        self.assertEqual([request.target for request in backend.requests], [b"/1"])

    def test_half_closed_client_gets_all_its_responses_where_configured(self) -> None:
        """``printf ... | nc`` closes its side at once."""
        self.front(self.backend(), keys="half_close = serve\n")
        client = self.client().send(get("/1") + get("/2"))
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual([client.read().body, client.read().body], [b"GET /1 ", b"GET /2 "])
        self.assertTrue(client.closed())


class ContinueTests(HttpProxyTestCase):
    """Interim responses and early ones."""

    def test_100_continue_comes_from_the_backend(self) -> None:
        """The body follows only then, whole."""

        def talk(connection: BackendConnection) -> None:
            request = connection.read_head()
            assert request is not None
            seen.append((request.get("Expect") or b"", connection.pending))
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.send(response(connection.read_body(request).body))

        seen: list[tuple[bytes, bytes]] = []
        self.front(self.backend(talk))
        client = self.client().send(get(method="POST", lines="Content-Length: 5\r\nExpect: 100-continue\r\n"))
        self.assertEqual(client.read().status, 100)
        self.assertEqual(client.ask(b"hello").body, b"hello")
        self.assertEqual(seen, [(b"100-continue", b"")])

    def test_refused_expectation_spares_the_body(self) -> None:
        """The final response comes at once; the body that was never sent is not waited for."""

        def talk(connection: BackendConnection) -> None:
            connection.read_head()
            connection.send(response(b"no", 417, b"Connection: close\r\n"))

        self.front(self.backend(talk))
        client = self.client().send(get(method="POST", lines="Content-Length: 5\r\nExpect: 100-continue\r\n"))
        self.assertEqual(client.read().status, 417)

    def test_impatient_client_sends_the_body_without_100(self) -> None:
        """As RFC 9110 section 10.1.1 lets it; the backend's late 100 is passed on or dropped, the response arrives."""

        def talk(connection: BackendConnection) -> None:
            request = connection.read_head()
            assert request is not None
            connection.read_body(request)
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n", response(request.body))

        self.front(self.backend(talk))
        client = self.client().send(post(b"hello", lines="Expect: 100-continue\r\n"))
        got = client.read()
        self.assertEqual((client.read() if got.status == 100 else got).body, b"hello")

    def test_103_arrives_before_the_response(self) -> None:
        """With its fields."""
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
        self.front(self.backend(hint + response(b"page")))
        client = self.client()
        early = client.ask(get())
        self.assertEqual((early.status, early.get("Link")), (103, b"</a.css>; rel=preload"))
        self.assertEqual(client.read().body, b"page")
        self.assertEqual(client.ask(get()).status, 103)

    def test_a_client_of_http_1_0_gets_no_interim_responses(self) -> None:
        """It would not know them (RFC 9110 section 15.2)."""
        self.front(self.backend(b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(b"page")))
        self.assertEqual(self.ask(get(version="1.0")).status, 200)

    def test_a_response_before_the_body_is_complete_arrives(self) -> None:
        """The backend refuses an upload early; the client reads why, and the connection is not used again."""

        def talk(connection: BackendConnection) -> None:
            connection.read_head()
            connection.send(response(b"too much", 413, b"Connection: close\r\n"))

        backend = self.backend(talk)
        self.front(backend)
        client = self.client().send(get(method="POST", lines="Content-Length: 10000000\r\n") + b"x" * 1000)
        got = client.read()
        self.assertEqual((got.status, got.body), (413, b"too much"))

    def test_a_response_that_streams_while_the_request_does(self) -> None:
        """Neither waits for the other's end."""

        def talk(connection: BackendConnection) -> None:
            request = connection.read_head()
            assert request is not None
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"first")
            connection.read_body(request)
            connection.send(b" last")

        self.front(self.backend(talk))
        client = self.client().send(get(method="POST", lines="Content-Length: 6\r\n") + b"abc")
        client.until(b"first")
        client.send(b"def")
        self.assertEqual(client.exactly(5), b" last")


class ManyTests(HttpProxyTestCase):
    """Clients at the same time."""

    def test_many_clients_get_their_own_responses(self) -> None:
        """Fifty at once, each with its own path and body; nobody gets another's."""
        backends = [self.backend(ECHO), self.backend(ECHO)]
        proxy = self.front(*backends)
        wrong: list[object] = []

        def run(number: int) -> None:
            client = self.client()
            for turn in range(5):
                body = f"{number}-{turn}".encode() * (1 + number * 37)
                got = client.ask(post(body, f"/{number}/{turn}"))
                if got.body != b"POST /%d/%d " % (number, turn) + body:
                    wrong.append((number, turn, got.body[:50]))
            client.sock.close()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(proxy.metric("http_requests_total", status="2xx"), 250)
        self.wait_idle(proxy)
