"""[admin] and [demo] on real sockets of this host."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from shutil import rmtree
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netappliance.admin.section import AdminSection
from netappliance.admin.service import AdminService
from netappliance.config import values
from netappliance.demo.section import DemoSection
from netappliance.demo.service import DemoService
from netappliance.errors import StartError
from tests.admin.test_collector import FakeAppliance


class FakeConfiguration:
    """A configuration with a secret."""

    def text(self) -> str:
        return "[cluster game]\nbackends = 127.0.0.1:1 token=c2VjcmV0\n"


def fetch(port: int, path: str) -> tuple[int, bytes]:
    """GET from loopback; blocking."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class AdminTests(TestCase):
    """The pages over TCP and a unix socket."""

    timeout = 30

    def make(self, listen: str, **changes: Any) -> AdminService:
        appliance = FakeAppliance()
        self.status = appliance.status
        self.status.ready = False
        section = AdminSection(listen=values.stream_endpoints(listen), **changes)
        configuration: Any = FakeConfiguration()
        return AdminService(section, appliance.registry(), self.status.obstacle, configuration, {}, reactor)

    async def test_pages(self) -> None:
        """Live from the start, ready when the appliance is, metrics and the configuration without its secret."""
        port = free_port()
        service = self.make(f"tcp:{port}:interface=127.0.0.1")
        service.privilegedStartService()
        service.startService()
        try:
            self.assertEqual(await deferToThread(fetch, port, "/live"), (200, b"live\n"))
            self.assertEqual(await deferToThread(fetch, port, "/ready"), (503, b"503 starting\n"))
            self.status.ready = True
            self.assertEqual(await deferToThread(fetch, port, "/ready"), (200, b"ready\n"))
            self.status.draining = True
            self.assertEqual(await deferToThread(fetch, port, "/ready"), (503, b"503 draining\n"))
            _, metrics = await deferToThread(fetch, port, "/metrics")
            self.assertIn(b"netappliance_build_info", metrics)
            _, configuration = await deferToThread(fetch, port, "/config")
            self.assertIn(b"127.0.0.1:1 token=(hidden)", configuration)
            self.assertEqual((await deferToThread(fetch, port, "/nope"))[0], 404)
        finally:
            await service.stopService()

    async def test_a_busy_port_is_an_error_at_start(self) -> None:
        """The message has section and address."""
        with socket.create_server(("127.0.0.1", 0)) as busy:
            service = self.make(f"tcp:{busy.getsockname()[1]}:interface=127.0.0.1")
            error = self.assertRaises(StartError, service.privilegedStartService)
            self.assertRegex(str(error), r"\[admin\] cannot listen on tcp:\d+:interface=127.0.0.1: .*in use")
        await service.stopService()

    async def test_a_unix_socket_goes_with_the_service(self) -> None:
        """The socket has the mode that was asked for and is gone after the stop."""
        folder = Path(tempfile.mkdtemp(prefix="admin"))
        self.addCleanup(rmtree, folder)
        path = folder / "admin.sock"
        service = self.make(f"unix:{path}:mode=600")
        service.privilegedStartService()
        service.startService()
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        await service.stopService()
        self.assertFalse(path.exists())

    async def test_a_doubtful_token_file_stops_the_start(self) -> None:
        """Before anything listens."""
        service = self.make(f"tcp:{free_port()}:interface=127.0.0.1", token_file="/nowhere/token")
        self.assertRaises(StartError, service.privilegedStartService)
        self.assertIsNone(service.listeners[0].port)
        await service.stopService()


class DemoTests(TestCase):
    """The demo backends on loopback."""

    timeout = 30

    async def test_all_backends_answer(self) -> None:
        """HTTP on both ports, TCP and UDP echo."""
        ports = [free_port(), free_port(), free_port(), free_port(socket.SOCK_DGRAM)]
        section = DemoSection(
            http=values.stream_endpoints(f"tcp:{ports[0]}:interface=127.0.0.1, tcp:{ports[1]}:interface=127.0.0.1"),
            tcp_echo=values.stream_endpoints(f"tcp:{ports[2]}:interface=127.0.0.1"),
            udp_echo=values.datagram_endpoints(f"udp:{ports[3]}:interface=127.0.0.1"),
        )
        service = DemoService(section, reactor)
        service.privilegedStartService()
        service.startService()
        try:
            for port in ports[:2]:
                _, body = await deferToThread(fetch, port, "/")
                self.assertIn(b":%d" % port, body)
            status, body = await deferToThread(fetch, ports[0], "/bytes/3000000")
            self.assertEqual((status, len(body)), (200, 3_000_000))
            self.assertEqual(await deferToThread(tcp_round_trip, ports[2]), b"x" * 1_000_000)
            self.assertEqual(await deferToThread(udp_round_trip, ports[3]), b"hello")
        finally:
            await service.stopService()

    async def test_a_busy_udp_port_is_an_error_at_start(self) -> None:
        """Also for datagrams."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
            busy.bind(("127.0.0.1", 0))
            text = f"udp:{busy.getsockname()[1]}:interface=127.0.0.1"
            service = DemoService(DemoSection(http=(), tcp_echo=(), udp_echo=values.datagram_endpoints(text)), reactor)
            error = self.assertRaises(StartError, service.privilegedStartService)
            self.assertIn(text, str(error))
        await service.stopService()


def tcp_round_trip(port: int) -> bytes:
    """Send a megabyte and read it back; blocking."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        received = b""
        sent = 0
        while len(received) < 1_000_000:
            if sent < 1_000_000:
                sock.sendall(b"x" * 50_000)
                sent += 50_000
            received += sock.recv(1 << 20)
        return received


def udp_round_trip(port: int) -> bytes:
    """Send one datagram and wait for one; blocking."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.sendto(b"hello", ("127.0.0.1", port))
        return sock.recv(100)
