"""The UDP proxy with real sockets and real programs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.integration.support import BUDGET_S, Proxy, ProxyTestCase, free_ports, wait_for


class Echo:
    """A datagram backend; ``answers`` copies of each datagram go back, with a prefix."""

    def __init__(self, prefix: bytes = b"", answers: int = 1) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.prefix = prefix
        self.answers = answers
        self.got: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                data, source = self.socket.recvfrom(65536)
                self.got.append(data)
                for _ in range(self.answers):
                    self.socket.sendto(self.prefix + data, source)
            except OSError:
                if self.socket.fileno() < 0:
                    return

    def close(self) -> None:
        """Stop."""
        # a blocked recvfrom keeps the descriptor until a datagram wakes it
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            self.answers = 0
            port, self.port = self.port, 0
            waker.sendto(b"", ("127.0.0.1", port))
            time.sleep(0.01)
            self.socket.close()
            waker.sendto(b"", ("127.0.0.1", port))


class UdpTestCase(ProxyTestCase):
    """A proxy in front of datagram backends."""

    forked = True

    def echo(self, prefix: bytes = b"", answers: int = 1) -> Echo:
        """A backend."""
        echo = Echo(prefix, answers)
        self.addCleanup(echo.close)
        return echo

    def front(self, backends: str, keys: str = "", more: str = "", interface: str = "127.0.0.1") -> tuple[Proxy, int]:
        """A proxy; ``backends`` are lines of the cluster."""
        port = free_ports(1)[0]
        on = f":interface={interface}" if interface else ""
        config = (
            "[appliance]\naccess_log = access.log\nshutdown_grace = 200ms\nmax_connections = 100\n"
            f"[cluster c]\nbackends =\n{backends}\n[udp front]\nlisten = udp:{port}{on}\ncluster = c\n{keys}\n{more}\n"
        )
        return self.proxy(config), port

    def client(self, port: int, host: str = "127.0.0.1") -> socket.socket:
        """A connected client socket with a time limit."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        client = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(BUDGET_S)
        client.connect((host, port))
        return client

    def ask(self, client: socket.socket, data: bytes) -> bytes:
        """One round trip."""
        client.send(data)
        return client.recv(65536)


