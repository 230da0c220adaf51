"""What a client's connection brings before its protocol begins: a PROXY header, then TLS; each where it is expected."""

from __future__ import annotations

import contextlib
from socket import MSG_PEEK, SocketType
from typing import Any, Final

from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.dataplane.transport import Transport
from netappliance.proxy_protocol import HeaderReader, ProxyHeader
from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side, cause_of
from netappliance.tls import handshakes
from netappliance.tls.client_hello import MAX_BYTES, PLAIN_HTTP, ClientHello, HelloReader, HelloRefusal
from netappliance.tls.errors import TlsError
from netappliance.tls.facts import TlsFacts
from netappliance.tls.server import TlsServer

HEADER_FIN: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.FIN)
TIMEOUT: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.TIMEOUT)
MALFORMED: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.PROTOCOL)
TLS_FAILED: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.TLS)

#: bytes of a PROXY header that are looked at in one call
_HEADER_READ: Final = 4096


class OpeningFailed(Exception):
    """
    The connection does not begin as it should.

    :ivar reason: to close it with. :ivar notes: what the log says of it.
    """

    def __init__(self, reason: CloseReason, notes: dict[str, Any] | None = None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.notes = notes


class Opening:
    """
    The beginning of one connection; it reads no byte more than is its own.

    :ivar state: ``header``, ``hello`` or ``handshake``. :ivar deadline: of this state, monotonic seconds.
    :ivar header: the PROXY header, once it is there. :ivar facts: what the handshake came to.
    """

    __slots__ = ("_connecting", "_hello", "_reader", "_tls", "_transport", "deadline", "facts", "header", "state")

    def __init__(self, transport: Transport, tls: TlsServer | None, header_timeout_s: float | None, now: float) -> None:
        """
        Begin.

        :param transport: a TlsTransport where there is ``tls``. :param header_timeout_s: for the PROXY header; 0 = any
            time, None = no header is expected.
        """
        self.header: ProxyHeader | None = None
        self.facts: TlsFacts | None = None
        self._transport = transport
        self._tls = tls
        self._reader = HeaderReader() if header_timeout_s is not None else None
        self._hello: ClientHello | None = None
        self._connecting: Any = None
        self.state = "header"
        self.deadline = now + (header_timeout_s or 0.0)
        if self._reader is None:
            self._expect_hello(now)

    def _expect_hello(self, now: float) -> None:
        tls = self._tls
        if tls is not None:
            self.state = "hello"
            self.deadline = now + tls.keys.handshake_timeout_s
            self._connecting = HelloReader()

    def proceed(self, now: float, *, ending: bool) -> bool:
        """
        Go on, as far as there is something to read.

        :param ending: the client sends no more. :return: True when all is there; False when more has to come.
        :raises OpeningFailed: it cannot become what it should; what the client is told of that has been sent.
        """
        if self.state == "header":
            if not self._read_header():
                return False
            self._expect_hello(now)
        tls = self._tls
        if tls is None:
            return True
        if self.state == "hello" and not self._read_hello(tls, now, ending=ending):
            return False
        return self._shake_hands(tls)

    def expired(self) -> CloseReason:
        """The deadline has come: return the reason to close with."""
        if self.state != "header" and self._tls is not None:
            self._tls.statistics.count(handshakes.TIMEOUT)
        return TIMEOUT

    def _read_header(self) -> bool:
        reader, sock = self._reader, self._transport.sock
        if reader is None:
            return True
        while True:
            data = _peek(sock, _HEADER_READ)
            if data is None:
                return False
            if not data:
                raise OpeningFailed(HEADER_FIN)
            decided = reader.feed(data)
            sock.recv(len(data) - len(reader.rest))
            if decided:
                break
        if reader.header is None:
            raise OpeningFailed(MALFORMED, {"proxy_protocol": reader.refusal})
        self.header = reader.header
        return True

    def _read_hello(self, tls: TlsServer, now: float, *, ending: bool) -> bool:
        transport = self._transport
        data = _peek(transport.sock, MAX_BYTES)
        if data is None:
            return False
        verdict = self._connecting.judge(data) if data else None
        if verdict is None:
            if data and not ending:
                return False
            tls.statistics.count(handshakes.CLOSED)
            raise OpeningFailed(HEADER_FIN)
        begun = tls.begin(transport.sock, verdict, now) if isinstance(verdict, ClientHello) else verdict
        if isinstance(begun, HelloRefusal):
            self._refuse(tls, begun)
        else:
            connection, served = begun
            self._hello = verdict
            self._connecting = served
            self.state = "handshake"
            if isinstance(transport, TlsTransport):
                transport.tls.attach(connection)
        return True

    def _refuse(self, tls: TlsServer, refusal: HelloRefusal) -> None:
        """Tell the client in the words that it understands."""
        tls.statistics.count(refusal.reason)
        sock = self._transport.sock
        _discard(sock)
        with contextlib.suppress(OSError):
            sock.send(tls.plain_answer if refusal is PLAIN_HTTP else refusal.alert)
        raise OpeningFailed(TLS_FAILED, {"tls": refusal.text})

    def _shake_hands(self, tls: TlsServer) -> bool:
        transport, hello = self._transport, self._hello
        if not isinstance(transport, TlsTransport) or hello is None:
            raise TypeError("TLS needs a TlsTransport")
        moving = transport.tls
        try:
            over = moving.handshake()
        except TlsError as error:
            tls.statistics.count(handshakes.failure_word(error.why))
            # over unread bytes the close would be a reset, which takes OpenSSL's alert with it
            _discard(transport.sock)
            raise OpeningFailed(TLS_FAILED, {"tls": error.why, **_name(hello)}) from None
        except OSError as error:
            tls.statistics.count(handshakes.CLOSED)
            raise OpeningFailed(CloseReason(Side.CLIENT, Phase.HANDSHAKE, cause_of(error)), _name(hello)) from None
        if not over:
            return False
        if moving.connection is None:
            raise RuntimeError("a handshake without a connection")
        self.facts = tls.ended(moving.connection, self._connecting, hello)
        self._hello = self._connecting = None
        return True


def _name(hello: ClientHello) -> dict[str, Any]:
    return {"sni": hello.server_name.decode("ascii", "replace")} if hello.server_name else {}


def _peek(sock: SocketType, size: int) -> bytes | None:
    """Return what waits to be read, and leave it there; empty at the end, None when there is nothing (yet)."""
    try:
        return sock.recv(size, MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError as error:
        raise OpeningFailed(CloseReason(Side.CLIENT, Phase.HANDSHAKE, cause_of(error))) from None


def _discard(sock: SocketType) -> None:
    with contextlib.suppress(OSError):
        sock.recv(MAX_BYTES)
