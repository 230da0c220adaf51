"""A client's connection: one request after another, each handed to the forwarding, until one side has enough."""

from __future__ import annotations

import socket
from socket import SocketType
from typing import TYPE_CHECKING

from netappliance.dataplane.eager_writer import EagerWriter
from netappliance.dataplane.poller import ENDING, ERROR, HANGUP, PEER_FIN, READ_SIDE, READY, WRITABLE
from netappliance.dataplane.sockets import pending_error, reset_on_close
from netappliance.http.forwarding.forwarding import Forwarding
from netappliance.http.forwarding.identity import ClientIdentity
from netappliance.http.framing.request import LastHead
from netappliance.http.message import Refusal
from netappliance.proxy_protocol import ProxyProtocolError, parse_header
from netappliance.sessions.reasons import INTERNAL, SHUTDOWN, Cause, CloseReason, Phase, Side, cause_of
from netappliance.sessions.session import Address, Session

if TYPE_CHECKING:
    from netappliance.http.service import HttpService

POLICY = CloseReason(Side.PROXY, Phase.ACCEPT, Cause.POLICY)
IDLE_FIN = CloseReason(Side.CLIENT, Phase.IDLE, Cause.FIN)
IDLE_TIMEOUT = CloseReason(Side.PROXY, Phase.IDLE, Cause.TIMEOUT)
HEAD_FIN = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.FIN)
HEAD_TIMEOUT = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.TIMEOUT)
PROXY_TIMEOUT = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.TIMEOUT)
PROXY_FIN = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.FIN)
PROXY_MALFORMED = CloseReason(Side.CLIENT, Phase.HANDSHAKE, Cause.PROTOCOL)
UPGRADED = CloseReason(Side.CLIENT, Phase.TUNNEL, Cause.FIN)

#: requests answered in one turn of one connection: the fairness budget for pipelines of requests that need no backend
BUDGET = 32
_PHASES = {"proxy": Phase.HANDSHAKE, "head": Phase.REQUEST, "idle": Phase.IDLE, "linger": Phase.DRAIN}


