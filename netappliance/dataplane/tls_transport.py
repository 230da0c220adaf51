"""
TLS as a transport: OpenSSL reads and writes the non-blocking socket itself, without a buffer of ours between.

pyOpenSSL makes the connection; its bytes are moved by the bindings below it, for its own calls allocate a buffer for
every read and raise an exception for every read that finds nothing.
"""

from __future__ import annotations

import errno
import os
import socket
from socket import SocketType
from typing import Any, Final

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from netappliance.dataplane.receive_buffer import BUFFER_SIZE
from netappliance.dataplane.transport import Transport
from netappliance.tls.errors import TlsError

#: where :meth:`TlsSocket.recv` has OpenSSL put what it makes bytes of at once
_plain: Final = ffi.new("char[]", BUFFER_SIZE)
_read: Final = lib.SSL_read
_write: Final = lib.SSL_write
_get_error: Final = lib.SSL_get_error
_WANT_READ: Final = lib.SSL_ERROR_WANT_READ
_WANT_WRITE: Final = lib.SSL_ERROR_WANT_WRITE
_ZERO_RETURN: Final = lib.SSL_ERROR_ZERO_RETURN
_SYSCALL: Final = lib.SSL_ERROR_SYSCALL
_UNEXPECTED_EOF: Final = lib.SSL_R_UNEXPECTED_EOF_WHILE_READING