class SessionTests(UdpTestCase):
    """Sessions begin, live and end as the Session page says."""

    def test_a_session_for_each_client_with_exact_counters(self) -> None:
        """The ten numbers of the page are what the clients counted."""
        proxy, port = self.front(f"    127.0.0.1:{self.echo(b'12').port}")
        clients = [self.client(port) for _ in range(5)]
        for _ in range(10):
            for client in clients:
                self.assertEqual(self.ask(client, b"hello"), b"12hello")
        numbers = {
            name: proxy.metric(name, kind="udp", listener="front")
            for name in (
                "session_active",
                "session_total",
                "session_rx_bytes_total",
                "session_tx_bytes_total",
                "session_rx_packets_total",
                "session_tx_packets_total",
                "session_rx_errors_total",
                "session_tx_errors_total",
                "session_duration_secs_count",
            )
        }
        self.assertEqual(list(numbers.values()), [5, 5, 350, 250, 50, 50, 0, 0, 0])
        self.assertEqual(proxy.metric("session_packets_dropped_total"), 0)

    def test_idle_sessions_end_within_a_second_and_traffic_either_way_keeps_them(self) -> None:
        """A backend that speaks alone keeps its session; descriptors come back."""
        echo = self.echo()
        proxy, port = self.front(f"    127.0.0.1:{echo.port}", "idle_timeout = 700ms")
        before = proxy.descriptors()
        idle, kept = self.client(port), self.client(port)
        self.ask(idle, b"x")
        started = time.monotonic()
        kept.send(b"y")
        wait_for(lambda: proxy.metric("session_active") == 2, "two sessions")
        while time.monotonic() - started < 1.6:
            kept.send(b"z")
            threading.Event().wait(0.1)
        ended = proxy.closed("proxy/idle/timeout")
        self.assertEqual((ended, proxy.metric("session_active")), (1, 1))
        wait_for(lambda: proxy.metric("session_active") == 0, "the end of the other", 5)
        wait_for(lambda: proxy.descriptors() <= before, "the descriptors")
        durations = [json.loads(line)["duration_s"] for line in proxy.access_lines()]
        self.assertTrue(0.7 <= min(durations) < 1.7, durations)

    def test_replies_alone_keep_a_session(self) -> None:
        """Quilkin's code forgot this direction."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(("127.0.0.1", 0))
        server.settimeout(BUDGET_S)
        proxy, port = self.front(f"    127.0.0.1:{server.getsockname()[1]}", "idle_timeout = 600ms")
        client = self.client(port)
        client.send(b"subscribe")
        _, upstream = server.recvfrom(100)
        for _ in range(12):
            threading.Event().wait(0.1)
            server.sendto(b"tick", upstream)
            self.assertEqual(client.recv(10), b"tick")
        self.assertEqual(proxy.metric("session_active"), 1)

    def test_draining_keeps_live_sessions_both_ways_and_opens_no_new_ones(self) -> None:
        """Until shutdown_grace; then they end with cause shutdown and status 0."""
        echo = self.echo()
        port = free_ports(1)[0]
        proxy = self.proxy(
            "[appliance]\naccess_log = access.log\nshutdown_grace = 2s\nmax_connections = 100\n"
            f"[cluster c]\nbackends = 127.0.0.1:{echo.port}\n"
            f"[udp front]\nlisten = udp:{port}:interface=127.0.0.1\ncluster = c\n"
        )
        old, new = self.client(port), self.client(port)
        self.ask(old, b"x")
        proxy.process.send_signal(signal.SIGTERM)
        wait_for(lambda: proxy.get("/ready")[0] == 503, "draining")
        new.send(b"too late")
        self.assertEqual(self.ask(old, b"still"), b"still")
        self.assertEqual(proxy.metric("session_rejected_total", reason="draining"), 1)
        self.assertEqual(proxy.process.wait(BUDGET_S), 0)
        self.assertIn('"cause":"shutdown"', proxy.access_lines()[0])

    def test_limits_end_or_refuse_sessions(self) -> None:
        """responses, requests, max_lifetime, unanswered_timeout, max_sessions, max_sessions_per_client."""
        echo = self.echo()
        dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # bound, but never answers
        self.addCleanup(dead.close)
        dead.bind(("127.0.0.1", 0))
        for keys, backend, count, reason in (
            ("responses = 2", echo.port, 2, "backend/data/limit"),
            ("requests = 2", dead.getsockname()[1], 2, "client/data/limit"),
            ("max_lifetime = 300ms", echo.port, 1, "proxy/data/timeout"),
            ("unanswered_timeout = 300ms", dead.getsockname()[1], 1, "backend/data/timeout"),
        ):
            proxy, port = self.front(f"    127.0.0.1:{backend}", keys)
            client = self.client(port)
            for _ in range(count):
                client.send(b"x")
                if backend == echo.port:
                    client.recv(10)
            proxy.wait_closed(reason)

    def test_full_means_refuse_or_evict(self) -> None:
        """An established client keeps its session when new ones are refused; the least active goes when told to."""
        echo = self.echo()
        proxy, port = self.front(f"    127.0.0.1:{echo.port}", "max_sessions = 2")
        old, other, new = (self.client(port) for _ in range(3))
        for client in (old, other):
            self.ask(client, b"x")
        new.send(b"x")
        wait_for(lambda: proxy.metric("session_rejected_total", reason="session_limit") == 1, "a refusal")
        self.assertEqual(self.ask(old, b"y"), b"y")
        proxy, port = self.front(f"    127.0.0.1:{echo.port}", "max_sessions = 2\nwhen_full = evict")
        old, other, new = (self.client(port) for _ in range(3))
        for client in (old, other, old, new):
            self.assertEqual(self.ask(client, b"x"), b"x")
        proxy.wait_closed("proxy/data/limit")
        line = json.loads(proxy.access_lines()[0]) if proxy.access_lines() else None
        wait_for(lambda: bool(proxy.access_lines()), "the line")
        line = json.loads(proxy.access_lines()[0])
        self.assertEqual(line["client"], f"127.0.0.1:{other.getsockname()[1]}")
        proxy, port = self.front(f"    127.0.0.1:{echo.port}", "max_sessions_per_client = 1")
        self.ask(self.client(port), b"x")
        self.client(port).send(b"x")
        wait_for(lambda: proxy.metric("session_rejected_total", reason="client_limit") == 1, "a refusal")

    def test_amplification_towards_an_unverified_client_is_bounded(self) -> None:
        """A spoofed source cannot be flooded; a client that speaks again gets everything."""
        echo = self.echo(answers=10)
        proxy, port = self.front(f"    127.0.0.1:{echo.port}", "amplification_limit = 3")
        client = self.client(port)
        client.send(b"x" * 100)
        for _ in range(3):
            self.assertEqual(len(client.recv(200)), 100)
        wait_for(lambda: proxy.metric("session_packets_dropped_total", reason="amplification") == 7, "seven dropped")
        client.send(b"y" * 100)
        for _ in range(10):
            self.assertEqual(len(client.recv(200)), 100)

    def test_a_refusing_backend_ends_the_session_and_another_is_chosen(self) -> None:
        """ICMP port unreachable."""
        closed = free_ports(1)[0]
        echo = self.echo()
        proxy, port = self.front(f"    127.0.0.1:{closed}\n    127.0.0.1:{echo.port}")
        client = self.client(port)
        client.settimeout(0.2)
        for _ in range(20):
            client.send(b"x")
            try:
                self.assertEqual(client.recv(10), b"x")
                break
            except TimeoutError:
                continue
        self.assertLessEqual(proxy.closed("backend/data/rst"), 1)
        self.assertEqual(proxy.metric("session_active"), 1)


class DatagramTests(UdpTestCase):
    """Whole datagrams, right addresses."""

    def test_sizes_from_nothing_to_the_largest(self) -> None:
        """0 and 65 507 bytes pass whole; above max_datagram_size they are dropped and counted, never cut."""
        echo = self.echo()
        _, port = self.front(f"    127.0.0.1:{echo.port}")
        client = self.client(port)
        for size in (0, 1, 1472, 9000, 65507):
            self.assertEqual(self.ask(client, b"x" * size), b"x" * size)
        proxy, port = self.front(f"    127.0.0.1:{echo.port}", "max_datagram_size = 100")
        client = self.client(port)
        client.send(b"x" * 101)
        self.assertEqual(self.ask(client, b"x" * 100), b"x" * 100)
        self.assertEqual(proxy.metric("session_packets_dropped_total", direction="read", reason="too_large"), 1)

    def test_replies_leave_from_the_address_that_was_spoken_to(self) -> None:
        """On wildcard listeners of both families; a connected client would not hear another address."""
        echo = self.echo()
        for interface, hosts in (("", ("127.0.0.1", "127.0.0.2")), ("\\:\\:", ("127.0.0.3", "::1"))):
            if interface and not Path("/proc/net/if_inet6").exists():
                self.skipTest("no IPv6 on this host")
            _, port = self.front(f"    127.0.0.1:{echo.port}", interface=interface)
            for host in hosts:
                self.assertEqual(self.ask(self.client(port, host), b"who"), b"who", host)

    def test_one_client_socket_may_speak_to_two_listeners(self) -> None:
        """Each answer comes from the port that was asked."""
        echo = self.echo()
        first, second = free_ports(2)
        listen = f"udp:{first}:interface=127.0.0.1, udp:{second}:interface=127.0.0.1"
        more = "[filter tail]\nkind = concatenate\non_read = append\nbytes = IQ==\n"
        for keys in ("", "filters = tail"):
            proxy = self.proxy(
                "[appliance]\naccess_log = none\nshutdown_grace = 0\nmax_connections = 100\n"
                f"[cluster c]\nbackends = 127.0.0.1:{echo.port}\n"
                f"[udp u]\nlisten = {listen}\ncluster = c\n{keys}\n{more}"
            )
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(BUDGET_S)
                for port in (first, second, first):
                    client.sendto(b"hi", ("127.0.0.1", port))
                    data, source = client.recvfrom(100)
                    self.assertEqual((data[:2], source[1]), (b"hi", port))
            self.assertEqual(proxy.metric("session_total"), 2)
            self.assertEqual(proxy.stop(), 0)

    def test_ten_thousand_clients_hear_their_own_replies_only(self) -> None:
        """Each payload carries its client's number. (As many as the descriptors allow.)"""
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        count = min(10_000, (hard if hard > 0 else 1 << 20) - 2000)
        echo = self.echo()
        keys = f"max_sessions = {count}\nreceive_buffer = 4MiB\nidle_timeout = 5s"
        proxy, port = self.front(f"    127.0.0.1:{echo.port}", keys)
        before, memory = proxy.descriptors(), proxy.rss_bytes()
        clients = []
        for _ in range(count):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(client.close)
            client.connect(("127.0.0.1", port))
            client.settimeout(BUDGET_S)
            clients.append(client)
        for start in range(0, count, 100):
            batch = clients[start : start + 100]
            for number, client in enumerate(batch, start):
                client.send(b"client %d" % number)
            for number, client in enumerate(batch, start):
                self.assertEqual(client.recv(100), b"client %d" % number)
        self.assertEqual((proxy.metric("session_total"), proxy.metric("session_active")), (count, count))
        self.assertLess(proxy.rss_bytes() - memory, 80 * 2**20)
        self.assertEqual(proxy.metric("session_rx_packets_total"), count)
        wait_for(lambda: proxy.metric("session_active") == 0, "the idle sweep")
        wait_for(lambda: proxy.descriptors() <= before, "the descriptors")
        for client in clients:
            client.close()


