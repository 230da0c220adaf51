"""The HTTP proxy when something goes wrong: backends that die, stay silent or speak garbage; clients that do."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from pathlib import Path

from tests.integration.http_support import (
    BackendConnection,
    HttpProxyTestCase,
    Message,
    RecordingBackend,
    chunks,
    echoing,
    get,
    named,
    post,
    response,
    serving,
    wait_for,
)
from tests.integration.support import BUDGET_S, Proxy, free_ports, reset


def mute(connection: BackendConnection) -> None:
    """Read the request and never answer."""
    connection.read_request()
    connection.wait_end()


class FailureTestCase(HttpProxyTestCase):
    """Looks at the access log, too."""

    def logged(self, proxy: Proxy, count: int = 1) -> list[dict[str, object]]:
        """Wait for that many lines of the access log; their fields."""
        wait_for(lambda: len(proxy.access_lines()) >= count, f"{count} lines of the access log")
        return [json.loads(line) for line in proxy.access_lines()]


class BackendTests(FailureTestCase):
    """502, 503, 504."""

    def test_nobody_listens(self) -> None:
        """503, and the client may try again on the same connection or a new one."""
        (port,) = free_ports(1)
        proxy = self.front(port)
        got = self.ask(get())
        self.assertEqual(got.status, 503)
        self.assertEqual(self.logged(proxy)[0]["status"], 503)

    def test_a_living_backend_is_tried_when_another_is_dead(self) -> None:
        """The client does not notice; ``retries`` are counted."""
        (port,) = free_ports(1)
        alive = self.backend(named(b"alive"))
        proxy = self.front(port, alive)
        self.assertEqual([self.ask(get()).body for _ in range(4)], [b"alive"] * 4)
        self.assertGreater(proxy.metric("backend_failures_total"), 0)

    def test_a_backend_that_closes_without_a_response(self) -> None:
        """502 when each of ``retries`` connections has ended so; at once for what may not be sent twice."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()

        backend = self.backend(talk)
        self.front(backend)
        self.assertEqual(self.ask(get()).status, 502)
        self.assertEqual(len(backend.requests), 3)
        self.assertEqual(self.ask(post(b"x")).status, 502)
        self.assertEqual(len(backend.requests), 4)

    def test_a_backend_that_resets(self) -> None:
        """502."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.reset()

        self.front(self.backend(talk))
        self.assertEqual(self.ask(get()).status, 502)

    def test_garbage(self) -> None:
        """502, and none of it reaches the client."""
        backend = self.backend(b"SSH-2.0-OpenSSH_9.2 <script>\r\n\r\n")
        self.front(backend)
        client = self.client()
        self.assertEqual(client.ask(get()).status, 502)
        self.assertNotIn(b"OpenSSH", client.received)

    def test_a_backend_that_ends_in_the_middle_of_a_body(self) -> None:
        """The client sees that it is not whole: cut off, by length too short, in chunks without a last one."""
        for answer in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ):
            self.front(self.backend(serving(answer, count=1)))
            client = self.client().send(get())
            client.cut()
            self.assertTrue(
                client.received.startswith((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 502 ")) or not client.received
            )
            self.assertFalse(client.received.endswith(b"0\r\n\r\n"), client.received)

    def test_garbage_in_the_middle_of_a_body(self) -> None:
        """When the head is on its way already, the connection is all that can be cut."""
        go_on = threading.Event()

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            go_on.wait(5)
            connection.send(b"zz\r\nsmuggled\r\n0\r\n\r\n")
            connection.wait_end()

        self.front(self.backend(talk))
        client = self.client().send(get())
        client.until(b"hello\r\n")
        go_on.set()
        client.cut()
        self.assertFalse(client.received.endswith(b"0\r\n\r\n"), client.received)
        self.assertNotIn(b"smuggled", client.received)

    def test_silence_is_504(self) -> None:
        """After backend_timeout; the backend's connection is closed."""
        backend = self.backend(mute)
        proxy = self.front(backend, keys="backend_timeout = 200ms\n")
        started = time.monotonic()
        self.assertEqual(self.ask(get()).status, 504)
        self.assertLess(time.monotonic() - started, BUDGET_S / 2)
        wait_for(lambda: backend.connections[0].ended, "the backend's connection ends")
        self.wait_idle(proxy)
        line = self.logged(proxy)[0]
        self.assertEqual((line["status"], line["side"], line["cause"]), (504, "backend", "timeout"))

    def test_a_response_that_comes_after_its_504_is_nobodys(self) -> None:
        """The client asks on, on the same connection, and is answered what it asked (Sōzu's test_issue_806)."""
        late = threading.Event()

        def talk(connection: BackendConnection) -> None:
            while request := connection.read_request():
                if request.target == b"/late":
                    late.wait(5)
                connection.send(echoing(request))

        self.front(self.backend(talk), keys="backend_timeout = 200ms\n")
        client = self.client()
        self.assertEqual(client.ask(get("/late")).status, 504)
        late.set()
        for number in range(3):
            self.assertEqual(client.ask(get(f"/{number}")).body, f"GET /{number} ".encode())

    def test_silence_of_a_backend_that_was_asked_for_100(self) -> None:
        """It is the backend that is late, not the client, who waits for its word before it sends the body: 504."""

        def talk(connection: BackendConnection) -> None:
            connection.read_head()
            connection.wait_end()

        self.front(self.backend(talk), keys="backend_timeout = 200ms\nclient_timeout = 10s\n")
        client = self.client().send(get(method="POST", lines="Content-Length: 5\r\nExpect: 100-continue\r\n"))
        self.assertEqual(client.read().status, 504)

    def test_silence_in_the_middle_of_a_response_ends_the_connection(self) -> None:
        """There is no status left to send."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            connection.wait_end()

        self.front(self.backend(talk), keys="backend_timeout = 200ms\n")
        client = self.client().send(get())
        client.until(b"hello")
        self.assertTrue(client.cut())

    def test_a_slow_backend_that_keeps_talking_is_not_cut_off(self) -> None:
        """The timeout is for silence, not for the whole."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            for byte in b"hello!":
                time.sleep(0.1)
                connection.send(bytes((byte,)))

        self.front(self.backend(talk), keys="backend_timeout = 300ms\n")
        self.assertEqual(self.ask(get()).body, b"hello!")

    def test_the_body_of_a_request_that_was_being_sent_is_cut_when_the_backend_goes(self) -> None:
        """502 to the client, who was still sending."""

        def talk(connection: BackendConnection) -> None:
            connection.read_head()
            connection.reset()

        self.front(self.backend(talk))
        client = self.client().send(get(method="POST", lines="Content-Length: 1000000\r\n") + b"x" * 1000)
        self.assertEqual(client.read().status, 502)

    def test_the_page_of_a_cluster_comes_first(self) -> None:
        """Sōzu's test_per_cluster_503_template: cluster, then listener, then ours."""
        (port,) = free_ports(1)
        page = free_page(self, "<h1>mine</h1>")
        other = free_page(self, "<h1>everybody's</h1>")
        answers = f"answers = 503 = {page}\n"
        self.front(
            port,
            cluster=answers,
            keys=f"answers =\n    503 = {other}\n    404 = {other}\n",
            routes="[route all]\npath = /x\ncluster = c\n",
        )
        self.assertIn(b"mine", self.ask(get("/x")).body)
        self.assertIn(b"everybody", self.ask(get("/y")).body)


