"""The checks that come with the appliance: http, tcp, udp."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener, IReadDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from netappliance.clusters.health.http_answer import (
    MAX_RESPONSE,
    CheckFailed,
    Expected,
    header,
    judge,
    statuses,
    wanted,
)
from netappliance.config import values
from netappliance.interfaces import IHealthCheck, ITlsHealthCheck
from netappliance.tls.to_backends.checks import CheckConnections

#: bytes that an answer over TCP or UDP can be expected to begin with
MAX_ANSWER = 4096

_URI = re.compile(r"/[\x21-\x7e]{0,1023}")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")

#: bytes that have come, and whether that is all, in; True when well, False when more is needed
Judge = Callable[[bytes, bool], bool]


def judge_prefix(data: bytes, expected: bytes) -> bool:
    """
    Compare the beginning of what the backend said.

    :raises CheckFailed: it is another.
    """
    if not expected.startswith(data[: len(expected)]):
        raise CheckFailed(f"the answer begins with {data[:32]!r}")
    return len(data) >= len(expected)


# -- conversations ----------------------------------------------------------------------------------------------------


@implementer(IHandshakeListener)
class _Conversation(Protocol):
    """
    Says its line and listens until the judge has heard enough; ``done`` fires then.

    :param connections: where TLS is below it.
    """

    def __init__(self, send: bytes, judge: Judge | None, connections: CheckConnections | None) -> None:
        self.done: Deferred[None] = Deferred()
        self._send = send
        self._judge = judge
        self._connections = connections
        self._heard = b""

    def connectionMade(self) -> None:
        """Called by Twisted."""
        if self._send:
            self._write(self._send)
        if self._judge is None and self._connections is None:
            self._finish(None)

    def handshakeCompleted(self) -> None:
        """Called by Twisted when TLS is there."""
        self._connections = None
        if self._judge is None:
            self._finish(None)

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted."""
        self._heard = (self._heard + data)[:MAX_RESPONSE]
        self._look(ended=len(self._heard) == MAX_RESPONSE)

    def _look(self, *, ended: bool) -> None:
        try:
            if self._judge is not None and self._judge(self._heard, ended):
                self._finish(None)
        except CheckFailed as error:
            self._finish(error)

    def connectionLost(self, reason: Failure = Failure(CheckFailed())) -> None:  # noqa: B008 - as Twisted has it
        """Called by Twisted."""
        if self._connections is not None:
            self._finish(CheckFailed(f"TLS: {self._connections.why(reason)}"))
        else:
            self._look(ended=True)
            self._finish(CheckFailed("the connection was closed before the answer"))

    def _finish(self, error: CheckFailed | None) -> None:
        _settle(self.done, error)


def _settle(done: Deferred[None], error: CheckFailed | None) -> None:
    """Fire with what was found, unless it has fired."""
    if done.called:
        return
    if error is None:
        done.callback(None)
    else:
        done.errback(error)


def _endpoint(family: int, sockaddr: Any, reactor: Any, timeout_s: float) -> Any:
    if family == socket.AF_UNIX:
        return UNIXClientEndpoint(reactor, sockaddr, timeout=timeout_s)
    kind = TCP6ClientEndpoint if family == socket.AF_INET6 else TCP4ClientEndpoint
    return kind(reactor, sockaddr[0], sockaddr[1], timeout=timeout_s)


async def _converse(
    endpoint: Any, send: bytes, judge: Judge | None, connections: CheckConnections | None = None
) -> None:
    protocol = _Conversation(send, judge, connections)
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False  # Twisted would log two lines for each check
    if connections is not None:
        endpoint = wrapClientTLS(connections, endpoint)
    await endpoint.connect(factory)
    transport: Any = protocol.transport
    try:
        await protocol.done
    except BaseException:
        transport.abortConnection()
        raise
    transport.loseConnection()
    if connections is not None:
        # TLS waits for the backend's close_notify, TCP only until ours is sent
        transport.transport.loseConnection()


# -- the kinds --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What to ask, and what is well; ``host`` empty = the backend's address."""

    method: str
    uri: str
    host: str
    expected: Expected


@implementer(ITlsHealthCheck)
class HttpCheck:
    """``http uri=/healthz [expect=200-299] [header=NAME:TEXT] [body=TEXT] [host=NAME] [method=GET]``."""

    name = "http"
    options = ("uri", "expect", "header", "body", "host", "method")

    def configure(self, options: Mapping[str, str]) -> HttpSettings:
        """Check the options."""
        uri = options.get("uri", "")
        if not _URI.fullmatch(uri):
            raise ValueError("a path from its / on, percent-encoded, in uri=")
        host = options.get("host", "")
        if host and not _HOST.fullmatch(host):
            raise ValueError("a host, with or without port, in host=")
        method = values.choice("GET", "HEAD", "OPTIONS")(options.get("method", "GET"))
        return HttpSettings(method, uri, host, self._expected(options, method))

    @staticmethod
    def _expected(options: Mapping[str, str], method: str) -> Expected:
        good = statuses(options.get("expect", "200-299"))
        name, value, body = b"", None, None
        try:
            key = "header"
            if key in options:
                name, value = header(options[key])
            key = "body"
            if key in options:
                body = wanted(options[key])
        except ValueError as error:
            raise ValueError(f"{error} in {key}=") from None
        if body is not None and method == "HEAD":
            raise ValueError("another method than HEAD for body=")
        return Expected(good, name, value, body)

    def request(self, settings: HttpSettings, family: int, sockaddr: Any) -> bytes:
        """Return the request for one address."""
        host = settings.host
        if not host:
            name = "localhost" if family == socket.AF_UNIX else sockaddr[0]
            host = name if family == socket.AF_UNIX else f"{f'[{name}]' if ':' in name else name}:{sockaddr[1]}"
        head = f"{settings.method} {settings.uri} HTTP/1.1\r\nHost: {host}\r\n"
        return f"{head}User-Agent: netappliance-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()

    def probe(
        self, family: int, sockaddr: Any, settings: HttpSettings, reactor: Any, timeout_s: float
    ) -> Deferred[None]:
        """Ask once, on a connection of its own."""
        return self.probe_tls(family, sockaddr, settings, reactor, timeout_s, None)

    def probe_tls(
        self,
        family: int,
        sockaddr: Any,
        settings: HttpSettings,
        reactor: Any,
        timeout_s: float,
        connections: CheckConnections | None,
    ) -> Deferred[None]:
        """The same over TLS, unless there are no ``connections``."""
        send = self.request(settings, family, sockaddr)
        endpoint = _endpoint(family, sockaddr, reactor, timeout_s)
        expected = settings.expected

        def judged(data: bytes, ended: bool) -> bool:
            return judge(data, expected, ended=ended)

        return Deferred.fromCoroutine(_converse(endpoint, send, judged, connections))


