"""The tracker against the kernel's own tables, in network namespaces."""

from __future__ import annotations

import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import Counter

from tests.integration.namespace import NamespaceTestCase, run, sysctl
from tests.integration.support import Proxy, echo, wait_for

CONFIG = "[tracker]\nsource = conntrack\nenable = yes\nignore =\nreconcile = 1h\n"
#: conntrack's word -> index in the order of the gauges
GAUGE = {
    **dict.fromkeys(("SYN_SENT", "SYN_RECV", "SYN_SENT2"), "opening"),
    "ESTABLISHED": "open",
    **dict.fromkeys(("FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"), "closing"),
    "CLOSE": "closed",
}
SHORT = 20_000


def kernel_counts(port: int) -> Counter[tuple[str, str]]:
    """Return what ``conntrack -L`` lists: (host, gauge) -> connections to that port."""
    found: Counter[tuple[str, str]] = Counter()
    for family in ("ipv4", "ipv6"):
        for line in run("conntrack", "-L", "-p", "tcp", "-f", family).splitlines():
            match = re.match(rf"tcp +6 \d+ (\w+) src=\S+ dst=(\S+) sport=\d+ dport={port} ", line)
            if match:
                host = f"[{match[2]}]:{port}" if ":" in match[2] else f"{match[2]}:{port}"
                found[host, GAUGE[match[1]]] += 1
    return found


def our_counts(proxy: Proxy, port: int) -> Counter[tuple[str, str]]:
    """Return the same of the tracker's gauges."""
    found: Counter[tuple[str, str]] = Counter()
    text = proxy.get("/metrics")[1]
    for gauge, host, count in re.findall(r'^conntrack_(\w+)_connections\{host="(.*)"\} (\S+)$', text, re.MULTILINE):
        if host.endswith(f":{port}") and float(count):
            found[host, gauge] = int(float(count))
    return found


