"""
What a client's connection brings before its protocol begins, each where it is expected: a PROXY header, then TLS, which
is ended here or only looked at.
"""

from __future__ import annotations

import contextlib
from socket import MSG_PEEK, SO_ERROR, SOL_SOCKET, SocketType
from typing import Any, Final

from netappliance.dataplane.tls_transport import TlsTransport
from netappliance.dataplane.transport import Transport
from netappliance.proxy_protocol import HeaderReader, ProxyHeader
from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side, cause_of
from netappliance.tls import handshakes
from netappliance.tls.client_hello import MAX_BYTES, PLAIN_HTTP, ClientHello, HelloReader, HelloRefusal
from netappliance.tls.errors import TlsError
from netappliance.tls.facts import TlsFacts
from netappliance.tls.passing import Passing
from netappliance.tls.server import TlsServer

HEADER_FIN: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.FIN)
TIMEOUT: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.TIMEOUT)
MALFORMED: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.PROTOCOL)
#: an authority has seen the proof of a name (RFC 8737 section 3): the connection is of no further use
PROVEN: Final = CloseReason(Side.PROXY, Phase.HANDSHAKE, Cause.POLICY)
TLS_FAILED: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.TLS)

#: bytes of a PROXY header that are looked at in one call
_HEADER_READ: Final = 4096
#: bytes that a client may have sent on while it was refused
_DISCARDED: Final = 64 * 1024


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

    :ivar state: ``header``, ``hello`` or ``handshake``; ``over`` once what became of TLS is counted.
    :ivar deadline: of this state, monotonic seconds.
    :ivar header: the PROXY header, once it is there. :ivar hello: the ClientHello, until the handshake is over.
    :ivar facts: what the handshake came to.
    """

    __slots__ = (
        "_connecting",
        "_passing",
        "_reader",
        "_tls",
        "_transport",
        "deadline",
        "facts",
        "header",
        "hello",
        "state",
    )

    def __init__(
        self,
        transport: Transport,
        tls: TlsServer | None,
        header_timeout_s: float | None,
        now: float,
        passing: Passing | None = None,
    ) -> None:
        """
        Begin.

        :param transport: a TlsTransport where there is ``tls``. :param header_timeout_s: for the PROXY header; 0 = any
            time, None = no header is expected. :param passing: of TLS that is not ended here: all is there with the
            ClientHello, which stays where it is.
        """
        self.header: ProxyHeader | None = None
        self.facts: TlsFacts | None = None
        self.hello: ClientHello | None = None
        self._transport = transport
        self._tls = tls
        self._passing = passing
        self._reader = HeaderReader() if header_timeout_s is not None else None
        self._connecting: Any = None
        self.state = "header"
        self.deadline = now + (header_timeout_s or 0.0)
        if self._reader is None:
            self._expect_hello(now)

    def _expect_hello(self, now: float) -> None:
        tls, passing = self._tls, self._passing
        if tls is not None:
            self.deadline = now + tls.keys.handshake_timeout_s
        elif passing is not None:
            self.deadline = now + passing.timeout_s
        else:
            return
        self.state = "hello"
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
        if self.state == "hello" and not self._read_hello(now, ending=ending):
            return False
        tls = self._tls
        return tls is None or self._shake_hands(tls)

    def expired(self) -> CloseReason:
        """The deadline has come: return the reason to close with."""
        if self.state != "header":
            self._count(handshakes.TIMEOUT)
            _discard(self._transport.sock)
        return TIMEOUT

    def abandoned(self) -> None:
        """The connection ends, by whatever: a handshake that had begun is counted, each once."""
        if self.state != "header":
            self._count(handshakes.CLOSED)

    def passed_on(self, passing: Passing) -> None:
        """Somebody serves the name that the client asked for, and it is counted there."""
        self._passing = passing
        self._count(handshakes.OK)
        self.hello = None

    def refused(self, refusal: HelloRefusal, reason: CloseReason = TLS_FAILED) -> OpeningFailed:
        """Tell the client in the words that it understands, and return what there is to raise."""
        self._count(refusal.reason)
        sock = self._transport.sock
        _discard(sock)
        plain = self._tls.plain_answer if self._tls is not None else b""
        with contextlib.suppress(OSError):
            sock.send(plain if refusal is PLAIN_HTTP else refusal.alert)
        return OpeningFailed(reason, {"tls": refusal.text, **_name(self.hello)})

    def _count(self, result: str) -> None:
        if self.state == "over":
            return
        self.state = "over"
        if self._tls is not None:
            self._tls.statistics.count(result)
        elif self._passing is not None:
            self._passing.count(result)

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

    def _read_hello(self, now: float, *, ending: bool) -> bool:
        transport = self._transport
        data = _peek(transport.sock, MAX_BYTES)
        if data is None:
            return False
        verdict = self._connecting.judge(data) if data else None
        if verdict is None:
            if data and not ending:
                return False
            self._count(handshakes.CLOSED)
            raise OpeningFailed(_left(transport.sock))
        if isinstance(verdict, HelloRefusal):
            raise self.refused(verdict)
        self.hello = verdict
        if self._tls is not None:
            self._begin(self._tls, transport, verdict, now)
        return True

    def _begin(self, tls: TlsServer, transport: Transport, hello: ClientHello, now: float) -> None:
        begun = tls.begin(transport.sock, hello, now)
        if isinstance(begun, HelloRefusal):
            raise self.refused(begun)
        connection, self._connecting = begun
        self.state = "handshake"
        if isinstance(transport, TlsTransport):
            transport.tls.attach(connection)

    def _shake_hands(self, tls: TlsServer) -> bool:
        transport, hello = self._transport, self.hello
        if not isinstance(transport, TlsTransport) or hello is None:
            raise TypeError("TLS needs a TlsTransport")
        moving = transport.tls
        try:
            over = moving.handshake()
        except TlsError as error:
            self._count(handshakes.failure_word(error.why))
            # over unread bytes the close would be a reset, which takes OpenSSL's alert with it
            _discard(transport.sock)
            raise OpeningFailed(TLS_FAILED, {"tls": error.why, **_name(hello)}) from None
        except OSError as error:
            self._count(handshakes.CLOSED)
            raise OpeningFailed(CloseReason(Side.CLIENT, Phase.HANDSHAKE, cause_of(error)), _name(hello)) from None
        if not over:
            return False
        if moving.connection is None:
            raise RuntimeError("a handshake without a connection")
        self.state = "over"
        self.facts = tls.ended(moving.connection, self._connecting, hello)
        if self.facts is None:
            raise OpeningFailed(PROVEN, {"tls": "acme-tls/1", **_name(hello)})
        self.hello = self._connecting = None
        return True


def _name(hello: ClientHello | None) -> dict[str, Any]:
    return {"sni": hello.server_name.decode("ascii")} if hello is not None and hello.server_name else {}


def _peek(sock: SocketType, size: int) -> bytes | None:
    """Return what waits to be read, and leave it there; empty at the end, None when there is nothing (yet)."""
    try:
        return sock.recv(size, MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError as error:
        raise OpeningFailed(CloseReason(Side.CLIENT, Phase.HANDSHAKE, cause_of(error))) from None


def _left(sock: SocketType) -> CloseReason:
    """Return how a client went that had not said all; what it had said is taken, or the close would be a reset."""
    code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
    _discard(sock)
    return CloseReason(Side.CLIENT, Phase.HANDSHAKE, cause_of(OSError(code, ""))) if code else HEADER_FIN


def _discard(sock: SocketType) -> None:
    """Take what was looked at: over unread bytes the close would be a reset, which takes an alert with it."""
    with contextlib.suppress(OSError):
        sock.recv(_DISCARDED)
