"""How bodies flow through both connections of an exchange: reads, sends, and who waits for whom."""

from __future__ import annotations

from tests.http.exchange.test_exchange import GET
from tests.http.exchange.test_life import CHUNKED, POST, LifeTestCase
from tests.http.exchange.world import FakeSocket, World

#: bytes of the largest read: more than any head that a backend gets
ROOM = 1024


def sized(size: int, body: bytes = b"") -> bytes:
    """A response of so many bytes, and what of it comes with its head."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class ReadTests(LifeTestCase):
    """What is asked of the kernel."""

    def response(self, head: bytes, body: bytes, reads: int = ROOM) -> tuple[World, FakeSocket, list[int]]:
        """Let a response's body come in one go; return the reads that it took."""
        world = self.world(reads=reads)
        client = self.served(world, head)
        backend = world.upstreams[0]
        backend.reads.clear()
        backend.give(body)
        world.turn(9)
        return world, client, backend.reads

    def test_no_more_is_read_than_belongs_to_the_body(self) -> None:
        """Whole buffers before the last one."""
        body = bytes(range(256)) * 17
        world, client, reads = self.response(sized(len(body)), body)
        self.assertEqual(reads, [1024, 1024, 1024, 1024, 256])
        self.assertTrue(client.outbound.endswith(body))
        self.assertEqual(self.ends(world), [(200, "client/data/fin")])

    def test_a_short_read_is_the_end_of_what_is_there(self) -> None:
        """No further one finds out what is known."""
        _, client, reads = self.response(sized(5000), b"x" * 1500)
        self.assertEqual(reads, [1024, 1024])
        self.assertTrue(client.outbound.endswith(b"x" * 1500))
        _, _, reads = self.response(sized(5000), b"x" * 1024)
        self.assertEqual(reads, [1024, 1024])
        _, _, reads = self.response(sized(1024), b"x" * 1024)
        self.assertEqual(reads, [1024])

    def test_reads_of_chunks(self) -> None:
        """What is left of a line is read with the next ones."""
        body = b"".join(b"100\r\n" + bytes(range(256)) + b"\r\n" for _ in range(60))
        world, client, reads = self.response(CHUNKS, body + b"0\r\n\r\n")
        self.assertEqual(set(reads), {1024})
        content = bytes(client.outbound).partition(b"\r\n\r\n")[2]
        self.assertEqual(self.unchunked(content), bytes(range(256)) * 60)
        self.assertEqual(self.ends(world), [(200, "client/data/fin")])

    def unchunked(self, data: bytes) -> bytes:
        """Take chunks apart."""
        body = b""
        while True:
            line, _, data = data.partition(b"\r\n")
            size = int(line, 16)
            if not size:
                return body
            body, data = body + data[:size], data[size + 2 :]

    def test_one_connection_leaves_others_their_turn(self) -> None:
        """Eight reads, then the rest of the round, then on."""
        world = self.world(reads=1024)
        client = self.served(world, sized(20480))
        backend = world.upstreams[0]
        backend.reads.clear()
        backend.give(b"x" * 20480)
        counts = []
        for step in (world.poller.doRead, *[world.reactor.step] * 4):
            step()
            counts.append(len(backend.reads))
        self.assertEqual(counts, [8, 16, 20, 20, 20])
        self.assertTrue(client.outbound.endswith(b"x" * 20480))
        for head, body in ((CHUNKS, b"4fb0\r\n" + b"x" * 0x4FB0), (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 20400)):
            world = self.world(reads=1024)
            client = self.served(world, head)
            backend = world.upstreams[0]
            backend.reads.clear()
            backend.give(body)
            world.poller.doRead()
            self.assertEqual(len(backend.reads), 8)
            world.turn(4)
            self.assertEqual((len(backend.reads), len(backend.inbound)), (20, 0))

    def test_uploads_likewise(self) -> None:
        """What follows the body is not read with it."""
        world = self.world(reads=ROOM)
        client = self.ask(world, POST % (b"/", 3000))
        client.reads.clear()
        client.give(b"x" * 3000 + GET % b"/next")
        world.turn()
        self.assertEqual(client.reads, [1024, 1024, 952])
        self.assertTrue(world.upstreams[0].outbound.endswith(b"\r\n\r\n" + b"x" * 3000))
        self.assertNotIn(b"/next", world.upstreams[0].outbound)
        world.upstreams[0].give(sized(0))
        world.turn()
        self.assertIn(b"GET /next HTTP/1.1", world.upstreams[0].outbound)

    def test_heads_in_pieces_of_any_size(self) -> None:
        """Smaller reads than heads; what comes with a head is its body's beginning."""
        for size in (1, 7, 64):
            world = self.world(reads=size)
            client = self.ask(world, POST % (b"/t", 10) + b"0123456789")
            world.turn(300)
            backend = world.upstreams[0]
            self.assertTrue(backend.outbound.endswith(b"\r\n\r\n0123456789"), size)
            backend.give(b"HTTP/1.1 103 X\r\n\r\n" + sized(4, b"abcd"))
            world.turn(300)
            self.assertEqual((self.answered(client), client.outbound[-4:]), ([103, 200], b"abcd"))

    def test_chunks_in_pieces_of_any_size(self) -> None:
        """Both ways, with their trailers."""
        for size in (1, 3, 16):
            world = self.world(reads=size)
            client = self.ask(world, CHUNKED)
            world.turn(300)
            wire = b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Up: 1\r\n\r\n"
            for at in range(0, len(wire), size):
                client.give(wire[at : at + size])
                world.turn(2)
            backend = world.upstreams[0]
            body = bytes(backend.outbound).partition(b"\r\n\r\n")[2]
            self.assertEqual(self.unchunked(body), b"hello!")
            self.assertTrue(body.endswith(b"0\r\nX-Up: 1\r\n\r\n"))
            backend.give(CHUNKS + wire)
            world.turn(300)
            body = bytes(client.outbound).partition(b"\r\n\r\n")[2]
            self.assertEqual(self.unchunked(body), b"hello!")
            self.assertTrue(body.endswith(b"0\r\nX-Up: 1\r\n\r\n"))
            self.assertEqual(self.ends(world), [(200, "client/data/fin")])


