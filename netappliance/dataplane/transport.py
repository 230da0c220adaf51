"""What lies below a stream connection: TCP or a unix socket; TLS over one (tls_transport.py) has the same few calls."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from socket import MSG_PEEK, SocketType
from typing import Any

from mypy_extensions import mypyc_attr

from netappliance.dataplane.sockets import pending_error, reset_on_close, start_connect

#: begins a connection: (family, address) -> its socket; raises OSError when it fails at once
Connect = Callable[[int, Any], SocketType]


@mypyc_attr(allow_interpreted_subclasses=True)
class Transport:
    """
    Moves the bytes of one connected socket. ``recv``, ``recv_into`` and ``send`` are called as a socket's: they raise
    BlockingIOError when nothing can be done now, another OSError when the connection broke, and ``recv`` of the end is
    empty. For plain sockets they *are* the socket's, so that this layer costs nothing.

    :ivar sock: what the poller watches and closes. :ivar fd: its descriptor.
    :ivar sendmsg: sends several buffers as one, or None where that is not to be had.
    """

    def __init__(self, sock: SocketType, above: Any = None) -> None:
        """:param above: what has these three calls in the socket's place, without ``sendmsg``; None = nothing."""
        calls: Any = sock if above is None else above
        self.sock = sock
        self.fd: int = sock.fileno()
        self.recv: Callable[[int], bytes] = calls.recv
        self.recv_into: Callable[[Any, int], int] = calls.recv_into
        self.send: Callable[[Any], int] = calls.send
        self.sendmsg: Callable[[Sequence[Any]], int] | None = sock.sendmsg if above is None else None

    def shut(self) -> None:
        """
        Say that no more will be sent.

        :raises OSError: the connection is gone.
        """
        self.sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Have the close send RST instead of FIN."""
        reset_on_close(self.sock)

    def farewell(self) -> None:
        """Say what is to be said before a close that cuts nothing off: to a plain socket, nothing."""
        return

    def error(self) -> OSError:
        """Return the error that the kernel holds for it."""
        return pending_error(self.sock)

    def silent(self) -> bool:
        """Return True when neither bytes nor the end wait to be read."""
        try:
            self.sock.recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def connect(family: int, address: Any) -> SocketType:
    """Begin a plain connection; see :data:`Connect`."""
    return start_connect(family, address)