class CountTests(NamespaceTestCase):
    """Numbers equal the kernel's."""

    def totals(self, proxy: Proxy, name: str, **labels: str) -> int:
        """Return a sum over the group of the test."""
        return int(proxy.metric(f"tracker_{name}", group="test", **labels))

    def lost(self, proxy: Proxy) -> int:
        """Return how many events the kernel dropped."""
        return int(proxy.metric("tracker_events_lost_total"))

    def tracker(self, port: int, more: str = "") -> Proxy:
        """Start a tracker with a group of that port."""
        return self.proxy(f"{CONFIG}groups = test = 0.0.0.0/0, [::/0]:{port}\n{more}")

    def test_counts_by_state_and_host_equal_conntracks(self) -> None:
        """Open, closing by either side, reset, half open and refused, of both families; and ss sees the open ones."""
        peer = self.peer(echo)
        wide = socket.create_server(("::1", peer.port), family=socket.AF_INET6)
        self.addCleanup(wide.close)
        early = self.connect(peer.port)  # not tracked before the tracker's rule is there
        proxy = self.tracker(peer.port)
        early.sendall(b"x")
        early.recv(1)
        clients = [self.connect(peer.port) for _ in range(9)]
        for client in clients:
            client.sendall(b"x")
            client.recv(1)
        for client in clients[:2]:
            client.close()
        clients[2].shutdown(socket.SHUT_WR)
        clients[3].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        clients[3].close()
        sixth = [socket.create_connection(("::1", peer.port), timeout=5) for _ in range(3)]
        for client in sixth:
            self.addCleanup(client.close)
        wait_for(lambda: our_counts(proxy, peer.port) == kernel_counts(peer.port), "equal counts")
        counts = our_counts(proxy, peer.port)
        listed = run("ss", "-Htn", "state", "established", f"( dport = :{peer.port} )").splitlines()
        self.assertEqual(counts[f"127.0.0.1:{peer.port}", "open"] + counts[f"[::1]:{peer.port}", "open"], len(listed))
        self.assertEqual(counts[f"127.0.0.1:{peer.port}", "closed"], 1)
        self.assertEqual(counts[f"[::1]:{peer.port}", "open"], 3)
        self.assertEqual(proxy.metric("tracker_malformed_total"), 0)

    def test_short_connections_are_all_counted(self) -> None:
        """Opened and closed in milliseconds: none is missed, or the kernel said how many events were."""
        peer = self.peer(lambda connection: None)
        proxy = self.tracker(peer.port)
        for _ in range(SHORT):
            socket.create_connection(("127.0.0.1", peer.port)).close()
        wait_for(lambda: self.totals(proxy, "closed_total") >= SHORT - self.lost(proxy), "the end of all")
        figures = [self.totals(proxy, name) for name in ("opened_total", "established_total", "closed_total")]
        if lost := self.lost(proxy):
            self.assertTrue(all(SHORT - lost <= each <= SHORT for each in figures), (figures, lost))
        else:
            self.assertEqual(figures, [SHORT] * 3)
            self.assertEqual(proxy.metric("tracker_duration_secs_count", group="test"), SHORT)
        wait_for(lambda: our_counts(proxy, peer.port) == kernel_counts(peer.port), "equal gauges")

    def test_lost_events_are_counted_and_repaired(self) -> None:
        """A tracker that was stopped while thousands of connections came and went is right again soon after."""
        sysctl("nf_conntrack_tcp_timeout_time_wait", 1)
        peer = self.peer(lambda connection: None)
        proxy = self.tracker(peer.port, "receive_buffer = 64KiB\n")
        stay = [self.connect(peer.port) for _ in range(3)]
        proxy.process.send_signal(signal.SIGSTOP)
        for _ in range(1000):
            socket.create_connection(("127.0.0.1", peer.port)).close()
        stay[0].close()
        proxy.process.send_signal(signal.SIGCONT)
        wait_for(lambda: proxy.metric("tracker_events_lost_total") > 0, "loss")
        wait_for(lambda: proxy.metric("tracker_dumps_total") > 1, "a dump")
        wait_for(lambda: our_counts(proxy, peer.port) == kernel_counts(peer.port), "equal gauges")
        opened, adopted = self.totals(proxy, "opened_total"), proxy.metric("tracker_adopted_total")
        self.assertLess(opened, 1003)
        alive = self.totals(proxy, "connections", state="open") + self.totals(proxy, "connections", state="opening")
        self.assertLessEqual(opened - self.totals(proxy, "closed_total"), alive + adopted)

    def test_other_protocols_and_zones(self) -> None:
        """Datagrams, answered or not, echo requests; equal tuples in two zones are two connections."""
        proxy = self.tracker(9)
        with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
            server.bind(("127.0.0.1", 0))
            server.settimeout(5)
            client.sendto(b"x", server.getsockname())
            server.sendto(b"y", server.recvfrom(9)[1])
            client.sendto(b"x", ("127.0.0.1", 9))
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.sendto(bytes((8, 0, 0xF7, 0xFD, 0, 1, 0, 1)), ("127.0.0.1", 0))

        def figures() -> list[float]:
            names = ("opened_total", "established_total")
            return [proxy.metric(f"tracker_{name}", protocol=each) for each in ("udp", "icmp") for name in names]

        wait_for(lambda: figures() == [2, 1, 1, 1], "datagrams and echo")
        tuple_ = ("-p", "udp", "-s", "10.1.1.1", "-d", "10.1.1.2", "--sport", "5", "--dport", "6", "-t", "60", "-u")
        for zone in ("0", "7"):
            run("conntrack", "-I", *tuple_, "SEEN_REPLY", "-w", zone)
        wait_for(lambda: figures() == [4, 1, 1, 1], "both zones")

    def test_traffic_is_the_kernels(self) -> None:
        """Packets and bytes each way of connections that ended, where the kernel counts them."""
        sysctl("nf_conntrack_acct", 1)
        sysctl("nf_conntrack_udp_timeout", 1)
        proxy = self.tracker(9)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            for _ in range(3):
                client.sendto(b"12345", ("127.0.0.1", 9))
        time.sleep(1.1)
        run("conntrack", "-D", "-p", "udp", "--dport", "9") if "dport=9" in run("conntrack", "-L", "-p", "udp") else ""
        wait_for(lambda: self.totals(proxy, "closed_total", protocol="udp") == 1, "the end")
        self.assertEqual(self.totals(proxy, "packets_total", way="original"), 3)
        self.assertEqual(self.totals(proxy, "bytes_total", way="original"), 3 * (28 + 5))
        self.assertEqual(self.totals(proxy, "closed_total", how="unanswered", protocol="udp"), 1)


