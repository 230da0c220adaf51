"""Probes on a reactor without a network, and datagrams between two sockets of this process."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.health.http_answer import CheckFailed
from netappliance.clusters.health.probes import HttpCheck, TcpCheck, UdpCheck, judge_prefix

FOUR, SIX = ("10.0.0.1", 80), ("2001:db8::1", 8080)


class Transport(StringTransport):
    """One that remembers how it was ended."""

    aborted = False

    def abortConnection(self) -> None:
        """Called for broken off checks."""
        self.aborted = True


class ConnectionTests(SynchronousTestCase):
    """The connection of a check."""

    def begin(self, check: Any, options: dict[str, str], family: int = socket.AF_INET, sockaddr: Any = FOUR) -> None:
        """Ask, and be connected."""
        self.reactor = MemoryReactorClock()
        self.probe: Deferred[None] = check.probe(family, sockaddr, check.configure(options), self.reactor, 5.0)
        clients = self.reactor.unixClients if family == socket.AF_UNIX else self.reactor.tcpClients
        self.client: Any
        (self.client,) = clients
        factory = self.client[1] if family == socket.AF_UNIX else self.client[2]
        self.transport = Transport()
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def why(self) -> str:
        """What the check failed for; its connection is broken off."""
        self.assertTrue(self.transport.aborted)
        return str(self.failureResultOf(self.probe, CheckFailed).value)

    def test_a_check_leaves_no_line_in_the_log(self) -> None:
        """With hundreds of backends there would be nothing else in it."""
        reactor = MemoryReactorClock()
        check = HttpCheck()
        probe = check.probe(socket.AF_INET, FOUR, check.configure({"uri": "/"}), reactor, 5.0)
        ((_, _, factory, _, _),) = reactor.tcpClients
        with capturedLogs() as lines:
            factory.doStart()
            factory.doStop()
        self.assertEqual(lines, [])
        probe.cancel()
        self.failureResultOf(probe)

    def test_where_it_connects_to(self) -> None:
        """By family, with the check's timeout."""
        self.begin(TcpCheck(), {})
        self.assertEqual((self.client[:2], self.client[3]), (FOUR, 5.0))
        self.begin(TcpCheck(), {}, socket.AF_INET6, (*SIX, 0, 0))
        self.assertEqual((self.client[:2], self.client[3]), (SIX, 5.0))
        self.begin(TcpCheck(), {}, socket.AF_UNIX, "/run/x")
        self.assertEqual((self.client[0], self.client[2]), ("/run/x", 5.0))

    def test_an_accepted_connection_is_well_when_nothing_is_expected(self) -> None:
        """The line is said all the same."""
        for options, said in (({}, b""), ({"send": "aGk="}, b"hi")):
            self.begin(TcpCheck(), options)
            self.assertIsNone(self.successResultOf(self.probe))
            self.assertEqual(self.transport.value(), said)
            self.assertTrue(self.transport.disconnecting)
            self.assertFalse(self.transport.aborted)

    def test_the_answer_may_come_in_pieces(self) -> None:
        """What follows the end of a check counts for nothing."""
        self.begin(TcpCheck(), {"expect": "UE9ORw=="})
        self.protocol.dataReceived(b"PO")
        self.assertNoResult(self.probe)
        self.protocol.dataReceived(b"NG")
        self.assertIsNone(self.successResultOf(self.probe))
        self.protocol.dataReceived(b"XX")
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def test_what_it_fails_for(self) -> None:
        """In words for the log."""
        self.begin(TcpCheck(), {"expect": "UE9ORw=="})
        self.protocol.dataReceived(b"x" * 40)
        self.assertEqual(self.why(), f"the answer begins with {b'x' * 32!r}")
        self.begin(HttpCheck(), {"uri": "/"})
        self.protocol.dataReceived(b"HTTP/1.1 503 Busy\r\n")
        self.assertEqual(self.why(), "the status is 503")
        self.begin(HttpCheck(), {"uri": "/"})
        self.protocol.dataReceived(b"SSH-2.0")
        self.assertEqual(self.why(), "the answer is no HTTP/1")
        self.begin(HttpCheck(), {"uri": "/"})
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.why(), "the connection was closed before the answer")

    def test_no_more_of_an_answer_than_the_limit_is_looked_at(self) -> None:
        """16384 octets."""
        self.begin(HttpCheck(), {"uri": "/"})
        self.protocol.dataReceived(b"HTTP/1.1 103 X\r\nLink: " + b"x" * 20000)
        self.assertEqual(self.why(), "the answer is cut off")
        self.begin(HttpCheck(), {"uri": "/"})
        interim = b"HTTP/1.1 103 X\r\nLink: "
        self.protocol.dataReceived(interim + b"x" * (16384 - len(interim) - 4 - 13) + b"\r\n\r\n")
        self.protocol.dataReceived(b"HTTP/1.1 200 OK\r\n")
        self.assertIsNone(self.successResultOf(self.probe))

    def test_headers_and_bodies_that_are_expected(self) -> None:
        """The end of the connection may be the end of the body."""
        options = {"uri": "/", "header": "X-Ready:yes", "body": "~^ok$"}
        head = b"HTTP/1.1 200 OK\r\nX-Ready: yes\r\n\r\n"
        self.begin(HttpCheck(), options)
        self.protocol.dataReceived(head + b"ok")
        self.assertNoResult(self.probe)
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertIsNone(self.successResultOf(self.probe))
        self.begin(HttpCheck(), options)
        self.protocol.dataReceived(head + b"okay")
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.why(), "what is expected is not in the body, which begins with b'okay'")
        self.begin(HttpCheck(), options)
        self.protocol.dataReceived(head.replace(b"yes", b"no") + b"ok")
        self.assertEqual(self.why(), "x-ready is b'no'")

    def test_the_request(self) -> None:
        """The host is the address unless it was given."""
        end = "User-Agent: netappliance-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        for options, family, sockaddr, begin in (
            ({"uri": "/a?b"}, socket.AF_INET, FOUR, "GET /a?b HTTP/1.1\r\nHost: 10.0.0.1:80\r\n"),
            ({"uri": "/"}, socket.AF_INET6, SIX, "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n"),
            ({"uri": "/"}, socket.AF_UNIX, "/run/x", "GET / HTTP/1.1\r\nHost: localhost\r\n"),
            ({"uri": "/", "host": "h:1", "method": "HEAD"}, socket.AF_INET, FOUR, "HEAD / HTTP/1.1\r\nHost: h:1\r\n"),
            ({"uri": "/", "host": "h"}, socket.AF_UNIX, "/run/x", "GET / HTTP/1.1\r\nHost: h\r\n"),
        ):
            self.begin(HttpCheck(), options, family, sockaddr)
            self.assertEqual(self.transport.value().decode(), begin + end)
            self.protocol.dataReceived(b"HTTP/1.1 204 X\r\n")
            self.assertIsNone(self.successResultOf(self.probe))


