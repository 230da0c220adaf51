"""TLS on a socket pair: what sockets promise holds, whatever records the bytes come in."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL._util import lib
from twisted.trial.unittest import SynchronousTestCase

from netappliance.dataplane.receive_buffer import BUFFER_SIZE
from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.sessions.reasons import Cause, cause_of
from netappliance.tls.errors import TlsError
from tests.certificates import Authority

AUTHORITY = Authority()
LEAF = AUTHORITY.leaf("localhost")


def server_context(version: int = SSL.TLS1_3_VERSION) -> SSL.Context:
    """One with a certificate, for one version."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(LEAF.certificate)
    context.use_privatekey(LEAF.key)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    return context


SERVERS = {version: server_context(version) for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)}
CLIENT = SSL.Context(SSL.TLS_CLIENT_METHOD)


class PairTestCase(SynchronousTestCase):
    """Two transports on a pair of sockets."""

    def pair(self, version: int = SSL.TLS1_3_VERSION, *, strict_end: bool = False) -> tuple[TlsTransport, TlsTransport]:
        """Return server and client, before their handshake."""
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
            self.addCleanup(end.close)
        server, client = TlsTransport(ends[0]), TlsTransport(ends[1], strict_end=strict_end)
        for transport, context in ((server, SERVERS[version]), (client, CLIENT)):
            sock: Any = transport.sock
            transport.tls.attach(SSL.Connection(context, sock))
        assert server.tls.connection is not None and client.tls.connection is not None
        server.tls.connection.set_accept_state()
        client.tls.connection.set_connect_state()
        return server, client

    def shaken(self, version: int = SSL.TLS1_3_VERSION, *, strict_end: bool = False) -> tuple[Any, Any]:
        """Return server and client, after it."""
        server, client = self.pair(version, strict_end=strict_end)
        done = [False, False]
        for _ in range(10):
            for index, transport in enumerate((client, server)):
                done[index] = done[index] or transport.tls.handshake()
        self.assertEqual(done, [True, True])
        return server, client

    def tearDown(self) -> None:
        """What one connection leaves in OpenSSL's queue would be taken for another's failure."""
        self.assertEqual(lib.ERR_peek_error(), 0)