class FilterTests(UdpTestCase):
    """Chains."""

    ROUTER = (
        "[filter id]\nkind = capture\nstrategy = suffix\nsize = 3\nremove = yes\nmetadata_key = token\n"
        "[filter router]\nkind = token_router\nmetadata_key = token\n"
    )

    def test_tokens_route_and_wrong_ones_create_no_session(self) -> None:
        """Each token to its server, one to both, none to nobody; a session follows the choice."""
        a, b = self.echo(b"a:"), self.echo(b"b:")
        backends = f"    127.0.0.1:{a.port} token=YWFh token=eHh4\n    127.0.0.1:{b.port} token=YmJi token=eHh4"
        proxy, port = self.front(backends, "filters = id, router", self.ROUTER)
        client = self.client(port)
        client.send(b"lostccc")
        client.send(b"no")
        wait_for(lambda: proxy.metric("session_packets_dropped_total", direction="read") == 2, "two drops")
        self.assertEqual(proxy.metric("session_total"), 0)
        self.assertEqual(self.ask(client, b"helloaaa"), b"a:hello")
        self.assertEqual(self.ask(client, b"hellobbb"), b"b:hello")
        client.send(b"bothxxx")
        self.assertEqual({client.recv(20), client.recv(20)}, {b"a:both", b"b:both"})
        client.send(b"againccc")
        wait_for(lambda: proxy.metric("session_packets_dropped_total", reason="no_match") == 2, "the drop")
        self.assertEqual(proxy.metric("session_total"), 2)
        self.assertEqual(proxy.metric("filter_packets_total", filter="id"), 6)

    def test_without_a_choice_the_cluster_chooses_once_or_all_get_a_copy(self) -> None:
        """Affinity by client; balance_all = yes is Quilkin's fan-out."""
        a, b = self.echo(b"a:"), self.echo(b"b:")
        backends = f"    127.0.0.1:{a.port}\n    127.0.0.1:{b.port}"
        more = "[filter tail]\nkind = concatenate\non_read = append\nbytes = IQ==\n"
        _, port = self.front(backends, "filters = tail", more)
        client = self.client(port)
        self.assertEqual(len({self.ask(client, b"hi") for _ in range(6)}), 1)
        _, port = self.front(backends, "filters = tail\nbalance_all = yes", more)
        client = self.client(port)
        client.send(b"hi")
        self.assertEqual({client.recv(20), client.recv(20)}, {b"a:hi!", b"b:hi!"})

    def test_the_write_side_sees_what_the_read_side_captured(self) -> None:
        """Metadata belongs to the session."""
        echo = self.echo()
        more = self.ROUTER.partition("[filter router]")[0] + (
            "[filter out]\nkind = match\nmetadata_key = token\non_write = yes pass\nfallthrough = drop\n"
        )
        proxy, port = self.front(f"    127.0.0.1:{echo.port}", "filters = id, out", more)
        client = self.client(port)
        self.assertEqual(self.ask(client, b"helloyes"), b"hello")
        self.assertEqual(proxy.metric("filter_figures_total", filter="out", figure="matched"), 1)
        self.client(port).send(b"hellonay")
        wait_for(lambda: proxy.metric("session_packets_dropped_total", direction="write") == 1, "the drop")

    def test_random_datagrams_never_end_the_service(self) -> None:
        """500 of them through a long chain; then an honest one."""
        echo = self.echo()
        more = self.ROUTER + (
            "[filter open]\nkind = firewall\non_read = allow any\n"
            "[filter slow]\nkind = rate_limit\nmax_packets = 100000\n"
            "[filter unpack]\nkind = compress\non_read = decompress\n"
        )
        backends = f"    127.0.0.1:{echo.port} token=YWFh"
        proxy, port = self.front(backends, "filters = open, slow, id, unpack, router, timestamp", more)
        client = self.client(port)
        for size in range(500):
            client.send(os.urandom(size))
            if not size % 25:  # so that no datagram is lost before the proxy sees it
                self.assertEqual(self.ask(client, b"\x05\x10hello" + b"aaa"), b"hello")
        wait_for(lambda: proxy.metric("session_packets_dropped_total", direction="read") > 400, "drops")
        self.assertEqual(self.ask(client, b"\x05\x10hello" + b"aaa"), b"hello")

    def test_bad_filters_are_configuration_errors(self) -> None:
        """All of them, with section and key."""
        from netappliance.config.kinds import section_kinds
        from netappliance.config.loader import load
        from netappliance.errors import ConfigErrors

        text = (
            "[cluster c]\nbackends = unix:/x\n[udp u]\nlisten = udp:1\ncluster = c\n"
            "filters = idd, concatenate, odd\n[filter id]\nkind = capture\nsize = 1\n[filter odd]\nkind = capture\n"
        )
        errors = str(self.assertRaises(ConfigErrors, load, text, "f", section_kinds()))
        self.assertIn("[cluster c] backends: [udp u] sends datagrams", errors)
        self.assertIn("idd is no filter that can be used; did you mean 'id'?", errors)
        self.assertIn("kind = concatenate needs bytes", errors)
        self.assertIn("size: strategy = suffix needs one above 0", errors)