class Reactor:
    """Remembers who reads."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Called by the question."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Called at its end."""
        self.readers.remove(reader)


class DatagramTests(SynchronousTestCase):
    """A question to a socket that answers when told to."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.server.close)
        self.server.bind(("127.0.0.1", 0))
        self.server.settimeout(5)

    def ask(self, **options: str) -> Deferred[None]:
        """Ask; the server has the question."""
        check = UdpCheck()
        settings = check.configure({"send": "UElORw==", **options})
        probe = check.probe(socket.AF_INET, self.server.getsockname(), settings, self.reactor, 5.0)
        question, self.client = self.server.recvfrom(100)
        self.assertEqual(question, b"PING")
        return probe

    def answer(self, data: bytes) -> None:
        """Answer; the reactor tells the question."""
        self.server.sendto(data, self.client)
        (reader,) = self.reactor.readers
        reader.doRead()

    def test_any_answer_is_well_unless_one_is_expected(self) -> None:
        """Then it is the beginning that counts."""
        for options, data in (({}, b""), ({}, b"x"), ({"expect": "UE8="}, b"PONG")):
            probe = self.ask(**options)
            (reader,) = self.reactor.readers
            self.assertGreaterEqual(reader.fileno(), 0)
            reader.doRead()
            self.assertNoResult(probe)
            self.answer(data)
            self.assertIsNone(self.successResultOf(probe))
            self.assertEqual((self.reactor.readers, reader.fileno()), ([], -1))

    def test_another_answer_is_ill(self) -> None:
        """And shown."""
        probe = self.ask(expect="UE8=")
        self.answer(b"x" * 40)
        error = self.failureResultOf(probe, CheckFailed)
        self.assertEqual(error.getErrorMessage(), f"the answer begins with {b'x' * 32!r}")
        self.assertEqual(self.reactor.readers, [])

    def test_nobody_listens(self) -> None:
        """The kernel says so, at the next read or as an error of the descriptor."""
        address = self.server.getsockname()
        self.server.close()
        check = UdpCheck()
        for end in ("doRead", "connectionLost"):
            probe = check.probe(socket.AF_INET, address, check.configure({"send": "eA=="}), self.reactor, 5.0)
            (reader,) = self.reactor.readers
            if end == "doRead":
                reader.doRead()
            else:
                reader.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(self.failureResultOf(probe, CheckFailed).getErrorMessage(), "Connection refused")
            reader.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(self.reactor.readers, [])

    def test_a_check_that_is_given_up_leaves_nothing(self) -> None:
        """Neither reader nor descriptor."""
        probe = self.ask()
        (reader,) = self.reactor.readers
        probe.cancel()
        self.failureResultOf(probe)
        self.assertEqual((self.reactor.readers, reader.fileno()), ([], -1))
        another = self.ask()
        (reader,) = self.reactor.readers
        reader.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.failureResultOf(another, CheckFailed).getErrorMessage(), "the socket was closed")

    def test_an_address_that_cannot_be_asked_raises_and_leaves_nothing(self) -> None:
        """The service counts it as a failure."""
        check = UdpCheck()
        settings = check.configure({"send": "eA=="})
        self.assertRaises(OSError, check.probe, socket.AF_INET, ("255.255.255.255", 9), settings, self.reactor, 5.0)
        self.assertEqual(self.reactor.readers, [])


class OptionTests(SynchronousTestCase):
    """The edges of what the checks may be told."""

    def refused(self, check: Any, options: dict[str, str], words: str) -> None:
        """Check the words."""
        self.assertEqual(str(self.assertRaises(ValueError, check.configure, options)), words)

    def test_paths_and_hosts(self) -> None:
        """Of at most 1024 and 255 characters."""
        check = HttpCheck()
        path, host = "a path from its / on, percent-encoded, in uri=", "a host, with or without port, in host="
        made = check.configure({"uri": "/" + "x" * 1023, "host": "a" * 255, "method": "OPTIONS"})
        self.assertEqual((len(made.uri), len(made.host), made.method), (1024, 255, "OPTIONS"))
        for uri in ("/" + "x" * 1024, "", "x/", "/ ", "/\t"):
            self.refused(check, {"uri": uri}, path)
        for name in ("a" * 256, "a b", "ä"):
            self.refused(check, {"uri": "/", "host": name}, host)
        self.refused(check, {"uri": "/", "method": "get"}, "GET | HEAD | OPTIONS")

    def test_statuses(self) -> None:
        """One by one and from one to another, both included."""
        check = HttpCheck()
        for text, statuses in (
            ("200", {200}),
            ("100-102,599", {100, 101, 102, 599}),
            ("200-200", {200}),
            ("204,200-201", {200, 201, 204}),
        ):
            self.assertEqual(check.configure({"uri": "/", "expect": text}).expected.statuses, statuses)
        self.assertEqual(check.configure({"uri": "/"}).expected.statuses, set(range(200, 300)))
        for text in ("", "600", "099", "201-200", "200-", "200,", "20", "2000", "\u0662\u0660\u0660"):
            words = "statuses such as 200, 200-299 or 200-204,401 in expect="
            self.refused(check, {"uri": "/", "expect": text}, words)

    def test_bytes(self) -> None:
        """Up to 4096, at least one where they are named."""
        import base64

        full = base64.b64encode(bytes(4096)).decode()
        for check in (TcpCheck(), UdpCheck()):
            made = check.configure({"send": full, "expect": full})
            self.assertEqual((len(made.send), len(made.expect)), (4096, 4096))
            self.assertEqual(check.configure({"send": "eA=="}).expect, b"")
            for key in ("send", "expect"):
                options = {"send": "eA=="}
                large = base64.b64encode(bytes(4097)).decode()
                self.refused(check, {**options, key: large}, f"base64 of 1 to 4096 bytes in {key}=")
                self.refused(check, {**options, key: ""}, f"base64 of 1 to 4096 bytes in {key}=")
                self.refused(check, {**options, key: "!"}, f"base64 in {key}=")
        self.assertEqual(TcpCheck().configure({}).send, b"")
        self.refused(UdpCheck(), {"expect": "eA=="}, "send=BASE64, a question that the backend answers")

    def test_names_and_options(self) -> None:
        """As the configuration calls them."""
        found = [(check.name, check.options) for check in (HttpCheck(), TcpCheck(), UdpCheck())]
        expected = [
            ("http", ("uri", "expect", "header", "body", "host", "method")),
            ("tcp", ("send", "expect")),
            ("udp", ("send", "expect")),
        ]
        self.assertEqual(found, expected)


class VerdictTests(SynchronousTestCase):
    """The words of bad answers, and where a verdict becomes possible."""

    def test_prefixes(self) -> None:
        """Exactly as long is enough."""
        self.assertEqual([judge_prefix(data, b"ab") for data in (b"", b"a", b"ab", b"abc")], [False, False, True, True])
        self.assertRaises(CheckFailed, judge_prefix, b"ac", b"ab")