@dataclass(frozen=True, slots=True)
class BytesSettings:
    """What to say, and what the answer must begin with; either may be empty."""

    send: bytes
    expect: bytes


def _bytes(options: Mapping[str, str], key: str) -> bytes:
    try:
        data = values.base64_bytes(options.get(key, ""))
    except ValueError:
        raise ValueError(f"base64 in {key}=") from None
    if len(data) > MAX_ANSWER or (key in options and not data):
        raise ValueError(f"base64 of 1 to {MAX_ANSWER} bytes in {key}=")
    return data


@implementer(ITlsHealthCheck)
class TcpCheck:
    """``tcp [send=BASE64] [expect=BASE64]``: without ``expect`` an accepted connection is well."""

    name = "tcp"
    options = ("send", "expect")

    def configure(self, options: Mapping[str, str]) -> BytesSettings:
        """Check the options."""
        return BytesSettings(_bytes(options, "send"), _bytes(options, "expect"))

    def probe(
        self, family: int, sockaddr: Any, settings: BytesSettings, reactor: Any, timeout_s: float
    ) -> Deferred[None]:
        """Connect once."""
        return self.probe_tls(family, sockaddr, settings, reactor, timeout_s, None)

    def probe_tls(
        self,
        family: int,
        sockaddr: Any,
        settings: BytesSettings,
        reactor: Any,
        timeout_s: float,
        connections: CheckConnections | None,
    ) -> Deferred[None]:
        """The same over TLS, unless there are no ``connections``: without ``expect`` a handshake is well."""
        expected = settings.expect
        judge = (lambda data, _ended: judge_prefix(data, expected)) if expected else None
        endpoint = _endpoint(family, sockaddr, reactor, timeout_s)
        return Deferred.fromCoroutine(_converse(endpoint, settings.send, judge, connections))


@implementer(IReadDescriptor)
class _Question:
    """One datagram out, one back; on a socket of its own, for Twisted's ports log every opening and closing."""

    def __init__(self, family: int, sockaddr: Any, settings: BytesSettings, reactor: Any) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self._close())
        self._expect = settings.expect
        self._reactor = reactor
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(sockaddr)
            self._socket.send(settings.send)
        except OSError:
            self._socket.close()
            raise
        reactor.addReader(self)

    def logPrefix(self) -> str:
        """Called by Twisted."""
        return "health check"

    def fileno(self) -> int:
        """Called by Twisted."""
        return self._socket.fileno()

    def doRead(self) -> None:
        """Called by Twisted."""
        try:
            answer = self._socket.recv(MAX_ANSWER)
        except BlockingIOError:
            return
        except OSError as error:
            self._finish(CheckFailed(error.strerror or "the socket is broken"))
            return
        right = answer.startswith(self._expect)
        self._finish(None if right else CheckFailed(f"the answer begins with {answer[:32]!r}"))

    def connectionLost(self, reason: Failure) -> None:
        """Called by Twisted when epoll reports an error, such as nobody listening."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if self.fileno() >= 0 else 0
        self._finish(CheckFailed(os.strerror(number) if number else "the socket was closed"))

    def _close(self) -> None:
        if self.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()

    def _finish(self, error: CheckFailed | None) -> None:
        self._close()
        _settle(self.done, error)


@implementer(IHealthCheck)
class UdpCheck:
    """``udp send=BASE64 [expect=BASE64]``: without ``expect`` any answer is well."""

    name = "udp"
    options = ("send", "expect")

    def configure(self, options: Mapping[str, str]) -> BytesSettings:
        """Check the options; silence cannot be told from a lost datagram, so there is always a question."""
        if "send" not in options:
            raise ValueError("send=BASE64, a question that the backend answers")
        return BytesSettings(_bytes(options, "send"), _bytes(options, "expect"))

    def probe(
        self, family: int, sockaddr: Any, settings: BytesSettings, reactor: Any, timeout_s: float
    ) -> Deferred[None]:
        """Ask once, from a socket of its own."""
        return _Question(family, sockaddr, settings, reactor).done


CHECKS: dict[str, Any] = {check.name: check for check in (HttpCheck(), TcpCheck(), UdpCheck())}