def free_page(case: HttpProxyTestCase, text: str) -> Path:
    """Write a page to a file of its own."""
    path = Path(case.mktemp() + ".html").resolve()
    path.write_text(text)
    return path


class ReuseTests(FailureTestCase):
    """Kept backend connections that turn out dead."""

    def dying(self) -> RecordingBackend:
        """
        Return a backend that answers once on its first connection, then takes one more request there and closes.

        Which is what a backend's own keep-alive timeout looks like when it races with a request.
        """

        def talk(connection: BackendConnection) -> None:
            first = connection is connection.backend.connections[0]
            while request := connection.read_head():
                if first and connection.requests:
                    return
                connection.read_body(request)
                connection.send(echoing(request))

        return self.backend(talk)

    def test_an_idempotent_request_is_sent_again(self) -> None:
        """The client does not notice."""
        backend = self.dying()
        self.front(backend)
        client = self.client()
        self.assertEqual(client.ask(get("/1")).body, b"GET /1 ")
        self.assertEqual(client.ask(get("/2")).body, b"GET /2 ")
        self.assertEqual(len(backend.connections), 2)
        self.assertEqual(backend.connections[0].received.count(b"GET /2 "), 1)
        self.assertEqual(backend.connections[1].received.count(b"GET /2 "), 1)

    def test_a_post_is_not_sent_again(self) -> None:
        """It may have had its effect: 502."""
        backend = self.dying()
        self.front(backend)
        client = self.client()
        client.ask(get("/1"))
        self.assertEqual(client.ask(post(b"body", "/2")).status, 502)
        self.assertEqual([request.target for request in backend.requests], [b"/1"])
        self.assertEqual(sum(each.received.count(b"POST") for each in backend.connections), 1)

    def test_an_idempotent_request_with_a_body_is_sent_again_whole_or_not_at_all(self) -> None:
        """
        PUT, its body larger than one read or not.

        A second attempt without the bytes that the first consumed would leave the backend waiting for them, and it
        would take the next request on that connection for them.
        """
        for size in (4, 66_000, 120_000, 1_000_000):
            backend = self.dying()
            self.front(backend, keys="backend_timeout = 1s\n")
            client = self.client()
            client.ask(get("/1"))
            got = client.ask(post(b"x" * size, "/2", method="PUT"))
            if got.status != 502:
                self.assertEqual((got.status, got.body), (200, b"PUT /2 " + b"x" * size), size)
                self.assertEqual(len(backend.requests[-1].body), size)
            self.assertEqual(self.ask(get("/3")).body, b"GET /3 ")
            self.assertEqual(backend.requests[-1].target, b"/3")

    def test_a_post_finds_out_before_when_the_connection_is_dead_already(self) -> None:
        """The backend closed while idle: a fresh connection is taken, nothing is lost."""
        backend = self.backend(serving(echoing, count=1))
        self.front(backend)
        client = self.client()
        client.ask(get("/1"))
        wait_for(lambda: backend.connections[0].sock.fileno() == -1, "the backend closed")
        for number in range(2, 5):
            self.assertEqual(client.ask(post(b"body", f"/{number}")).body, f"POST /{number} body".encode())
            wait_for(lambda: backend.connections[-1].sock.fileno() == -1, "the backend closed")

    def test_a_response_that_began_is_not_begun_again(self) -> None:
        """A reset after the first byte is 502 or the end, never a second attempt."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(response(b"x"))
            connection.read_request()
            connection.send(b"HTTP/1.1 200")

        backend = self.backend(talk)
        self.front(backend)
        client = self.client()
        client.ask(get("/1"))
        self.assertEqual(client.ask(get("/2")).status, 502)
        self.assertEqual(len(backend.connections), 1)


class ClientTimeoutTests(FailureTestCase):
    """Clients that are slow, idle or gone."""

    def test_a_head_that_drips_is_refused_in_total(self) -> None:
        """Each byte comes well in time, the whole does not: 408 after request_timeout (slowloris)."""
        proxy = self.front(self.backend(), keys="request_timeout = 400ms\n")
        client = self.client().send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        started = time.monotonic()
        client.sock.settimeout(0.05)
        while True:
            try:
                client.sock.sendall(b"X: 1\r\n")
                if client.more():
                    break
            except TimeoutError:
                if time.monotonic() - started > BUDGET_S:
                    self.fail("still open")
        client.sock.settimeout(BUDGET_S)
        self.assertEqual(client.read().status, 408)
        self.assertEqual(self.logged(proxy)[0]["status"], 408)

    def test_a_silent_client_is_closed_without_a_word(self) -> None:
        """No request has begun, so there is nothing to answer."""
        self.front(self.backend(), keys="request_timeout = 200ms\n")
        client = self.client()
        self.assertTrue(client.closed())

    def test_an_idle_connection_is_closed_without_a_word(self) -> None:
        """Sōzu sends 408 here, which the next request would take for its answer."""
        proxy = self.front(self.backend(), keys="client_timeout = 200ms\n")
        client = self.client()
        client.ask(get())
        self.assertTrue(client.closed())
        proxy.wait_closed("proxy/idle/timeout")

    def test_a_second_head_has_its_own_deadline(self) -> None:
        """From its first byte."""
        self.front(self.backend(), keys="request_timeout = 300ms\nclient_timeout = 5s\n")
        client = self.client()
        client.ask(get())
        self.assertTrue(client.silent(0.5))
        client.send(b"GET / HTTP/1.1\r\n")
        self.assertEqual(client.read().status, 408)
        self.assertTrue(client.closed())

    def test_a_client_that_stops_in_its_body(self) -> None:
        """408, and the backend's request is aborted, not completed."""
        backend = self.backend()
        self.front(backend, keys="client_timeout = 200ms\n")
        client = self.client().send(get(method="POST", lines="Content-Length: 100\r\n") + b"x" * 50)
        self.assertEqual(client.read().status, 408)
        wait_for(lambda: backend.connections[0].ended, "the backend's connection ends")
        self.assertEqual(backend.requests, [])

    def test_a_body_that_drips_is_refused(self) -> None:
        """Below min_body_rate once it lasted for request_timeout: 408."""
        self.front(self.backend(), keys="request_timeout = 300ms\nclient_timeout = 5s\nmin_body_rate = 1000\n")
        client = self.client().send(get(method="POST", lines="Content-Length: 100000\r\n"))
        client.sock.settimeout(0.05)
        started = time.monotonic()
        while True:
            try:
                client.sock.sendall(b"x")
                if client.more():
                    break
            except TimeoutError:
                if time.monotonic() - started > BUDGET_S:
                    self.fail("still open")
            except OSError:
                break
        client.sock.settimeout(BUDGET_S)
        self.assertEqual(client.read().status, 408)

    def test_a_client_that_goes_aborts_its_request(self) -> None:
        """The backend sees the end at once."""
        for end in ("fin", "rst"):
            backend = self.backend(mute)
            proxy = self.front(backend)
            client = self.client().send(get())
            backend.wait_requests(1)
            if end == "rst":
                reset(client.sock)
            else:
                client.sock.close()
            wait_for(lambda: backend.connections[0].ended, "the backend's connection ends")  # noqa: B023
            self.wait_idle(proxy)

    def test_a_client_that_goes_in_its_upload_aborts_it(self) -> None:
        """The backend never sees a complete request."""
        for lines, body in (
            ("Content-Length: 100\r\n", b"x" * 50),
            ("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
        ):
            backend = self.backend()
            proxy = self.front(backend)
            client = self.client().send(get(method="POST", lines=lines) + body)
            wait_for(lambda: bool(backend.connections) and len(backend.connections[0].received) > 60, "body")  # noqa: B023
            client.sock.close()
            wait_for(lambda: backend.connections[0].ended, "the backend's connection ends")  # noqa: B023
            self.assertEqual(backend.requests, [])
            self.wait_idle(proxy)

    def test_a_client_that_does_not_take_its_response(self) -> None:
        """After client_timeout it is closed; memory does not hold the response meanwhile."""
        size = 64 * 1024 * 1024
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(head)
            block = b"x" * 1048576
            for _ in range(64):
                connection.send(block)

        backend = self.backend(talk)
        proxy = self.front(backend, keys="client_timeout = 400ms\n")
        before = proxy.rss_bytes()
        client = self.client()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(get())
        client.until(b"\r\n\r\n")
        wait_for(lambda: backend.connections[0].ended, "the backend is told")
        self.assertLess(proxy.rss_bytes() - before, 8 * 1024 * 1024)
        proxy.wait_closed("client/data/timeout")

    def test_the_answer_to_a_refused_upload_survives_the_bytes_behind_it(self) -> None:
        """A close over unread bytes would reset the connection and take the answer with it."""
        self.front(self.backend(), keys="max_body_size = 1KiB\n")
        client = self.client()
        sender = threading.Thread(target=swallow, args=(client, post(b"x" * 3_000_000)))
        sender.start()
        self.assertEqual(client.read().status, 413)
        sender.join()
        self.assertTrue(client.closed())


def swallow(client: object, data: bytes) -> None:
    """Send; the other side may stop reading."""
    try:
        client.send(data)  # type: ignore[attr-defined]
    except OSError:
        pass


class QueueTests(FailureTestCase):
    """max_connections of backends."""

    def held(self, release: threading.Event) -> RecordingBackend:
        """Return a backend that answers only when released."""

        def talk(connection: BackendConnection) -> None:
            while request := connection.read_request():
                release.wait(10)
                connection.send(echoing(request))

        return self.backend(talk)

    def full(self, release: threading.Event, count: int, cluster: str = "") -> RecordingBackend:
        """Start a proxy whose one backend takes two, and send so many requests; returns when two are there."""
        backend = self.held(release)
        port = f"127.0.0.1:{backend.port} max_connections=2"
        (self.port,) = free_ports(1)
        self.front_proxy = self.proxy(
            "[appliance]\naccess_log = access.log\nshutdown_grace = 1s\n"
            f"[cluster c]\nbackends = {port}\n{cluster}\n[http web]\nlisten = tcp:{self.port}:interface=127.0.0.1\n"
            "[route all]\ncluster = c\n"
        )
        self.clients = [self.client().send(get(f"/{number}")) for number in range(count)]
        backend.wait_requests(2)
        return backend

    def test_requests_wait_for_a_place_and_are_served(self) -> None:
        """Never more than two at the backend; all are answered."""
        release = threading.Event()
        backend = self.full(release, 6)
        self.assertTrue(all(client.silent(0.05) for client in self.clients))
        self.assertEqual((len(backend.requests), len(backend.connections)), (2, 2))
        release.set()
        bodies = sorted(client.read().body for client in self.clients)
        self.assertEqual(bodies, [f"GET /{number} ".encode() for number in range(6)])
        self.assertEqual(len(backend.connections), 2)
        for client in self.clients:
            client.sock.close()
        self.wait_idle(self.front_proxy)

    def test_a_wait_that_is_too_long_is_503(self) -> None:
        """queue_timeout; the two that were first go on."""
        release = threading.Event()
        backend = self.full(release, 3, "queue_timeout = 200ms\n")
        waiting = [client for client in self.clients if not client.silent(0.6)]
        self.assertEqual([client.read().status for client in waiting], [503])
        release.set()
        self.assertEqual([client.read().status for client in self.clients if client not in waiting], [200, 200])
        self.assertEqual(len(backend.requests), 2)

    def test_a_full_queue_is_503_at_once(self) -> None:
        """max_queue."""
        release = threading.Event()
        backend = self.full(release, 3, "max_queue = 1\n")
        wait_for(lambda: self.front_proxy.metric("session_active") == 3, "three clients")
        self.assertEqual(self.client().ask(get("/more")).status, 503)
        release.set()
        self.assertEqual([client.read().status for client in self.clients], [200] * 3)
        self.assertEqual(len(backend.requests), 3)

    def test_who_leaves_the_queue_is_not_served(self) -> None:
        """Its request never reaches the backend."""
        release = threading.Event()
        backend = self.full(release, 3)
        seen = {request.target for request in backend.requests}
        (waiting,) = [number for number in range(3) if f"/{number}".encode() not in seen]
        self.clients[waiting].sock.close()
        wait_for(lambda: self.front_proxy.metric("session_active") == 2, "two clients are left")
        release.set()
        self.assertEqual([client.read().status for n, client in enumerate(self.clients) if n != waiting], [200, 200])
        self.assertEqual(self.client().ask(get("/later")).status, 200)
        self.assertEqual(len(backend.requests), 3)


class AccountingTests(FailureTestCase):
    """Gauges return to 0, whatever happens (Sōzu's mux H1 cases)."""

    def test_every_ending_is_counted_once(self) -> None:
        """Good, malformed, refused, aborted, kept alive and dropped: session_active and backend_active end at 0."""
        backend = self.backend()
        proxy = self.front(backend, keys="request_timeout = 300ms\nclient_timeout = 300ms\nbackend_timeout = 300ms\n")
        for _ in range(5):
            self.client().sock.close()  # test_rapid_connect_disconnect
        kept = self.client()
        kept.ask(get())
        kept.sock.close()  # test_keepalive_then_hup
        self.ask(b"garbage\r\n\r\n")  # test_malformed_request_no_underflow
        self.client().send(b"GET / HTT").sock.close()
        self.client().send(post(b"x" * 10, lines="Expect: 100-continue\r\n"))  # test_100_continue_no_double_decrement
        idle = self.client()
        self.assertTrue(idle.closed())  # test_idle_timeout_no_underflow
        clients = [self.client().send(get(f"/{number}")) for number in range(20)]  # test_concurrent_hup
        for client in clients:
            reset(client.sock)
        for _ in range(3):
            self.assertEqual(self.ask(get()).status, 200)
        self.wait_idle(proxy)
        opened = proxy.metric("session_total", kind="http")
        wait_for(lambda: proxy.metric("session_closed_total", kind="http") == opened, "each session has one reason")

    def test_refused_backends_do_not_inflate_errors(self) -> None:
        """test_backend_refused_no_error_inflation: as many failures as attempts."""
        (port,) = free_ports(1)
        proxy = self.front(port, cluster="retries = 1\n")
        for _ in range(3):
            self.assertEqual(self.ask(get()).status, 503)
        self.assertLessEqual(proxy.metric("backend_failures_total"), 3)
        self.assertEqual(proxy.metric("http_requests_total", status="5xx"), 3)
        self.wait_idle(proxy)

    def test_requests_are_counted_by_method_and_class(self) -> None:
        """Methods that nobody knows are ``other``: peers do not make labels."""

        def answer(request: Message) -> bytes:
            return response(b"", int(request.target[1:]))

        proxy = self.front(
            self.backend(serving(answer)),
            routes="[route all]\npath = /2\ncluster = c\n[route b]\npath = /5\ncluster = c\n",
        )
        client = self.client()
        for method, target in (
            ("GET", "/200"),
            ("GET", "/201"),
            ("POST", "/500"),
            ("BREW", "/200"),
            ("GET", "/nowhere"),
        ):
            client.ask(post(b"x", target) if method == "POST" else get(target, method=method))
        for labels, count in (
            ({"method": "GET", "status": "2xx", "cluster": "c"}, 2),
            ({"method": "POST", "status": "5xx", "cluster": "c"}, 1),
            ({"method": "other", "status": "2xx"}, 1),
            ({"method": "GET", "status": "4xx", "cluster": ""}, 1),
            ({"listener": "web"}, 5),
        ):
            self.assertEqual(proxy.metric("http_requests_total", **labels), count, labels)
        self.assertNotIn("BREW", proxy.get("/metrics")[1])
        self.assertEqual(proxy.metric("http_request_secs_count", listener="web"), 5)

    def test_bytes_are_counted_as_the_backend_sees_them(self) -> None:
        """tx = sent to the backend, rx = received from it."""
        answer = response(b"x" * 1000)
        backend = self.backend(answer)
        proxy = self.front(backend)
        self.ask(post(b"y" * 500))
        self.wait_idle(proxy)
        self.assertEqual(proxy.metric("session_rx_bytes_total", cluster="c"), len(answer))
        self.assertEqual(proxy.metric("session_tx_bytes_total", cluster="c"), len(backend.connections[0].received))


class ZombieTests(FailureTestCase):
    """The sweep for sessions that nothing else ends."""

    def test_a_connection_that_no_timeout_ends_is_swept(self) -> None:
        """Sōzu's test_h1_idle_connection_zombie_metric_increments; one that is at work is left alone."""
        proxy = self.front(self.backend(), appliance="zombie_check_interval = 1s\n")
        idle, busy = self.client(), self.client()
        idle.ask(get())
        idle.sock.settimeout(0.1)
        started = time.monotonic()
        while time.monotonic() - started < 5:
            busy.ask(get())
            try:
                if not idle.more():
                    break
            except TimeoutError:
                pass
        else:
            self.fail("not swept")
        self.assertEqual(busy.ask(get()).status, 200)
        self.assertEqual(proxy.metric("zombies_total"), 1)


class LingerTests(FailureTestCase):
    """SO_LINGER 0 by a client, in the middle of things."""

    def test_resets_at_every_byte_of_an_exchange_leave_nothing(self) -> None:
        """A client that resets after each prefix of a chunked upload."""
        backend = self.backend()
        proxy = self.front(backend, keys="request_timeout = 1s\nclient_timeout = 1s\n")
        data = get(method="POST", lines="Transfer-Encoding: chunked\r\n") + chunks(b"hello", b"world")
        for cut in range(0, len(data) + 1, 7):
            client = self.client().send(data[:cut])
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sock.close()
        self.assertEqual(self.ask(get()).status, 200)
        self.wait_idle(proxy)
        self.assertTrue(all(request.body in (b"", b"helloworld") for request in backend.requests))
