"""The TCP proxy with real sockets: what arrives, how sessions end, what is left behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import struct
import threading

from netappliance.proxy_protocol import encode_v1, encode_v2, parse_header
from tests.integration.support import (
    BUDGET_S,
    Peer,
    Proxy,
    ProxyTestCase,
    echo,
    free_ports,
    read_all,
    reset,
    silent,
    wait_for,
)


class TcpTestCase(ProxyTestCase):
    """A proxy in front of some backends."""

    forked = True

    def front(
        self,
        *peers: Peer | int,
        keys: str = "",
        cluster: str = "",
        appliance: str = "",
        prefix: tuple[str, ...] = (),
    ) -> tuple[Proxy, int]:
        """Start a proxy for these backends (or bare ports); returns it and its port."""
        port = free_ports(1)[0]
        lines = "\n".join(f"    127.0.0.1:{peer if isinstance(peer, int) else peer.port}" for peer in peers)
        head = f"[appliance]\naccess_log = access.log\nshutdown_grace = 1s\n{appliance}\n"
        back = f"[cluster c]\nbackends =\n{lines}\n{cluster}\n"
        keys = self.transport.tcp_keys + keys
        config = f"{head}{back}[tcp front]\nlisten = tcp:{port}:interface=127.0.0.1\ncluster = c\n{keys}\n"
        return self.proxy(config, prefix), port


class TransferTests(TcpTestCase):
    """Bytes arrive as they were sent."""

    def test_half_close_passes_each_way(self) -> None:
        """The client says all, then hears all."""
        proxy, port = self.front(self.peer(echo))
        client = self.connect(port)
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(client), b"hello")
        proxy.wait_closed("client/data/fin")
        self.assertEqual(proxy.metric("session_tx_bytes_total"), 5)
        self.assertEqual(proxy.metric("session_rx_bytes_total"), 5)

    def test_backend_may_speak_and_close_first(self) -> None:
        """A server that greets; its FIN reaches the client, who may still send."""
        got: list[bytes] = []

        def greet(connection: socket.socket) -> None:
            connection.sendall(b"220 ready\r\n")
            connection.shutdown(socket.SHUT_WR)
            got.append(read_all(connection))

        proxy, port = self.front(self.peer(greet))
        client = self.connect(port)
        self.assertEqual(read_all(client), b"220 ready\r\n")
        client.sendall(b"late words")
        client.shutdown(socket.SHUT_WR)
        proxy.wait_closed("backend/data/fin")
        wait_for(lambda: got == [b"late words"], "the client's words after the backend's FIN")

    def test_backends_that_speak_and_end_at_once_are_heard_to_the_end(self) -> None:
        """Connection, words and FIN come in one edge, often: a hundred clients get both."""

        def greet(connection: socket.socket) -> None:
            connection.sendall(b"220 ready\r\n")
            connection.shutdown(socket.SHUT_WR)
            read_all(connection)

        _, port = self.front(self.peer(greet))
        for number in range(100):
            client = self.connect(port)
            client.settimeout(5)
            self.assertEqual(read_all(client), b"220 ready\r\n", number)
            client.close()

    def test_large_transfers_arrive_bit_exact_both_ways_in_bounded_memory(self) -> None:
        """64 MiB each way at once, the backend slow to read at first; memory grows by less than 8 MiB."""
        size = 64 * 1024 * 1024
        block = os.urandom(1024 * 1024)
        digests: dict[str, str] = {}
        gate = threading.Event()

        def pour(connection: socket.socket) -> None:
            for _ in range(size // len(block)):
                connection.sendall(block)
            connection.shutdown(socket.SHUT_WR)

        def drink(connection: socket.socket, name: str) -> None:
            digest, total = hashlib.sha256(), 0
            while data := connection.recv(262144):
                digest.update(data)
                total += len(data)
            digests[name] = f"{total} {digest.hexdigest()}"

        def backend(connection: socket.socket) -> None:
            sender = threading.Thread(target=pour, args=(connection,), daemon=True)
            sender.start()
            gate.wait(BUDGET_S)  # until the client is blocked: all buffers on the way are full
            drink(connection, "backend")
            sender.join(BUDGET_S)

        proxy, port = self.front(self.peer(backend))
        before = proxy.rss_bytes()
        client = self.connect(port)
        sender = threading.Thread(target=pour, args=(client,), daemon=True)
        sender.start()
        drinker = threading.Thread(target=drink, args=(client, "client"), daemon=True)
        drinker.start()
        drinker.join(BUDGET_S)
        stalled = proxy.rss_bytes() - before
        gate.set()
        sender.join(BUDGET_S)
        proxy.wait_closed("client/data/fin" if proxy.closed("client/data/fin") else "backend/data/fin")
        expected = f"{size} {hashlib.sha256(block * (size // len(block))).hexdigest()}"
        wait_for(lambda: len(digests) == 2, "both ends")
        self.assertEqual(digests, {"client": expected, "backend": expected})
        self.assertLess(stalled, 8 * 1024 * 1024)
        self.assertEqual(proxy.metric("session_tx_bytes_total"), size)
        self.assertEqual(proxy.metric("session_rx_bytes_total"), size)

    def test_unix_sockets_on_both_sides(self) -> None:
        """A unix listener and a unix backend; the socket file goes with the process."""
        listener = socket.socket(socket.AF_UNIX)
        proxy_path, backend_path = "front.sock", "back.sock"
        back = f"[cluster c]\nbackends = unix:{backend_path}\n"
        config = f"{back}[tcp front]\nlisten = unix:{proxy_path}:mode=600\ncluster = c\n"
        proxy = self.proxy(config)
        listener.bind(str(proxy.folder / backend_path))
        listener.listen(5)
        self.addCleanup(listener.close)
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(BUDGET_S)
        path = proxy.folder / proxy_path
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        client.connect(str(path))
        server, _ = listener.accept()
        self.addCleanup(server.close)
        client.sendall(b"over unix")
        self.assertEqual(server.recv(100), b"over unix")
        client.close()
        self.assertEqual(server.recv(1), b"")
        server.close()
        proxy.wait_closed("client/data/fin")
        self.assertEqual(proxy.stop(), 0)
        self.assertFalse(path.exists())


class EndingTests(TcpTestCase):
    """Every ending has its reason, and touches nobody else."""

    def test_reset_by_the_client_reaches_the_backend_as_reset(self) -> None:
        """So that it cannot take half a stream for a whole one."""
        seen: list[str] = []

        def backend(connection: socket.socket) -> None:
            connection.sendall(connection.recv(100))
            try:
                seen.append(repr(connection.recv(100)))
            except ConnectionResetError:
                seen.append("reset")

        proxy, port = self.front(self.peer(backend))
        client = self.connect(port)
        client.sendall(b"x")
        client.recv(1)
        reset(client)
        proxy.wait_closed("client/data/rst")
        wait_for(lambda: seen == ["reset"], f"the backend to see a reset, not {seen}")

    def test_reset_by_the_backend_in_mid_stream_reaches_the_client(self) -> None:
        """While another session goes on."""

        def backend(connection: socket.socket) -> None:
            data = connection.recv(100)
            connection.sendall(data)
            if data == b"die":
                connection.recv(100)
                reset(connection)
            else:
                echo(connection)

        proxy, port = self.front(self.peer(backend))
        other, client = self.connect(port), self.connect(port)
        other.sendall(b"live")
        self.assertEqual(other.recv(10), b"live")
        client.sendall(b"die")
        self.assertEqual(client.recv(10), b"die")
        client.sendall(b"now")
        self.assertRaises(ConnectionResetError, client.recv, 10)
        proxy.wait_closed("backend/data/rst")
        errors = proxy.metric("session_rx_errors_total") + proxy.metric("session_tx_errors_total")
        self.assertEqual(errors, 1)
        other.sendall(b"still")
        self.assertEqual(other.recv(10), b"still")

    def test_idle_sessions_end_and_active_ones_do_not(self) -> None:
        """Traffic in one direction is enough to stay."""
        proxy, port = self.front(self.peer(echo), keys="idle_timeout = 600ms")
        idle, busy = self.connect(port), self.connect(port)
        for _ in range(8):
            busy.sendall(b"x")
            self.assertEqual(busy.recv(1), b"x")
            threading.Event().wait(0.15)
        self.assertEqual(idle.recv(1), b"")
        busy.sendall(b"y")
        self.assertEqual(busy.recv(1), b"y")
        proxy.wait_closed("proxy/idle/timeout")

    def test_refused_connections_try_the_next_backend(self) -> None:
        """The dead one is left alone after its failure; every client is served."""
        dead = free_ports(1)[0]
        proxy, port = self.front(dead, self.peer(echo))
        for _ in range(4):
            client = self.connect(port)
            client.sendall(b"x")
            self.assertEqual(client.recv(1), b"x")
            client.shutdown(socket.SHUT_WR)
            client.close()
        proxy.wait_closed("client/data/fin", 4)
        self.assertEqual(proxy.metric("backend_failures_total", backend=f"127.0.0.1:{dead}"), 1)

    def test_no_living_backend_closes_the_client_with_the_reason(self) -> None:
        """Refused everywhere: three attempts, then the end."""
        proxy, port = self.front(free_ports(1)[0])
        client = self.connect(port)
        self.assertEqual(client.recv(1), b"")
        proxy.wait_closed("backend/connect/rst")
        self.assertEqual(proxy.metric("backend_connections_total"), 3)

    def test_an_empty_cluster_closes_the_client_with_the_reason(self) -> None:
        """No backend at all."""
        proxy, port = self.front()
        self.assertEqual(self.connect(port).recv(1), b"")
        proxy.wait_closed("backend/connect/resource")

    def test_a_backend_that_does_not_answer_times_out(self) -> None:
        """A listener whose backlog is full drops SYNs: the connect timeout ends the attempts."""
        full = socket.socket()
        self.addCleanup(full.close)
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        stuck = []
        for _ in range(4):  # fill the backlog of a listener that never accepts
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            self.addCleanup(filler.close)
            stuck.append(filler)
        keys = "connect_timeout = 200ms\nretries = 2"
        proxy, port = self.front(full.getsockname()[1], cluster=keys)
        self.assertEqual(self.connect(port).recv(1), b"")
        proxy.wait_closed("backend/connect/timeout")
        self.assertEqual(proxy.metric("backend_connections_total"), 2)

    def test_a_full_backend_refuses_with_the_reason(self) -> None:
        """max_connections of a backend."""
        peer = self.peer(echo)
        port = free_ports(1)[0]
        config = (
            f"[cluster c]\nbackends = 127.0.0.1:{peer.port} max_connections=1\n"
            f"[tcp front]\nlisten = tcp:{port}:interface=127.0.0.1\ncluster = c\n{self.transport.tcp_keys}"
        )
        proxy = self.proxy(config)
        first = self.connect(port)
        first.sendall(b"x")
        self.assertEqual(first.recv(1), b"x")
        self.assertEqual(self.connect(port).recv(1), b"")
        proxy.wait_closed("backend/queue/limit")

    def test_the_access_log_has_a_line_for_each_session(self) -> None:
        """With its counters and its reason."""
        proxy, port = self.front(self.peer(echo))
        client = self.connect(port)
        client.sendall(b"abc")
        client.shutdown(socket.SHUT_WR)
        read_all(client)
        wait_for(lambda: len(proxy.access_lines()) == 1, "the line")
        line = proxy.access_lines()[0]
        self.assertIn('"rx_bytes":3,"tx_bytes":3', line)
        self.assertIn('"side":"client","phase":"data","cause":"fin"', line)


class LimitTests(TcpTestCase):
    """What a peer can make grow stops growing."""

    def test_connections_above_the_limit_wait_and_are_served_newest_first(self) -> None:
        """max_connections = 2: the third and fourth wait; when room is made, the fourth goes first."""
        proxy, port = self.front(self.peer(echo), appliance="max_connections = 2")
        served = [self.connect(port), self.connect(port)]
        for client in served:
            client.sendall(b"x")
            client.recv(1)
        waiting = [self.connect(port) for _ in range(2)]
        wait_for(lambda: proxy.metric("accept_queue_length") == 2, "two in the queue")
        for client in waiting:
            client.sendall(b"q")
            client.settimeout(0.2)
        served[0].close()
        served[1].close()
        wait_for(lambda: proxy.metric("accept_queue_length") == 0, "an empty queue")
        for client in waiting:
            client.settimeout(BUDGET_S)
            self.assertEqual(client.recv(1), b"q")
        wait_for(lambda: proxy.metric("session_active") == 2, "two sessions")

    def test_a_full_queue_refuses_and_an_old_one_is_cleared(self) -> None:
        """accept_queue_size and accept_queue_timeout."""
        limits = "max_connections = 1\naccept_queue_size = 2\naccept_queue_timeout = 400ms"
        proxy, port = self.front(self.peer(echo), appliance=limits)
        first = self.connect(port)
        first.sendall(b"x")
        first.recv(1)
        waiting = [self.connect(port) for _ in range(4)]
        wait_for(lambda: proxy.metric("session_rejected_total", reason="queue_full") == 2, "two refused")
        wait_for(lambda: proxy.metric("session_rejected_total", reason="queue_timeout") == 2, "two timed out")
        for client in waiting:
            try:
                self.assertEqual(client.recv(1), b"")
            except ConnectionResetError:
                pass
        first.sendall(b"y")
        self.assertEqual(first.recv(1), b"y")

    def test_few_descriptors_lower_the_limits_and_lose_nobody(self) -> None:
        """With 128: the start says so, 200 clients come, those served are served whole, then all is back."""
        if shutil.which("prlimit") is None:
            self.skipTest("prlimit is not installed")
        proxy, port = self.front(self.peer(echo), prefix=("prlimit", "--nofile=128"))
        self.assertIn("max_connections is lowered", proxy.log())
        first = self.connect(port)
        first.sendall(b"x")
        self.assertEqual(first.recv(1), b"x")
        crowd = [self.connect(port) for _ in range(200)]
        wait_for(lambda: proxy.metric("session_rejected_total", reason="queue_full") > 100, "refusals")
        first.sendall(b"y")
        self.assertEqual(first.recv(1), b"y")
        for client in crowd:
            client.close()
        wait_for(lambda: proxy.metric("session_active") == 1, "only the first session")
        again = self.connect(port)
        again.sendall(b"z")
        self.assertEqual(again.recv(1), b"z")

    def test_thousands_of_connections_leave_nothing_behind(self) -> None:
        """5 000 opened and closed: descriptors, active sessions and the timer wheel return to where they were."""
        proxy, port = self.front(self.peer(echo))
        before = proxy.descriptors()
        for _ in range(50):
            clients = [self.connect(port) for _ in range(100)]
            for client in clients:
                client.sendall(b"x")
            for client in clients:
                self.assertEqual(client.recv(1), b"x")
                client.close()
        wait_for(lambda: proxy.metric("session_active") == 0, "no active session")
        self.assertEqual(proxy.metric("session_total"), 5000)
        self.assertEqual(proxy.metric("session_closed_total"), 5000)
        self.assertEqual(proxy.metric("session_duration_secs_count"), 5000)
        wait_for(lambda: proxy.descriptors() <= before + 1, "the descriptors")


class ProxyProtocolTests(TcpTestCase):
    """Headers in and out."""

    def backend(self) -> tuple[Peer, list[bytes]]:
        """A backend that records the whole stream."""
        got: list[bytes] = []
        return self.peer(lambda connection: got.append(read_all(connection))), got

    def send(self, port: int, *parts: bytes) -> None:
        """Send the parts one by one, then FIN."""
        client = self.connect(port)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            client.sendall(part)
        client.shutdown(socket.SHUT_WR)
        client.recv(1)
        self.name = client.getsockname()

    def test_expected_header_is_taken_off_byte_by_byte(self) -> None:
        """The client's address is the header's; the backend sees the bytes behind it."""
        peer, got = self.backend()
        proxy, port = self.front(peer, keys="proxy_protocol = expect")
        header = encode_v2(("192.0.2.7", 4711), ("198.51.100.1", 443))
        self.send(port, *(header[index : index + 1] for index in range(len(header))), b"payload")
        wait_for(lambda: got == [b"payload"], f"the payload, not {got}")
        wait_for(lambda: bool(proxy.access_lines()), "the line")
        self.assertIn('"client":"192.0.2.7:4711","local":"198.51.100.1:443"', proxy.access_lines()[0])

    def test_header_and_payload_in_one_segment(self) -> None:
        """The bytes behind the header are not lost."""
        peer, got = self.backend()
        _, port = self.front(peer, keys="proxy_protocol = expect")
        self.send(port, encode_v1(("192.0.2.7", 1), ("192.0.2.8", 2)) + b"payload")
        wait_for(lambda: got == [b"payload"], f"the payload, not {got}")

    def test_header_payload_and_fin_before_anything_was_read(self) -> None:
        """The end of the stream is not forgotten, however much came with it."""
        peer, got = self.backend()
        payload = os.urandom(200_000)
        proxy, port = self.front(peer, keys="proxy_protocol = expect\nidle_timeout = 60s")
        proxy.process.send_signal(signal.SIGSTOP)
        client = self.connect(port)
        client.sendall(encode_v1(("192.0.2.7", 1), ("192.0.2.8", 2)) + payload)
        client.shutdown(socket.SHUT_WR)
        proxy.process.send_signal(signal.SIGCONT)
        wait_for(lambda: got == [payload], "the whole payload and its end")

    def test_malformed_missing_and_slow_headers_are_closed_and_counted(self) -> None:
        """Each with its reason; none reaches the backend."""
        peer, got = self.backend()
        keys = "proxy_protocol = expect\nproxy_protocol_timeout = 300ms"
        proxy, port = self.front(peer, keys=keys)
        self.send(port, b"GET / HTTP/1.1\r\n\r\n")
        proxy.wait_closed("client/handshake/protocol")
        slow = self.connect(port)
        slow.sendall(b"PROXY ")
        proxy.wait_closed("client/handshake/timeout")
        self.connect(port).close()
        proxy.wait_closed("client/handshake/fin")
        self.assertEqual(got, [])

    def test_random_bytes_never_end_the_service(self) -> None:
        """200 clients with noise, some of it behind a real signature."""
        peer, _ = self.backend()
        proxy, port = self.front(peer, keys="proxy_protocol = expect\nproxy_protocol_timeout = 300ms")
        signature = b"\r\n\r\n\0\r\nQUIT\n"
        for index in range(200):
            client = socket.create_connection(("127.0.0.1", port), timeout=BUDGET_S)
            client.sendall((signature if index % 2 else b"") + os.urandom(index))
            client.close()
        wait_for(lambda: proxy.metric("session_closed_total") == 200, "all closed")
        self.assertEqual(proxy.metric("session_active"), 0)

    def test_sent_headers_name_the_client(self) -> None:
        """Version 1 and version 2."""
        for mode, version in (("send_v1", 1), ("send_v2", 2)):
            peer, got = self.backend()
            _, port = self.front(peer, keys=f"proxy_protocol = {mode}")
            self.send(port, b"payload")
            wait_for(lambda got=got: bool(got), "the stream")  # type: ignore[misc]
            parsed = parse_header(got[0])
            assert parsed is not None
            header, length = parsed
            self.assertEqual((header.version, header.source, got[0][length:]), (version, self.name, b"payload"))
            self.assertEqual(header.destination, ("127.0.0.1", port))

    def test_relayed_header_is_the_clients_own(self) -> None:
        """Byte for byte, TLVs included."""
        peer, got = self.backend()
        _, port = self.front(peer, keys="proxy_protocol = relay")
        plain = encode_v2(("192.0.2.7", 4711), ("198.51.100.1", 443))
        body = plain[16:] + b"\x02\x00\x03a.b"
        header = plain[:14] + struct.pack("!H", len(body)) + body
        self.send(port, header + b"payload")
        wait_for(lambda: got == [header + b"payload"], f"the stream, not {got}")
        self.assertEqual(len(got), 1)


class SilentBackendTests(TcpTestCase):
    """A backend that takes the connection and says nothing."""

    def test_it_holds_only_its_own_session(self) -> None:
        """Until the idle timeout ends it."""
        proxy, port = self.front(self.peer(silent), keys="idle_timeout = 300ms")
        client = self.connect(port)
        client.sendall(b"anyone?")
        # our FIN meets bytes that the backend never read: its kernel answers with RST, ours says FIN to the client
        self.assertEqual(client.recv(1), b"")
        proxy.wait_closed("proxy/idle/timeout")
