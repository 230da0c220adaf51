"""A byte relay between two connections: eager writes, one buffer for all, back-pressure by not reading."""

from __future__ import annotations

import socket
from collections.abc import Callable
from socket import SocketType
from typing import Any, Final, Protocol

from netappliance.dataplane.poller import ENDING, ERROR, READ_SIDE, WRITABLE, Poller, RoundOwner
from netappliance.dataplane.sockets import pending_error, reset_on_close
from netappliance.dataplane.transport import Transport

NOTHING: Final = memoryview(b"")
#: bytes of the longest message that is kept for the end of its round, for the price of a copy
SHORT: Final = 16 * 1024


class RelayOwner(Protocol):
    """The session that two legs belong to."""

    def leg_failed(self, leg: Leg, error: OSError, *, sending: bool) -> None:
        """A send on this leg's socket failed, or a receive (or its connection broke); the owner closes both."""

    def relay_done(self, first: Leg) -> None:
        """Both directions ended with FIN and all bytes are delivered; ``first`` is the leg that ended first."""

    def crashed(self) -> None:
        """A callback raised; the owner closes both."""


class Leg(RoundOwner):
    """
    One side of a relay: its socket and the bytes that its peer's side could not yet send on it.

    :ivar pending: unsent bytes; not None also means "blocked", so an empty one holds the other side back while
        connecting. Short messages wait in it for the end of their round.
    :ivar transport: what moves the bytes, None = the socket itself, without an object between.
    :ivar readable: an edge came that has not been read to its end.
    :ivar ending: FIN, error or hang-up was seen, so a short read proves nothing.
    :ivar sent: bytes sent on this socket. :ivar received: bytes received from it. :ivar last: monotonic seconds of
        the last one.
    """

    __slots__ = (
        "ending",
        "eof",
        "last",
        "owner",
        "peer",
        "pending",
        "poller",
        "queued",
        "readable",
        "received",
        "recv_into",
        "released",
        "send",
        "sent",
        "shut",
        "sock",
        "transport",
    )

    #: full reads in one turn of one leg, the fairness budget
    BUDGET: Final = 8

    #: what :meth:`release` takes away
    __deletable__ = ("owner", "peer")

    peer: Leg
    owner: RelayOwner

    def __init__(self, sock: SocketType, owner: RelayOwner, poller: Poller, transport: Transport | None = None) -> None:
        #: the other one; itself until there is one
        self.peer = self
        self.sock = sock
        self.transport = transport
        moves = sock if transport is None else transport
        self.recv_into: Callable[[Any, int], int] = moves.recv_into
        self.send: Callable[[Any], int] = moves.send
        self.owner = owner
        self.poller = poller
        self.pending: memoryview | bytearray | None = NOTHING
        self.readable = False
        self.queued = False
        self.ending = False
        self.eof = False
        self.shut = False
        self.released = False
        self.sent = 0
        self.received = 0
        self.last = poller.now

    def crashed(self) -> None:
        """A callback of this leg raised; where that was closing the relay, its owner knows."""
        if not self.released:
            self.owner.crashed()

    def on_ready(self, mask: int) -> None:
        """Edges of this leg's socket."""
        if mask & ENDING:
            self.ending = True
            if mask & ERROR:
                error = pending_error(self.sock) if self.transport is None else self.transport.error()
                self.owner.leg_failed(self, error, sending=False)
                return
        if mask & WRITABLE and self.pending is not None:
            self.flush()
        if mask & READ_SIDE:
            self.pump()

    def pump(self) -> None:
        """Move what this socket has to its peer until it is empty, the peer is full or the budget is used up."""
        self.readable = True
        if self.eof:
            return
        peer = self.peer
        if peer.pending is not None:
            return
        poller = self.poller
        shared = poller.buffer
        recv_into, buffer, window = self.recv_into, shared.data, shared.size
        for _ in range(self.BUDGET):
            try:
                count = recv_into(buffer, window)
            except BlockingIOError:
                self.readable = False
                return
            except OSError as error:
                self.owner.leg_failed(self, error, sending=False)
                return
            if not count:
                self._ended()
                return
            self.received += count
            self.last = poller.now
            if count < SHORT:
                # sent one after the other at the round's end, messages find those awake that they are for
                self.readable = self.ending or count == window
                peer.pending = buffer[:count]
                poller.at_round_end(peer)
                return
            try:
                sent = peer.send(shared.view[:count])
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self.owner.leg_failed(peer, error, sending=True)
                return
            peer.sent += sent
            if sent < count:
                peer.pending = memoryview(buffer[sent:count])
                return
            if count < window and not self.ending:
                self.readable = False
                return
        if not self.queued:
            self.queued = True
            poller.later(self._resume)

    def _resume(self) -> None:
        self.queued = False
        if self.readable:
            self.pump()

    def round_ended(self) -> None:
        """All events of the round were handed out: send what waits for that, and the other side's FIN."""
        if self.shut:
            return
        if self.pending is not None:
            self.flush()
        elif self.peer.eof:
            self.pass_fin()

    def flush(self) -> None:
        """Send what is pending; when it is all gone, let the peer read on."""
        pending = self.pending
        if pending is None:
            return
        if pending:
            try:
                sent = self.send(pending)
            except BlockingIOError:
                return
            except OSError as error:
                self.owner.leg_failed(self, error, sending=True)
                return
            self.sent += sent
            self.last = self.poller.now
            if sent < len(pending):
                self.pending = memoryview(pending)[sent:]
                return
        self.pending = None
        peer = self.peer
        if peer.eof:
            self.poller.after_next_round(self)
        elif peer.readable:
            peer.pump()

    def _ended(self) -> None:
        self.eof = True
        self.readable = False
        self.last = self.poller.now
        # the other side's FIN may be on its way, and then nobody needs to be told of this one
        self.poller.after_next_round(self.peer)

    def pass_fin(self) -> None:
        """Everything was sent: pass the other side's FIN on."""
        self.shut = True
        peer = self.peer
        if self.eof and (peer.shut or peer.pending is None):
            first = self if peer.shut else peer
            peer.shut = True
            self.owner.relay_done(first)
            return
        try:
            if self.transport is None:
                self.sock.shutdown(socket.SHUT_WR)
            else:
                self.transport.shut()
        except OSError as error:
            self.owner.leg_failed(self, error, sending=True)

    def close(self, *, abort: bool) -> None:
        """Close the connection. :param abort: by RST, for something is cut off."""
        if abort:
            reset_on_close(self.sock)
        elif self.transport is not None:
            self.transport.farewell()
        self.poller.close(self.sock)

    def release(self) -> None:
        """The relay is over: let go of peer and owner, which are freed at once where nothing refers in a circle."""
        self.released = self.eof = self.shut = True
        self.pending = None
        del self.owner, self.peer