class TlsSocket:
    """
    The calls of a socket on a TLS connection, with a socket's meaning: a short read has emptied the kernel's buffer,
    a short write has filled it, and what did not go out is handed in again, at the beginning of the next write.

    :ivar connection: pyOpenSSL's, None before :meth:`attach`.
    :ivar strict_end: an end without close_notify is an error (ECONNRESET), for whoever reads until the end; otherwise
        it counts as the end, as of a plain connection.
    """

    __slots__ = ("_over", "_ssl", "connection", "sock", "strict_end")

    def __init__(self, sock: SocketType, *, strict_end: bool) -> None:
        self.sock = sock
        self.strict_end = strict_end
        self.connection: SSL.Connection | None = None
        self._ssl: Any = None
        #: how reading ended: None as long as it did not, errors are raised again and again
        self._over: OSError | EOFError | None = None

    def attach(self, connection: SSL.Connection) -> None:
        """Use this connection, which was made for ``sock``."""
        self.connection = connection
        self._ssl = connection._ssl  # noqa: SLF001 - see the module

    def handshake(self) -> bool:
        """
        Go on with the handshake.

        :return: True when it is over; False when the peer has to send something, or to read.
        :raises TlsError: it failed. :raises OSError: the connection broke (ECONNRESET also where it ended).
        """
        result = lib.SSL_do_handshake(self._ssl)
        if result == 1:
            return True
        code = _get_error(self._ssl, result)
        if code in (_WANT_READ, _WANT_WRITE):
            return False
        over = self._judge(code)
        if isinstance(over, EOFError):
            over = OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self._over = over
        raise over

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes; empty at the end. As ``socket.recv`` raises."""
        count = self._fill(_plain, min(size, BUFFER_SIZE))
        data: bytes = ffi.unpack(_plain, count)
        return data

    def recv_into(self, buffer: bytearray, size: int) -> int:
        """Read up to ``size`` bytes to the beginning of a buffer; 0 at the end. As ``socket.recv_into`` raises."""
        return self._fill(ffi.from_buffer(buffer), size)

    def _fill(self, pointer: Any, size: int) -> int:
        """Read record after record until there is no more, or ``size`` is reached."""
        if self._over is not None:
            return self._ended(self._over)
        ssl = self._ssl
        got: int = _read(ssl, pointer, size)
        if got > 0:
            while got < size:
                count: int = _read(ssl, pointer + got, size - got)
                if count <= 0:
                    code = _get_error(ssl, count)
                    if code != _WANT_READ:
                        self._over = self._judge(code)
                        # the end is told by the next read: have the poller call for it
                        self._wake()
                    break
                got += count
            return got
        code = _get_error(ssl, got)
        if code in (_WANT_READ, _WANT_WRITE):
            raise BlockingIOError
        self._over = self._judge(code)
        return self._ended(self._over)

    def _ended(self, over: OSError | EOFError) -> int:
        if isinstance(over, OSError):
            raise over
        return 0

    def _wake(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            return  # disconnected: the poller has told it, or will

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Write as much as the kernel takes; as ``socket.send`` raises."""
        size = len(data)
        if not size:
            return 0
        ssl = self._ssl
        pointer = ffi.from_buffer(data)
        sent: int = _write(ssl, pointer, size)
        if sent == size:
            return sent
        if sent > 0:
            while True:
                count: int = _write(ssl, pointer + sent, size - sent)
                if count <= 0:
                    break
                sent += count
                if sent == size:
                    return sent
        else:
            count, sent = sent, 0
        code = _get_error(ssl, count)
        if code in (_WANT_READ, _WANT_WRITE):
            if sent:
                return sent
            raise BlockingIOError
        over = self._judge(code)
        self._over = over if isinstance(over, OSError) else OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        raise self._over

    def silent(self) -> bool:
        """Return True when neither application data nor the end wait; records of the protocol's own are processed."""
        if self._over is not None:
            return False
        result = lib.SSL_peek(self._ssl, _plain, 1)
        if result > 0:
            return False
        code = _get_error(self._ssl, result)
        if code == _WANT_READ:
            return True
        self._over = self._judge(code)
        return False

    def failure(self) -> OSError | None:
        """Return why TLS failed, if it did: what the peer said before it broke the connection waits to be read."""
        if self._ssl is not None:
            self.silent()
        over = self._over
        return over if isinstance(over, TlsError) else None

    def say_end(self) -> None:
        """Send close_notify, unless the connection broke; what the kernel does not take is given up."""
        if self._ssl is None or isinstance(self._over, OSError):
            return
        if lib.SSL_shutdown(self._ssl) < 0:
            lib.ERR_clear_error()

    def _judge(self, code: int) -> OSError | EOFError:
        """Return how the connection ended; OpenSSL's queue of errors is empty afterwards, or others would find them."""
        if code == _ZERO_RETURN:
            return EOFError()
        number = ffi.errno if code == _SYSCALL else 0
        reason = lib.ERR_peek_error()
        words = _words(reason)
        lib.ERR_clear_error()
        if code == _SYSCALL and number:
            return OSError(number, os.strerror(number))
        if code == _SYSCALL or lib.ERR_GET_REASON(reason) == _UNEXPECTED_EOF:
            if self.strict_end:
                return OSError(errno.ECONNRESET, "TLS: ended without close_notify")
            return EOFError()
        return TlsError(words)


def _words(number: int) -> str:
    """Return OpenSSL's words for an error."""
    words = lib.ERR_reason_error_string(number)
    return "unknown failure" if words == ffi.NULL else ffi.string(words).decode("ascii", "replace")


class TlsTransport(Transport):
    """
    A socket under TLS, of either side.

    :ivar tls: moves the bytes; nothing can be moved before a connection is attached to it and its handshake is over.
    """

    def __init__(self, sock: SocketType, *, strict_end: bool = False) -> None:
        # a part of its own: calls bound to the transport would hold it in a circle
        tls = TlsSocket(sock, strict_end=strict_end)
        super().__init__(sock, tls)
        self.tls = tls

    def shut(self) -> None:
        """
        Say that no more will be sent: close_notify, then FIN.

        :raises OSError: the connection is gone.
        """
        self.tls.say_end()
        self.sock.shutdown(socket.SHUT_WR)

    def farewell(self) -> None:
        """Say that all was sent (close_notify)."""
        self.tls.say_end()

    def error(self) -> OSError:
        """Return the peer's alert, else the error that the kernel holds."""
        return self.tls.failure() or super().error()

    def silent(self) -> bool:
        """Return True when neither bytes nor the end wait to be read."""
        return self.tls.silent()