FLOOD = """
import socket, struct, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
destination = socket.inet_aton("127.0.0.1")
for number in range(count):
    source = struct.pack("!I", 0x0A000001 + number * 7)
    udp = struct.pack("!HHHH", 1024 + number % 60000, port, 8 + 5, 0) + b"flood"
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, destination)
    try:
        raw.sendto(head + udp, ("127.0.0.1", 0))
    except BlockingIOError:
        pass
"""


class FloodTests(UdpTestCase):
    """Forged sources, in a network namespace of its own."""

    def test_fifty_thousand_forged_sources_are_bounded_and_cost_an_established_client_nothing(self) -> None:
        """Memory and descriptors stay within the caps; the client's round trips go on."""
        if os.geteuid() or shutil.which("unshare") is None or shutil.which("ip") is None:
            self.skipTest("needs root, unshare and ip")
        script = Path(__file__).with_name("flood_in_namespace.py")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "FLOOD": FLOOD}
        command = ["unshare", "--net", "sh", "-c", f"ip link set lo up && exec {sys.executable} {script}"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        numbers = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(numbers["lost"], 0, numbers)
        self.assertEqual(numbers["active"], 500, numbers)
        self.assertGreater(numbers["refused"], 20_000, numbers)
        self.assertLess(numbers["descriptors"], 600, numbers)
        self.assertLess(numbers["grown_mib"], 20, numbers)


class QuicTests(UdpTestCase):
    """A protocol that notices every wrong datagram."""

    def test_a_quic_client_and_server_move_ten_mebibytes(self) -> None:
        """aioquic on both ends, bit for bit."""
        try:
            import aioquic  # noqa: F401
        except ImportError:
            self.skipTest("aioquic is not installed")
        back = free_ports(1)[0]
        _, port = self.front(f"    127.0.0.1:{back}", "receive_buffer = 4MiB")
        script = Path(__file__).with_name("quic_transfer.py")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, str(script), str(back), str(port), str(10 * 2**20)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "same"), done.stdout + done.stderr)