class HandshakeTests(PairTestCase):
    """The handshake goes on as bytes come."""

    def test_it_waits_for_the_peer(self) -> None:
        """Neither side blocks; nothing can be read before."""
        server, client = self.pair()
        self.assertFalse(server.tls.handshake())
        self.assertFalse(client.tls.handshake())
        self.assertFalse(server.tls.handshake())
        self.assertTrue(client.tls.handshake())
        self.assertTrue(server.tls.handshake())

    def test_garbage_fails_with_the_reason(self) -> None:
        """The error names it, and its cause is TLS; what is read afterwards fails too."""
        server, client = self.pair()
        client.sock.send(b"GET / HTTP/1.1\r\n\r\n")
        with self.assertRaises(TlsError) as caught:
            server.tls.handshake()
        self.assertEqual(caught.exception.why, "http request")
        self.assertIs(cause_of(caught.exception), Cause.TLS)
        self.assertRaises(TlsError, server.recv, 10)

    def test_a_version_that_is_not_served(self) -> None:
        """The client learns by an alert, and both fail."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
            self.addCleanup(end.close)
        client = TlsTransport(near)
        client.tls.attach(SSL.Connection(context, near))
        assert client.tls.connection is not None
        client.tls.connection.set_connect_state()
        server = TlsTransport(far)
        server.tls.attach(SSL.Connection(SERVERS[SSL.TLS1_2_VERSION], far))
        assert server.tls.connection is not None
        server.tls.connection.set_accept_state()
        client.tls.handshake()
        self.assertRaises(TlsError, server.tls.handshake)
        with self.assertRaises(TlsError) as caught:
            client.tls.handshake()
        self.assertIn("alert protocol version", caught.exception.why)

    def test_the_end_in_the_middle(self) -> None:
        """A connection that ends before its handshake does was reset, as far as its owner is concerned."""
        server, client = self.pair()
        client.sock.close()
        with self.assertRaises(OSError) as caught:
            server.tls.handshake()
        self.assertEqual(caught.exception.errno, errno.ECONNRESET)


class ReferenceTests(SynchronousTestCase):
    """What a transport leaves behind."""

    def test_a_socket_outlives_nobody(self) -> None:
        """Nothing refers to it when its transport is gone."""
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        before = sys.getrefcount(near)
        for _ in range(10):
            TlsTransport(near)
        self.assertEqual(sys.getrefcount(near), before)


class TransportTests(PairTestCase):
    """Reads and writes mean what a socket's mean."""

    def test_bytes_pass_both_ways(self) -> None:
        """In both versions."""
        for version in SERVERS:
            server, client = self.shaken(version)
            client.send(b"hello")
            self.assertEqual(server.recv(100), b"hello")
            server.send(memoryview(b"and back"))
            buffer = bytearray(20)
            self.assertEqual(client.recv_into(buffer, 20), 8)
            self.assertEqual(buffer[:8], b"and back")

    def test_reading_nothing_would_block(self) -> None:
        """As on a socket."""
        server, client = self.shaken()
        self.assertRaises(BlockingIOError, server.recv, 10)
        self.assertRaises(BlockingIOError, client.recv_into, bytearray(10), 10)

    def test_a_read_takes_all_records_that_are_there(self) -> None:
        """So a short one proves that there is no more."""
        server, client = self.shaken()
        for _ in range(7):
            client.send(b"x" * 1000)
        self.assertEqual(len(server.recv(BUFFER_SIZE)), 7000)
        self.assertRaises(BlockingIOError, server.recv, 10)

    def test_a_read_may_stop_within_a_record(self) -> None:
        """The rest comes with the next."""
        server, client = self.shaken()
        client.send(b"abcdef")
        self.assertEqual(server.recv(4), b"abcd")
        self.assertEqual(server.recv(4), b"ef")

    def test_a_write_fills_the_kernel_and_goes_on_where_it_stopped(self) -> None:
        """Records that were begun are finished, though the bytes come from another buffer."""
        server, client = self.shaken()
        data = bytes(range(256)) * 16384
        sent = client.send(data)
        self.assertTrue(0 < sent < len(data))
        self.assertRaises(BlockingIOError, client.send, data[sent:])
        received = bytearray()
        while len(received) < len(data):
            try:
                received += server.recv(BUFFER_SIZE)
            except BlockingIOError:
                try:
                    sent += client.send(memoryview(bytes(data[sent:])))
                except BlockingIOError:
                    self.fail("neither side can go on")
        self.assertEqual(received, data)

    def test_close_notify_is_the_end(self) -> None:
        """Read again and again; the other direction goes on."""
        server, client = self.shaken()
        client.send(b"last")
        client.shut()
        self.assertEqual(server.recv(100), b"last")
        self.assertEqual(server.recv(100), b"")
        self.assertEqual(server.recv(100), b"")
        server.send(b"answer")
        self.assertEqual(client.recv(100), b"answer")

    def test_close_notify_without_a_fin_behind_data_is_told_by_the_poller(self) -> None:
        """The kernel has nothing more to say, so we have it say that reading is over."""
        server, client = self.shaken()
        client.send(b"last")
        client.farewell()
        self.assertEqual(server.recv(100), b"last")
        self.assertEqual(server.sock.recv(10), b"")
        self.assertEqual(server.recv(100), b"")

    def test_an_end_without_close_notify(self) -> None:
        """Is an end for those who know where messages end, and an error for others."""
        server, client = self.shaken()
        self.assertTrue(client.silent(), "over unread session tickets a close would be a reset")
        client.sock.close()
        self.assertEqual(server.recv(10), b"")
        server, client = self.shaken(strict_end=True)
        server.send(b"half of it")
        server.sock.close()
        self.assertEqual(client.recv(100), b"half of it")
        with self.assertRaises(OSError) as caught:
            client.recv(100)
        self.assertEqual(caught.exception.errno, errno.ECONNRESET)

    def test_a_broken_record_is_an_error_that_stays(self) -> None:
        """And close_notify is not sent any more."""
        server, client = self.shaken()
        client.sock.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        self.assertRaises(TlsError, server.recv, 10)
        self.assertRaises(TlsError, server.recv_into, bytearray(10), 10)
        server.farewell()

    def test_what_the_peer_said_before_it_broke_the_connection(self) -> None:
        """Its alert says more than the kernel's error, and is asked for again and again."""
        server, client = self.shaken()
        client.sock.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        self.assertRaises(TlsError, server.recv, 10)
        server.sock.close()
        for _ in range(2):
            self.assertIn("alert bad record mac", str(client.error()))
            self.assertIs(cause_of(client.error()), Cause.TLS)
        for farewell in (True, False):
            server, client = self.shaken()
            if farewell:
                server.farewell()
            server.sock.close()
            self.assertEqual(client.error().errno, errno.ECONNRESET)
        unattached = TlsTransport(socket.socket())
        self.addCleanup(unattached.sock.close)
        self.assertEqual(unattached.error().errno, errno.ECONNRESET)

    def test_writing_to_a_broken_connection(self) -> None:
        """The kernel's error."""
        server, client = self.shaken()
        server.sock.close()
        with self.assertRaises(OSError) as caught:
            for _ in range(3):
                client.send(b"x")
        self.assertIn(caught.exception.errno, (errno.EPIPE, errno.ECONNRESET))

    def test_nothing_is_written_for_no_bytes(self) -> None:
        """An empty record would be legal, but nobody asked for one."""
        server, client = self.shaken()
        self.assertEqual(client.send(b""), 0)
        self.assertRaises(BlockingIOError, server.recv, 10)

    def test_silence(self) -> None:
        """Session tickets are no data; bytes and the end are."""
        server, client = self.shaken()
        self.assertTrue(client.silent())
        server.send(b"x")
        self.assertFalse(client.silent())
        self.assertEqual(client.recv(10), b"x")
        self.assertTrue(client.silent())
        server.shut()
        self.assertFalse(client.silent())
        self.assertFalse(client.silent())

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.binary(min_size=1, max_size=40000), max_size=8), st.integers(1, 70000))
    def test_any_sizes_arrive_whole(self, pieces: list[bytes], window: int) -> None:
        """Whatever is written in one go and read in another."""
        server, client = self.shaken()
        received = bytearray()
        buffer = bytearray(window)

        def drain() -> None:
            while True:
                try:
                    count = server.recv_into(buffer, window)
                except BlockingIOError:
                    return
                received.extend(buffer[:count])

        for piece in pieces:
            rest = piece
            while rest:
                try:
                    rest = rest[client.send(rest) :]
                except BlockingIOError:
                    drain()
        drain()
        self.assertEqual(received, b"".join(pieces))