class ClientConnection(EagerWriter, Session):  # type: ignore[misc]  # the writer has slots for the checker only
    """
    States: ``proxy`` (PROXY header expected), ``head`` (a request begins or is expected first), ``idle`` (between
    requests), ``exchange``, ``linger`` (the last response is on its way, the rest is thrown away), ``closed``.

    :ivar inbuf: received and not yet parsed. :ivar out: bytes that the kernel did not take yet, or None.
    :ivar readable: an edge came that was not read to its end. :ivar sent: bytes written to the client.
    :ivar head_began: when the first byte of the present request's head was read. :ivar requests: requests so far.
    :ivar deadline: monotonic seconds, of the states but ``exchange``.
    """

    __slots__ = (
        "_end_reason",
        "_processing",
        "deadline",
        "ending",
        "forwarding",
        "head_began",
        "identity",
        "inbuf",
        "last_head",
        "out",
        "poller",
        "readable",
        "recv",
        "recv_into",
        "requests",
        "send",
        "sent",
        "service",
        "sock",
        "timer_slot",
    )

    #: the access log has a line for each request instead of one for the connection
    logged = False

    def __init__(self, service: HttpService, sock: SocketType, client: Address, local: Address) -> None:
        poller = service.poller
        super().__init__("http", service.section.name, client, local, poller.now)
        self.service = service
        self.poller = poller
        self.sock = sock
        self.recv = sock.recv
        self.recv_into = sock.recv_into
        self.send = sock.send
        self.inbuf = b""
        self.last_head = LastHead()
        self.out: memoryview | None = None
        self.readable = False
        self.ending = False
        self.sent = 0
        self.requests = 0
        self.deadline = 0.0
        self.head_began = poller.now
        self.timer_slot = 0
        self.identity: ClientIdentity | None = None
        self.forwarding = Forwarding(self)
        self._processing = False
        self._end_reason = IDLE_FIN

    def sockets(self) -> tuple[SocketType, ...]:
        """Return the client's, and the backend's while an exchange has one."""
        upstream = self.forwarding.upstream
        return (self.sock,) if upstream is None else (self.sock, upstream.sock)

    def start(self) -> None:
        """Begin to read."""
        service = self.service
        if service.table.open(self) is not None:
            self.close(POLICY)
            return
        now = self.poller.now
        if service.section.proxy_protocol == "expect":
            self.state = "proxy"
            self.deadline = now + service.section.proxy_protocol_timeout_s
        else:
            self.state = "head"
            self.deadline = now + service.section.request_timeout_s
        service.timers.schedule(self, min(self.deadline, now + service.shortest_timeout_s))
        try:
            self.poller.add(self.sock.fileno(), self.on_ready)
        except OSError as error:
            self.close(CloseReason(Side.PROXY, Phase.ACCEPT, cause_of(error)))

    def on_ready(self, mask: int) -> None:
        """Edges of the client's socket."""
        if mask != READY:
            if mask & ENDING:
                self.ending = True
                if mask & ERROR:
                    self.lost(pending_error(self.sock))
                    return
            if mask & WRITABLE and self.out is not None:
                self.flush()
            if not mask & READ_SIDE:
                return
        elif self.out is not None:
            self.flush()
        self.readable = True
        state = self.state
        if state == "idle" or state == "head":
            self.process()
        elif state == "exchange":
            self.forwarding.client_readable(gone=bool(mask & (HANGUP | PEER_FIN)))
        elif state == "linger":
            self._discard()
        elif state == "proxy":
            self._read_proxy_header()

    # -- reading ------------------------------------------------------------------------------------------------------

    def receive(self, want: int) -> int:
        """
        Read into the shared buffer.

        :return: how many bytes; 0 for FIN; -1 when there is nothing, or the connection broke (and is closed).
        """
        try:
            count = self.recv_into(self.poller.buffer.data, want)
        except BlockingIOError:
            self.readable = False
            return -1
        except OSError as error:
            self.lost(error)
            return -1
        self.last_active = self.poller.now
        self.readable = count == want or (count > 0 and self.ending)
        return count

    def process(self) -> None:
        """Take requests from what was received, until one has to wait for its backend or there is no more."""
        self._processing = True
        parse = self.service.framing.parse
        for _ in range(BUDGET):
            data = self.inbuf
            if not data and not self._read_more(b""):
                break
            parsed = parse(data or self.inbuf, 0, self.last_head)
            if parsed is None:
                if not self._read_more(self.inbuf):
                    break
                continue
            item, after = parsed
            if isinstance(item, Refusal):
                self.forwarding.refuse(item)
                break
            self.inbuf = self.inbuf[after:]
            self.requests += 1
            self.state = "exchange"
            self.forwarding.start(item)
            if self.state != "idle":
                break
        else:
            self.poller.later(self._resume)
        self._processing = False

    def _read_more(self, data: bytes) -> bool:
        """Read on; False when there is nothing (yet)."""
        if self.readable:
            first_read = self.poller.buffer.first_read
            try:
                fresh = self.recv(first_read)
            except BlockingIOError:
                self.readable = False
            except OSError as error:
                self.lost(error)
                return False
            else:
                self.last_active = now = self.poller.now
                if not fresh:
                    self.readable = False
                    self.close(HEAD_FIN if data else IDLE_FIN)
                    return False
                self.readable = self.ending or len(fresh) == first_read
                if data:
                    self.inbuf = data + fresh
                else:
                    self.inbuf = fresh
                    self.head_began = now
                return True
        if data and self.state == "idle":
            self.state = "head"
            self.deadline = self.poller.now + self.service.section.request_timeout_s
        return False

    def _resume(self) -> None:
        if self.state in ("head", "idle"):
            self.process()

    def _read_proxy_header(self) -> None:
        while True:
            count = self.receive(min(4096, self.poller.buffer.size))
            if count <= 0:
                if not count:
                    self.close(PROXY_FIN)
                return
            self.inbuf += bytes(self.poller.buffer.view[:count])
            try:
                parsed = parse_header(self.inbuf)
            except ProxyProtocolError as error:
                self.notes = {"proxy_protocol": str(error)}
                self.close(PROXY_MALFORMED)
                return
            if parsed is not None:
                break
        header, length = parsed
        self.client = header.source or self.client
        self.local = header.destination or self.local
        self.inbuf = self.inbuf[length:]
        self.state = "head"
        self.deadline = self.poller.now + self.service.section.request_timeout_s
        self.process()

    # -- writing ------------------------------------------------------------------------------------------------------

    def write_failed(self, error: OSError) -> None:
        """The client went."""
        self.lost(error)

    def took(self) -> None:
        """The client reads."""
        self.last_active = self.poller.now

    def drained(self) -> None:
        """The client has all that waited."""
        self.last_active = self.poller.now
        if self.state == "exchange":
            self.forwarding.client_writable()
        elif self.state == "linger":
            self._half_close()

    # -- between exchanges and at the end -----------------------------------------------------------------------------

    def may_go_on(self) -> bool:
        """True when the connection may have a further request after this one."""
        service = self.service
        return not service.draining and self.requests != service.max_requests

    def exchange_over(self) -> None:
        """The response is with the client, and the connection goes on."""
        self.state = "idle"
        self.deadline = self.poller.now + self.service.section.client_timeout_s
        if not self._processing and (self.inbuf or self.readable):
            self.process()

    def end(self, reason: CloseReason, *, linger: bool) -> None:
        """
        Close after what was written is delivered.

        :param linger: the client may still be sending: read that, for closing over unread bytes would reset the
            connection and take the response with it (RFC 9112 section 9.6).
        """
        self._end_reason = reason
        self.state = "linger"
        if self.out is None and not linger and not self.readable and not self.inbuf:
            self.close(reason)
            return
        self.inbuf = b""
        self.deadline = self.poller.now + self.service.section.client_timeout_s
        if self.out is None:
            self._half_close()
        if self.readable:
            self._discard()

    def _half_close(self) -> None:
        self.deadline = self.poller.now + self.service.section.linger_timeout_s
        self.service.timers.schedule(self, self.deadline)
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.lost(error)

    def _discard(self) -> None:
        for _ in range(BUDGET):
            count = self.receive(self.poller.buffer.first_read)
            if not count and self.out is None:
                self.close(self._end_reason)
            if count <= 0 or self.state == "closed":
                return
        self.poller.later(self._discard_on)

    def _discard_on(self) -> None:
        if self.state == "linger":
            self._discard()

    def lost(self, error: OSError) -> None:
        """The connection broke."""
        if self.state == "exchange":
            self.forwarding.client_lost(cause_of(error))
        elif self.state == "linger":
            self.close(self._end_reason)
        else:
            self.close(CloseReason(Side.CLIENT, _PHASES.get(self.state, Phase.DATA), cause_of(error)))

    def drain(self) -> None:
        """The process ends: go when there is no request under way."""
        if self.state == "idle":
            self.close(SHUTDOWN)

    def crashed(self) -> None:
        """A bug in a callback of ours."""
        self.close(INTERNAL)

    def expect(self, seconds: float) -> None:
        """Have the deadlines looked at after so long at most; what is waited for may change sooner."""
        shortest = self.service.shortest_timeout_s
        self.service.timers.schedule(self, self.poller.now + min(seconds, shortest))

    def on_timer(self, now: float) -> float:
        """A deadline may have come."""
        state = self.state
        if state == "exchange":
            deadline = self.forwarding.check(now)
        else:
            self.last_head.forget()
            deadline = self.deadline
            if now >= deadline:
                self._expired(state)
                deadline = self.deadline
        if self.state == "closed":
            return 0.0
        # deadlines that are set meanwhile are at least this far away
        return min(deadline, now + self.service.shortest_timeout_s)

    def _expired(self, state: str) -> None:
        # an empty line is no beginning of a request
        begun = self.inbuf.strip(b"\r\n")
        if state == "head" and (begun or not self.requests):
            if begun:
                self.forwarding.refuse(Refusal(408, "request head too slow"))
            else:
                self.close(HEAD_TIMEOUT)
        elif state == "linger":
            self.close(self._end_reason)
        else:
            self.close(PROXY_TIMEOUT if state == "proxy" else IDLE_TIMEOUT)

    def detach(self) -> None:
        """Give the socket to a tunnel; this session ends here."""
        self.state = "closed"
        self.service.timers.cancel(self)
        self.service.table.closed(self, UPGRADED)

    def close(self, reason: CloseReason) -> None:
        """End the connection now."""
        if self.state == "closed":
            return
        service = self.service
        truncated = self.out is not None or (self.state == "exchange" and self.forwarding.response_began)
        self.state = "closed"
        service.timers.cancel(self)
        try:
            self.forwarding.abandon(reason)
        finally:
            # what a plug-in left in the notes may break the log's line, but holds no descriptor
            if truncated:
                reset_on_close(self.sock)
            self.out = None
            self.poller.close(self.sock)
            service.table.closed(self, reason)
            service.admission.release()