class BackpressureTests(LifeTestCase):
    """Nobody is read for whom the other side has no room."""

    def test_a_client_that_does_not_take_its_response(self) -> None:
        """The backend is not read on; once everything was taken, it is."""
        world = self.world(reads=64)
        client = self.served(world, sized(10000))
        backend = world.upstreams[0]
        client.window = 100
        backend.give(b"x" * 10000)
        world.turn(20)
        left = len(backend.inbound)
        self.assertGreater(left, 10000 - 100 - 64 - 1)
        world.turn(20)
        self.assertEqual(len(backend.inbound), left)
        client.widen(1)
        world.turn(20)
        self.assertEqual(len(backend.inbound), left, "a part of what waits is no room")
        client.widen(1 << 20)
        world.turn(60)
        self.assertTrue(client.outbound.endswith(b"x" * 10000))
        self.assertEqual((self.ends(world), len(backend.inbound)), ([(200, "client/data/fin")], 0))

    def test_a_client_that_does_not_even_take_the_head(self) -> None:
        """What came with the head waits, and nothing more is read."""
        world = self.world(reads=64)
        client = self.ask(world)
        client.window = 10
        backend = world.upstreams[0]
        backend.give(sized(10000, b"x"))
        world.turn()
        backend.give(b"x" * 5000)
        world.turn(20)
        self.assertEqual(len(backend.inbound), 5000)
        client.widen(1 << 20)
        world.turn(20)
        self.assertEqual(len(backend.inbound), 0)

    def test_a_backend_that_does_not_take_an_upload(self) -> None:
        """The client is not read on."""
        world = self.world(reads=64)
        client = self.ask(world, POST % (b"/", 10000))
        backend = world.upstreams[0]
        backend.window = 100
        client.give(b"x" * 10000)
        world.turn(20)
        left = len(client.inbound)
        self.assertGreater(left, 10000 - 100 - 64 - 1)
        backend.widen(1)
        world.turn(20)
        self.assertEqual(len(client.inbound), left)
        backend.widen(1 << 20)
        world.turn(60)
        self.assertTrue(backend.outbound.endswith(b"x" * 10000))
        backend.give(sized(0))
        world.turn()
        self.assertEqual(self.answered(client), [200])

    def test_a_connection_goes_back_only_when_all_is_over(self) -> None:
        """A response that the client has not taken holds none; an upload that is not over does."""
        world = self.world(reads=64)
        client = self.ask(world)
        client.window = 1
        world.upstreams[0].give(sized(10, b"0123456789"))
        world.turn()
        self.assertEqual((world.upstreams[0].closes, world.cluster.backends[0].active), (0, 0))
        self.assertEqual(self.ends(world), [])
        client.widen(1 << 20)
        world.turn()
        self.assertEqual(self.ends(world), [(200, "client/data/fin")])
        client.give(GET % b"/2")
        world.turn()
        self.assertEqual(len(world.upstreams), 1)
        world = self.world(reads=64)
        client = self.ask(world, POST % (b"/", 100) + b"half")
        world.upstreams[0].give(sized(0))
        world.turn()
        self.assertEqual(world.upstreams[0].closes, 1)

    def test_the_response_and_the_upload_flow_at_once(self) -> None:
        """Each at its own pace."""
        world = self.world(reads=64)
        client = self.ask(world, POST % (b"/", 6000) + b"x" * 1000)
        backend = world.upstreams[0]
        backend.give(sized(6000, b"y" * 1000))
        world.turn(9)
        self.assertTrue(client.outbound.endswith(b"y" * 1000))
        client.give(b"x" * 5000)
        world.turn(30)
        self.assertTrue(backend.outbound.endswith(b"x" * 6000))
        backend.give(b"y" * 5000)
        world.turn(30)
        self.assertTrue(client.outbound.endswith(b"y" * 6000))
        self.assertEqual([status for status, _ in self.ends(world)], [200])


class SendTests(LifeTestCase):
    """How much goes out at once."""

    def test_a_small_request_is_one_send(self) -> None:
        """Head and body, on a new connection and on a kept one."""
        for body in (b"", b"x" * 10):
            world = self.world()
            for number in range(2):
                ask = POST % (b"/", len(body)) + body
                client = self.ask(world, ask)
                world.upstreams[0].give(sized(2, b"ok"))
                world.turn()
                self.assertEqual((len(world.upstreams), len(world.upstreams[0].sends)), (1, number + 1))
                self.assertEqual((self.answered(client), len(client.sends)), ([200], 1))

    def test_a_small_response_is_one_send(self) -> None:
        """Head and body, chunks with their end; our own answers too."""
        for response in (sized(2, b"ok"), CHUNKS + b"2\r\nok\r\n0\r\n\r\n", sized(20000, b"x" * 20000)):
            world = self.world()
            client = self.served(world, response)
            self.assertEqual((self.answered(client), len(client.sends)), ([200], 1), response[:60])
        world = self.world()
        client = self.ask(world, GET % b"/here")
        self.assertEqual((self.answered(client), len(client.sends)), ([403], 1))
