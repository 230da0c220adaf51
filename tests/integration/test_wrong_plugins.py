"""Plug-ins that hand in wrong types, in a real process: each costs what it touches, the process goes on."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from tempfile import mkdtemp

from tests.integration.http_support import HttpProxyTestCase, get
from tests.integration.support import BUDGET_S, echo, free_ports, read_all

PLUGINS = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from netappliance.interfaces import IBalancer, IBalancerFactory, IConnectionObserver

@implementer(IPlugin, IConnectionObserver)
class Observer:
    name = "wrong_observer"
    def session_opened(self, session):
        return 7
    def session_closed(self, session):
        session.id = "no number" + session

@implementer(IBalancer)
class Balancer:
    needs_key = False
    def set_members(self, members):
        pass
    def choose(self, backends, key, now):
        return backends[0].id

@implementer(IPlugin, IBalancerFactory)
class Factory:
    name = "wrong_balancer"
    def make(self, rng):
        return Balancer()

observer, factory = Observer(), Factory()
"""

FILTERS = """
class Requests:
    def request(self, exchange):
        target = exchange.request.target
        if target == b"/lines":
            exchange.request.lines = ("A: b",)
        if target == b"/target":
            exchange.request.target = "/text"
        return {"status": 403} if target == b"/answer" else None
    def response(self, exchange, response):
        if exchange.request.target == b"/response":
            response.lines = None
    def figures(self):
        return ["none"]

class Datagrams:
    def read(self, datagram):
        if datagram.payload == b"text":
            datagram.payload = "text"
        return True if datagram.payload == b"true" else None
    def write(self, datagram):
        return None
    def figures(self):
        return ["none"]
"""

CONFIG = """
[appliance]
observers = wrong_observer
access_log = access.log
shutdown_grace = 1s
[cluster right]
backends = 127.0.0.1:{tcp}
[cluster wrong]
backends = 127.0.0.1:{tcp}
balance = wrong_balancer
[cluster web]
backends = 127.0.0.1:{web}
[cluster game]
backends = 127.0.0.1:{udp}
[tcp right]
listen = tcp:{ports[0]}:interface=127.0.0.1
cluster = right
[tcp wrong]
listen = tcp:{ports[1]}:interface=127.0.0.1
cluster = wrong
[http front]
listen = tcp:{ports[2]}:interface=127.0.0.1
[route all]
cluster = web
filters = requests
[route wrong]
path = /wrong
cluster = wrong
[udp game]
listen = udp:{ports[3]}:interface=127.0.0.1
cluster = game
filters = datagrams
[udp wrong]
listen = udp:{ports[4]}:interface=127.0.0.1
cluster = wrong
[filter requests]
kind = python
class = wrong_filters:Requests
[filter datagrams]
kind = python
class = wrong_filters:Datagrams
"""


class WrongPluginTests(HttpProxyTestCase):
    """Each wrong thing twice, then a right one, on every kind of traffic."""

    forked = False  # the path is that of a new process

    def setUp(self) -> None:
        folder = Path(mkdtemp())
        package = folder / "netappliance" / "plugins"
        package.mkdir(parents=True)
        (package / "wrong_plugins.py").write_text(PLUGINS)
        (folder / "wrong_filters.py").write_text(FILTERS)
        sys.path.append(str(folder))
        self.addCleanup(sys.path.remove, str(folder))

    def test_the_process_goes_on(self) -> None:
        """Errors name the plug-in and what it handed in; all are counted; what is right is served."""
        datagrams = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(datagrams.close)
        datagrams.bind(("127.0.0.1", 0))
        datagrams.settimeout(BUDGET_S)
        self.ports = free_ports(5)
        backends = {"tcp": self.peer(echo).port, "web": self.backend().port, "udp": datagrams.getsockname()[1]}
        config = CONFIG.format(ports=self.ports, **backends)
        self.expected_tracebacks = 9
        proxy = self.proxy(config)
        for _ in range(2):
            for target, status in (
                ("/lines", 500),
                ("/target", 500),
                ("/answer", 500),
                ("/response", 500),
                ("/wrong", 500),
                ("/", 200),
            ):
                answer = self.client(self.ports[2]).ask(get(target))
                self.assertEqual(answer.status, status, target)
            self.assertEqual(self.talk(1), b"")
            self.assertEqual(self.talk(0), b"hello")
            self.send(3, b"text", b"true", b"right")
            self.assertEqual(datagrams.recv(100), b"right")
            self.send(4, b"lost")
        self.assertEqual(proxy.metric("session_closed_total", listener="wrong", cause="internal"), 2)
        self.assertGreaterEqual(proxy.metric("observer_errors_total", observer="wrong_observer"), 18)
        # figures that are none are an error each time that somebody asks
        self.assertGreater(proxy.metric("http_filter_errors_total", filter="requests"), 8)
        self.assertGreater(proxy.metric("filter_errors_total", filter="datagrams"), 4)
        for text in (
            "connection observer wrong_observer raised",
            "session_opened returned int, not a text or None",
            "balance = wrong_balancer chose str, not a Backend",
            "filter requests raised; .* made the field lines a tuple|filter requests raised; .* list .* got tuple",
            "filter datagrams raised; .* left str as payload|filter datagrams raised; .* bytes .* got str",
        ):
            self.assertRegex(proxy.log(), f"(?s){text}")

    def talk(self, number: int) -> bytes:
        """What comes back over TCP; nothing when it is cut."""
        client = self.connect(self.ports[number])
        try:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            return read_all(client)
        except ConnectionError:
            return b""

    def send(self, number: int, *payloads: bytes) -> None:
        """Datagrams of one client."""
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            for payload in payloads:
                client.sendto(payload, ("127.0.0.1", self.ports[number]))