class KernelTests(NamespaceTestCase):
    """What the tracker does to the kernel: nothing but its rule."""

    def rules(self) -> str:
        """Return the ruleset."""
        return run("nft", "list", "ruleset")

    def test_the_rule_goes_with_the_appliance(self) -> None:
        """At the end, and after it was killed."""
        proxy = self.proxy(CONFIG)
        self.assertIn("table inet netappliance", self.rules())
        proxy.stop()
        self.assertEqual(self.rules(), "")
        killed = Proxy(CONFIG)
        self.addCleanup(killed.destroy)
        killed.wait_ready()
        killed.process.kill()
        killed.process.wait()
        wait_for(lambda: not self.rules(), "no rule")
        self.proxy(CONFIG)
        self.assertIn("table inet netappliance", self.rules())

    def test_without_a_rule_it_says_that_the_kernel_tracks_nothing(self) -> None:
        """In the log and as a metric; when a rule comes, too."""
        proxy = self.proxy(CONFIG.replace("enable = yes", "enable = no"))
        self.assertIn("the kernel tracks no connection", proxy.log())
        self.assertEqual((proxy.metric("tracker_tracking"), proxy.metric("tracker_up")), (0, 1))
        run("nft", "add table inet t; add chain inet t c; add rule inet t c ct state new")
        wait_for(lambda: proxy.metric("tracker_tracking") == 1, "tracking", 15)

    def test_a_translated_connection_survives_start_and_stop(self) -> None:
        """The original exporter flushes the kernel's table when it starts; then this connection would hang."""
        peer = self.peer(echo)
        run("ip", "address", "add", "10.9.9.1/24", "dev", "lo")
        run("nft", "add table ip n; add chain ip n out { type nat hook output priority -100; }")
        run("nft", f"add rule ip n out ip daddr 10.9.9.9 tcp dport 80 dnat to 10.9.9.1:{peer.port}")
        server = socket.create_server(("10.9.9.1", peer.port))
        self.addCleanup(server.close)
        client = socket.create_connection(("10.9.9.9", 80), timeout=5)
        self.addCleanup(client.close)
        accepted = server.accept()[0]
        self.addCleanup(accepted.close)
        before = [line for line in run("conntrack", "-L").splitlines() if "dst=10.9.9.9" in line]
        run("nft", "add table inet keep; add chain inet keep c; add rule inet keep c ct state new")
        run("nft", "flush chain ip n out")  # the mapping is now only in the kernel's table
        proxy = self.proxy(CONFIG)
        wait_for(lambda: our_counts(proxy, 80)["10.9.9.9:80", "open"] == 1, "the connection")
        for act in (lambda: None, proxy.stop):
            act()
            client.sendall(b"hello")
            accepted.settimeout(5)
            self.assertEqual(accepted.recv(9), b"hello")
        after = [line for line in run("conntrack", "-L").splitlines() if "dst=10.9.9.9" in line]
        self.assertEqual((len(before), len(after)), (1, 1))


class RightsTests(NamespaceTestCase):
    """Without CAP_NET_ADMIN."""

    programs = (*NamespaceTestCase.programs, "setpriv")
    prefix = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")

    def test_it_starts_and_says_what_it_cannot_see(self) -> None:
        """No connections, no rule, and the pages are served."""
        proxy = self.proxy(CONFIG, self.prefix)
        self.assertEqual(proxy.metric("tracker_up"), 0)
        log = proxy.log()
        self.assertIn("cannot see the connections of this host", log)
        self.assertIn("cannot make the kernel track connections: Operation not permitted", log)

    def test_auto_shows_what_it_can(self) -> None:
        """This host's sockets."""
        peer = self.peer(echo)
        client = self.connect(peer.port)
        proxy = self.proxy(CONFIG.replace("conntrack", "auto"), self.prefix)
        wait_for(lambda: our_counts(proxy, peer.port)[f"127.0.0.1:{peer.port}", "open"] == 1, "the socket")
        client.close()


class EventLogTests(NamespaceTestCase):
    """The log of events."""

    def test_the_text_is_conntracks(self) -> None:
        """Line for line, of TCP and UDP, over both families, with marks."""
        run("nft", "add table inet m; add chain inet m out { type filter hook output priority 0; }")
        run("nft", "add rule inet m out ct mark set 7")
        sysctl("nf_conntrack_acct", 1)
        peer = self.peer(echo)
        proxy = self.proxy(f"{CONFIG}event_log = events\nevent_log_format = netfilter\n")
        with subprocess.Popen(("conntrack", "-E"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as watch:
            lines: list[str] = []
            reader = threading.Thread(target=lambda: lines.extend(map(bytes.decode, watch.stdout or ())), daemon=True)
            reader.start()
            with socket.socket(type=socket.SOCK_DGRAM) as probe:

                def watching() -> bool:
                    probe.sendto(b"x", ("127.0.0.1", 9))
                    run("conntrack", "-D", "-p", "udp", "--dport", "9")
                    return bool(lines)

                wait_for(watching, "conntrack -E")
            client = self.connect(peer.port)
            client.sendall(b"x")
            client.recv(1)
            client.close()
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("::1", peer.port), timeout=5)
            ours = proxy.folder / "events"

            def relevant(text: list[str]) -> list[str]:
                return [line.rstrip() for line in text if f"dport={peer.port} " in line]

            wait_for(lambda: any("TIME_WAIT" in line for line in relevant(lines)), "the end")
            wait_for(lambda: relevant(ours.read_text().splitlines()) == relevant(lines), "the same lines")
            watch.terminate()
        self.assertGreater(len(relevant(lines)), 7)
        self.assertTrue(any("::1" in line for line in relevant(lines)))
