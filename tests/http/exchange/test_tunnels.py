"""Connections that were upgraded: what passes, how they end, and upgrades that nobody asked for."""

from __future__ import annotations

from tests.http.exchange.test_exchange import OK
from tests.http.exchange.test_life import LifeTestCase
from tests.http.exchange.world import FakeSocket, World

ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
AGREE = b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class TunnelTests(LifeTestCase):
    """Bytes both ways."""

    def tunnel(self, world: World, ask: bytes = b"", agree: bytes = b"") -> tuple[FakeSocket, FakeSocket]:
        """Make one; further bytes come with the request and with the 101."""
        client = self.ask(world, ASK + ask)
        backend = world.upstreams[-1]
        backend.give(AGREE + agree)
        world.turn()
        return client, backend

    def test_bytes_pass_both_ways(self) -> None:
        """Those that came with the heads first; everything is counted for the session and for the log."""
        world = self.world()
        client, backend = self.tunnel(world, b"early", b"hello")
        (session,) = world.appliance.sessions
        self.assertEqual((session.kind, session.state, session.cluster), ("websocket", "open", "web"))
        self.assertFalse(session.logged, "the exchange has the line")
        self.assertEqual([sock.fileno() for sock in session.sockets()], [client.fileno(), backend.fileno()])
        client.give(b"c1")
        backend.give(b"b1")
        world.turn()
        self.assertTrue(client.outbound.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhellob1"))
        self.assertTrue(backend.outbound.endswith(b"\r\n\r\nearlyc1"))
        session.refresh()
        self.assertEqual((session.tx_bytes, session.rx_bytes), (len(b"earlyc1"), len(b"b1")))
        head = len(backend.outbound) - len(b"earlyc1")
        client.end()
        world.turn()
        self.assertEqual((backend.shut, world.log.lines), (True, []))
        backend.end()
        world.turn()
        [line] = self.logged(world)
        counted = line["kind"], line["status"], line["sent_bytes"], line["tx_bytes"]
        self.assertEqual(counted, ("websocket", 101, len(client.outbound), head + len(b"earlyc1")))
        self.assertEqual(line["rx_bytes"], len(AGREE) + len(b"hello") + len(b"b1"))
        self.nothing_left(world)

    def test_how_tunnels_end(self) -> None:
        """By FIN of both, the first of whom ended it; by reset, which the other side is told by one; by silence."""
        for side, how, reason, resets in (
            ("client", "fin", "client/tunnel/fin", [False, False]),
            ("backend", "fin", "backend/tunnel/fin", [False, False]),
            ("client", "rst", "client/tunnel/rst", [True, True]),
            ("backend", "rst", "backend/tunnel/rst", [True, True]),
        ):
            world = self.world()
            client, backend = self.tunnel(world)
            first, second = (client, backend) if side == "client" else (backend, client)
            if how == "fin":
                first.end()
                world.turn()
                second.end()
            else:
                first.break_off()
            world.turn()
            self.assertEqual(self.ends(world), [(101, reason)])
            self.assertEqual(([client.reset, backend.reset], [client.closes, backend.closes]), (resets, [1, 1]))
            self.nothing_left(world)

    def test_silence(self) -> None:
        """tunnel_timeout after the last byte of either side; 0 waits for ever."""
        for side in ("client", "backend"):
            world = self.world(http="tunnel_timeout = 100s")
            client, backend = self.tunnel(world)
            world.wait(90)
            (client if side == "client" else backend).give(b"x")
            world.turn()
            world.wait(98)
            self.assertEqual(world.log.lines, [])
            world.wait(4)
            self.assertEqual((self.ends(world), client.reset), ([(101, "proxy/tunnel/timeout")], False))
            self.nothing_left(world)
        world = self.world(http="tunnel_timeout = 0")
        client, _ = self.tunnel(world)
        world.wait(2000, 10)
        self.assertEqual((world.log.lines, client.closes), ([], 0))

    def test_bytes_that_were_not_sent_are_missed(self) -> None:
        """An end over them is a reset, not a FIN that looks like a whole."""
        world = self.world(http="tunnel_timeout = 100s")
        client, backend = self.tunnel(world)
        client.window = 1
        backend.give(b"xyz")
        world.turn()
        world.wait(102)
        self.assertEqual((client.reset, backend.reset), (True, True))

    def test_the_place_on_the_backend(self) -> None:
        """It is taken as long as the tunnel is there."""
        world = self.world(backends="10.0.0.1:80 id=a max_connections=1")
        client, _ = self.tunnel(world)
        waiting = self.ask(world)
        self.assertEqual((len(world.pool.queue), world.cluster.backends[0].active), (1, 1))
        client.break_off()
        world.turn()
        self.assertEqual((len(world.pool.queue), len(world.upstreams)), (0, 2))
        world.upstreams[1].give(OK)
        world.turn()
        self.assertEqual(self.answered(waiting), [200])

    def test_upgrades_that_nobody_asked_for(self) -> None:
        """Without a request for one, or to another protocol; the connection cannot be believed any more."""
        for ask, agree in (
            (ASK, AGREE.replace(b"websocket", b"h2c")),
            (ASK, AGREE.replace(b"Upgrade: websocket\r\n", b"")),
            (ASK.replace(b"Connection: Upgrade\r\n", b""), AGREE),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", AGREE),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", AGREE.replace(b"Upgrade: websocket\r\n", b"")),
        ):
            world = self.world()
            client = self.ask(world, ask)
            world.upstreams[0].give(agree)
            world.turn()
            self.assertEqual(
                (self.answered(client), self.ends(world)), ([502], [(502, "backend/headers/protocol")]), agree
            )
            self.assertEqual(world.frontend.refusals.responses, {"upgrade that nobody asked for": 1})
            self.assertEqual(world.upstreams[0].closes, 1)

    def test_names_of_protocols_have_no_case(self) -> None:
        """And one of several may be chosen."""
        for ask, agree in (
            (b"WebSocket", b"websocket"),
            (b"websocket", b"WEBSOCKET"),
            (b"chat, websocket", b"websocket"),
        ):
            world = self.world(http="upgrades = websocket, chat")
            client = self.ask(world, ASK.replace(b"websocket", ask))
            world.upstreams[0].give(AGREE.replace(b"websocket", agree))
            world.turn()
            self.assertEqual(self.answered(client), [101], (ask, agree))

    def test_a_refused_upgrade_is_a_response_like_others(self) -> None:
        """The connection goes on."""
        world = self.world()
        client = self.served(world, OK, ASK)
        self.assertEqual((self.answered(client), self.ends(world)), ([200], [(200, "client/data/fin")]))
        self.assertEqual((client.closes, world.upstreams[0].closes), (0, 0))

    def test_an_observer_may_refuse_the_tunnel(self) -> None:
        """Both ends are closed."""
        world = self.world()

        class Refusing:
            name = "refusing"

            def session_opened(self, session: object) -> str | None:
                return "no" if getattr(session, "kind", "") == "websocket" else None

            def session_closed(self, session: object) -> None:
                """Nothing."""

        client = self.ask(world, ASK)
        world.appliance.sessions.observers.append(Refusing())  # type: ignore[arg-type]
        world.upstreams[0].give(AGREE)
        world.turn()
        self.assertEqual(
            (self.ends(world), client.closes, world.upstreams[0].closes), ([(101, "proxy/tunnel/policy")], 1, 1)
        )
        self.nothing_left(world)

    def test_a_backend_that_ends_with_its_101(self) -> None:
        """The client gets what came, then the end."""
        world = self.world()
        client = self.ask(world, ASK)
        world.upstreams[0].give(AGREE + b"bye")
        world.upstreams[0].end()
        world.turn()
        self.assertTrue(client.outbound.endswith(b"bye"))
        self.assertTrue(client.shut)
        client.end()
        world.turn()
        self.assertEqual(self.ends(world), [(101, "backend/tunnel/fin")])