class ProgramTests(UdpTestCase):
    """Real programs."""

    def test_iperf3_over_udp_and_tcp_on_one_port(self) -> None:
        """Its control connection is TCP, its data are datagrams; no session is lost."""
        if shutil.which("iperf3") is None:
            self.skipTest("iperf3 is not installed")
        back, front = free_ports(1)[0], free_ports(1)[0]
        server = subprocess.Popen(["iperf3", "-s", "-1", "-p", str(back)], stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.proxy(
            f"[cluster c]\nbackends = 127.0.0.1:{back}\n"
            f"[tcp t]\nlisten = tcp:{front}:interface=127.0.0.1\ncluster = c\n"
            f"[udp u]\nlisten = udp:{front}:interface=127.0.0.1\ncluster = c\n"
        )

        def run() -> dict[str, object]:
            command = ["iperf3", "-c", "127.0.0.1", "-p", str(front), "-u", "-b", "50M", "-t", "1", "-J"]
            answer: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
            return answer

        wait_for(lambda: Path(f"/proc/{server.pid}").exists(), "the server")
        time.sleep(0.3)
        answer = run()
        self.assertNotIn("error", answer)
        total = answer["end"]["sum"]  # type: ignore[index]
        self.assertGreater(total["packets"], 100)
        self.assertLess(total["lost_percent"], 5)

    def test_dig_gets_its_answer(self) -> None:
        """A DNS server of Twisted's behind the proxy."""
        if shutil.which("dig") is None:
            self.skipTest("dig is not installed")
        answer = bytes.fromhex(
            "8180000100010000000003777777076578616d706c6503636f6d0000010001c00c000100010000003c0004c0000207"
        )
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            query, source = server.recvfrom(512)
            server.sendto(query[:2] + answer, source)

        threading.Thread(target=serve, daemon=True).start()
        _, port = self.front(f"    127.0.0.1:{server.getsockname()[1]}", "responses = 1")
        command = ["dig", "+short", "+noedns", "+tries=1", "+time=5", "-p", str(port), "@127.0.0.1", "www.example.com"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUDGET_S, check=False)
        self.assertEqual(done.stdout.strip(), "192.0.2.7", done.stdout + done.stderr)
