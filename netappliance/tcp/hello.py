"""The ClientHello of a connection that is passed on: read, and left where it is for the relay."""

from __future__ import annotations

import contextlib
from socket import MSG_PEEK, SocketType
from typing import Any, Final

from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side, cause_of
from netappliance.tls import alerts
from netappliance.tls.client_hello import MAX_BYTES, REFUSALS, ClientHello, HelloReader, HelloRefusal

#: passed on
OK: Final = "ok"
#: the client ended, or broke off
CLOSED: Final = "closed"
TIMEOUT: Final = "timeout"
NO_SECTION: Final = HelloRefusal(
    "no_section", "no section for this server name", alerts.fatal_alert(alerts.UNRECOGNIZED_NAME)
)
#: every value of the label ``result``
RESULTS: Final = (OK, CLOSED, TIMEOUT, NO_SECTION.reason, *(refusal.reason for refusal in REFUSALS))

#: bytes that a client may have sent on while it was refused
_DISCARDED: Final = 64 * 1024

ENDED: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.FIN)
REFUSED: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.TLS)
NOT_SERVED: Final = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.POLICY)


class NotServed(Exception):
    """
    The connection is not passed on; its client has been told.

    :ivar reason: to close it with. :ivar result: of :data:`RESULTS`. :ivar notes: what the log says of it.
    """

    def __init__(self, reason: CloseReason, result: str, notes: dict[str, Any] | None = None) -> None:
        super().__init__(result)
        self.reason = reason
        self.result = result
        self.notes = notes


def read_hello(sock: SocketType, reader: HelloReader, *, ending: bool) -> ClientHello | None:
    """
    Look at what the client has sent so far.

    :param ending: it sends no more.
    :return: None when more has to come. :raises NotServed: it is no ClientHello, or never will be.
    """
    try:
        data = sock.recv(MAX_BYTES, MSG_PEEK)
    except BlockingIOError:
        data = b""
    except OSError as error:
        raise broken(error) from None
    else:
        ending = ending or not data
    verdict = reader.judge(data)
    if isinstance(verdict, HelloRefusal):
        raise refused(sock, verdict, REFUSED)
    if verdict is None and ending:
        raise NotServed(ENDED, CLOSED)
    return verdict


def broken(error: OSError) -> NotServed:
    """Return what ends a connection that broke."""
    return NotServed(CloseReason(Side.CLIENT, Phase.HANDSHAKE, cause_of(error)), CLOSED)


def refused(sock: SocketType, refusal: HelloRefusal, reason: CloseReason) -> NotServed:
    """Tell the client why, and return what ends its connection."""
    if refusal.alert:
        with contextlib.suppress(OSError):
            sock.send(refusal.alert)
    return NotServed(reason, refusal.reason, {"tls": refusal.text})


def discard(sock: SocketType) -> None:
    """Take what was looked at: over unread bytes the close would be a reset, which takes an alert with it."""
    with contextlib.suppress(OSError):
        sock.recv(_DISCARDED)


def notes(hello: ClientHello, *, ja4: bool) -> dict[str, Any]:
    """Return what the log says of a client: the name that it asked for, and its fingerprint."""
    found: dict[str, Any] = {}
    if hello.server_name:
        found["sni"] = hello.server_name.decode("ascii")
    if ja4:
        found["ja4"] = hello.ja4()
    return found
