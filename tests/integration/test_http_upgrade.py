"""Upgrades through the HTTP proxy: a tunnel when both sides want it, plain HTTP otherwise."""

from __future__ import annotations

import json
import socket

from netappliance.proxy_protocol import encode_v2
from tests.integration.http_support import (
    BackendConnection,
    Client,
    HttpProxyTestCase,
    RecordingBackend,
    echoing,
    get,
    post,
    response,
    serving,
    wait_for,
)
from tests.integration.support import reset

WISH = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)
BARE = "identity_headers =\nsession_header =\n"


class UpgradeTests(HttpProxyTestCase):
    """Bytes both ways."""

    def tunnel(self, behind: bytes = b"", greeting: bytes = b"", keys: str = "") -> tuple[RecordingBackend, Client]:
        """Return a backend that echoes in its tunnel, and a client of it that got its 101."""

        def talk(connection: BackendConnection) -> None:
            request = connection.read_request()
            assert request is not None
            connection.send(SWITCH + greeting)
            if connection.pending:
                connection.send(connection.pending)
            while data := connection.sock.recv(65536):
                connection.received += data
                connection.send(data)

        backend = self.backend(talk)
        self.front(backend, keys=BARE + keys)
        client = self.client().send(get("/ws", WISH) + behind)
        self.assertEqual(client.read().status, 101)
        return backend, client

    def test_heads_are_those_of_both_sides(self) -> None:
        """Connection and Upgrade are ours to write, the rest is passed on."""
        backend, client = self.tunnel()
        lines = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        self.assertEqual(backend.requests[0].raw, get("/ws", lines))
        self.assertEqual(client.received, SWITCH)

    def test_bytes_go_both_ways(self) -> None:
        """As many as one likes, whatever they look like."""
        backend, client = self.tunnel()
        for data in (b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff" * 100_000):
            client.send(data)
            self.assertEqual(client.exactly(len(data)), data)
        self.assertEqual(len(backend.requests), 1)

    def test_bytes_in_the_segment_of_the_101_are_kept(self) -> None:
        """Sōzu lost them once (#1288)."""
        _, client = self.tunnel(greeting=b"\x81\x02hi")
        self.assertEqual(client.exactly(4), b"\x81\x02hi")

    def test_bytes_in_the_segment_of_the_request_are_kept(self) -> None:
        """They are for the tunnel, once there is one."""
        _, client = self.tunnel(behind=b"\x81\x02hi")
        self.assertEqual(client.exactly(4), b"\x81\x02hi")

    def test_behind_a_proxy_header(self) -> None:
        """Sōzu's test_proxy_protocol_websocket_upgrade."""
        backend = self.backend(serving(SWITCH, count=1))
        self.front(backend, keys="proxy_protocol = expect\n")
        header = encode_v2(("9.9.9.9", 1), ("8.8.8.8", 2))
        client = self.client(before=header).send(get("/ws", WISH))
        self.assertEqual(client.read().status, 101)
        self.assertEqual(backend.requests[0].get("X-Forwarded-For"), b"9.9.9.9")
        self.assertTrue(client.closed())

    def test_a_half_closed_tunnel_drains(self) -> None:
        """The client's FIN reaches the backend, whose last words reach the client."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(SWITCH)
            data = connection.rest()
            connection.send(b"last words after " + data)

        self.front(self.backend(talk))
        client = self.client().send(get("/ws", WISH))
        client.read()
        client.send(b"bye")
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(client.rest(), b"last words after bye")

    def test_an_idle_tunnel_is_closed_by_its_own_timeout(self) -> None:
        """tunnel_timeout, not the shorter ones of HTTP; traffic in one direction is enough to keep it."""
        _, client = self.tunnel(keys="tunnel_timeout = 700ms\nclient_timeout = 100ms\nbackend_timeout = 100ms\n")
        for _ in range(3):
            self.assertTrue(client.silent(0.3))
            client.send(b"x")
            client.exactly(1)
        self.assertTrue(client.closed())
        self.front_proxy.wait_closed("proxy/tunnel/timeout")

    def test_ends_of_either_side_end_the_other(self) -> None:
        """By RST, too; one line in the log, with the bytes of the tunnel, and gauges at 0."""
        backend, client = self.tunnel()
        client.send(b"x" * 1000)
        client.exactly(1000)
        reset(client.sock)
        wait_for(lambda: backend.connections[0].sock.fileno() == -1, "the backend's side ends")
        self.wait_idle(self.front_proxy)
        wait_for(lambda: len(self.front_proxy.access_lines()) == 1, "one line")
        line = json.loads(self.front_proxy.access_lines()[0])
        self.assertEqual((line["status"], line["kind"]), (101, "websocket"))
        self.assertGreaterEqual(line["tx_bytes"], 1000)

    def test_a_refused_upgrade_is_no_tunnel(self) -> None:
        """
        426, then requests as ever: each is judged and routed by itself.

        A proxy that takes the wish for the deed lets the client speak to the backend unseen.
        """
        backend = self.backend(
            serving(lambda request: response(b"no", 426) if request.get("Upgrade") else echoing(request))
        )
        self.front(backend)
        client = self.client().send(get("/ws", WISH) + get("/next"))
        self.assertEqual([client.read().status, client.read().body], [426, b"GET /next "])
        self.assertEqual(client.ask(b"GET /evil HTTP/1.1\r\nHost : x\r\n\r\n").status, 400)
        self.assertEqual(len(backend.connections), 1)

    def test_a_200_to_an_upgrade_is_a_response(self) -> None:
        """The backend may ignore the wish."""
        self.front(self.backend())
        client = self.client()
        self.assertEqual(client.ask(get("/ws", WISH)).body, b"GET /ws ")
        self.assertEqual(client.ask(get("/2")).body, b"GET /2 ")

    def test_101_that_nobody_asked_for_is_502(self) -> None:
        """Or for another protocol, or to a request of HTTP/1.0; the backend's connection is gone."""
        other = SWITCH.replace(b"Upgrade: websocket", b"Upgrade: h2c")
        for data, answer in (
            (get(), SWITCH),
            (get("/ws", WISH), other),
            (get("/ws", WISH), b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            (get("/ws", WISH, version="1.0"), SWITCH),
        ):
            backend = self.backend(answer + b"tunnelled")
            self.front(backend)
            client = self.client()
            self.assertEqual(client.ask(data).status, 502)
            self.assertNotIn(b"tunnelled", client.received)
            wait_for(lambda: backend.connections[0].ended, "the backend's connection ends")  # noqa: B023

    def test_h2c_is_never_offered(self) -> None:
        """h2c smuggling: requests in an h2c tunnel pass every rule of ours."""
        backend = self.backend()
        self.front(backend, keys=BARE)
        lines = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        self.assertEqual(self.ask(get(lines=lines)).status, 200)
        self.assertEqual(backend.requests[0].raw, get())

    def test_an_upgrade_with_a_body_is_no_upgrade(self) -> None:
        """Nobody agrees on where the body ends and the tunnel begins."""
        backend = self.backend()
        self.front(backend, keys=BARE)
        got = self.ask(post(b"hello", lines=WISH))
        if got.status == 200:
            self.assertIsNone(backend.requests[0].get("Upgrade"))
            self.assertEqual(backend.requests[0].body, b"hello")
        else:
            self.assertEqual(got.status, 400)

    def test_a_backend_that_dies_after_the_101(self) -> None:
        """Ends the client's side; the proxy lives on."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.send(SWITCH)
            connection.sock.recv(1)
            connection.reset()

        self.front(self.backend(talk))
        client = self.client().send(get("/ws", WISH))
        client.read()
        client.send(b"x")
        client.cut()
        self.wait_idle(self.front_proxy)
