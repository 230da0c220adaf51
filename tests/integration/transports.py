"""What connections of tests run over: TCP alone, or TLS; the same tests run over both."""

from __future__ import annotations

import atexit
import base64
import functools
import hashlib
import select
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.certificates import Authority

_Result = TypeVar("_Result")
#: seconds that anything over a connection may take
BUDGET_S = 20.0


class Transport:
    """
    TCP, and what sections and programs need to be told of it.

    :ivar kind: of the section.
    """

    kind = "http"

    @property
    def keys(self) -> str:
        """Further lines of the section."""
        return ""

    @property
    def tcp_keys(self) -> str:
        """Further lines of a [tcp] section."""
        return ""

    @property
    def environment(self) -> dict[str, str]:
        """Variables for curl, git and others."""
        return {}

    def url(self, port: int, scheme: str = "http") -> str:
        """Return the beginning of a URL. :param scheme: ``http`` or ``ws``."""
        return f"{scheme}://127.0.0.1:{port}"

    def context(self) -> ssl.SSLContext | None:
        """Return a client's context; None where there is none."""
        return None

    def connect(self, port: int, source: str = "127.0.0.1", before: bytes = b"") -> socket.socket:
        """Connect to a port of this host. :param before: a PROXY header."""
        sock = socket.create_connection(("127.0.0.1", port), BUDGET_S, (source, 0))
        sock.sendall(before)
        return sock


class Tls(Transport):
    """
    TLS with a certificate for ``localhost`` from an authority of our own, made when it is first needed.

    :param keys: of the section; empty = that certificate, for requests for any host.
    """

    kind = "https"

    def __init__(self, keys: str = "") -> None:
        self._keys = keys

    @functools.cached_property
    def folder(self) -> Path:
        """Holds ``ca.pem``, and ``served/localhost.pem``."""
        folder = Path(tempfile.mkdtemp(prefix="tls-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        authority = Authority()
        authority.write(folder / "ca.pem")
        served = folder / "served"
        served.mkdir()
        leaf = authority.leaf("localhost", "127.0.0.1")
        leaf.write(served / "localhost.pem")
        public = leaf.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        (folder / "spki").write_bytes(base64.b64encode(hashlib.sha256(public).digest()))
        return folder

    @property
    def keys(self) -> str:
        """Hosts of requests are whatever the tests say."""
        return self._keys or f"certificates = {self.folder}/served\nstrict_sni = no\n"

    @property
    def tcp_keys(self) -> str:
        """The same certificate."""
        return f"tls = yes\ncertificates = {self.folder}/served\n"

    @property
    def environment(self) -> dict[str, str]:
        """OpenSSL's own, which Python and Go know too; curl's, git's and Node's."""
        names = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS")
        return dict.fromkeys(names, str(self.folder / "ca.pem"))

    def url(self, port: int, scheme: str = "http") -> str:
        """Return the beginning of a URL of ``https`` or ``wss``."""
        return f"{scheme}s://localhost:{port}"

    def context(self) -> ssl.SSLContext:
        """Return one that trusts our authority, and takes the end of TCP without close_notify for an error."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.set_alpn_protocols(["http/1.1"])
        return context

    def connect(self, port: int, source: str = "127.0.0.1", before: bytes = b"") -> socket.socket:
        """Connect and shake hands."""
        context = self._context
        plain = super().connect(port, source, before)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            secured = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
        except OSError:
            plain.close()
            raise
        if not isinstance(secured, TlsSocket):
            raise TypeError("the context makes other sockets")
        return secured.guarded()

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        context = self.context()
        context.sslsocket_class = TlsSocket
        return context


class TlsSocket(ssl.SSLSocket):
    """
    A client's connection that one thread may read while another writes, which OpenSSL alone does not allow.

    The end of the stream is close_notify; the end of TCP without it is as good as RST.
    """

    _lock: threading.Lock | None = None
    _limit: float | None = None

    def guarded(self) -> TlsSocket:
        """From now on: the handshake is over."""
        self._limit = self.gettimeout()
        super().settimeout(0)
        self._lock = threading.Lock()
        return self

    def settimeout(self, value: float | None) -> None:
        """Set the limit of each call, in seconds."""
        if self._lock is None:
            super().settimeout(value)
        self._limit = value

    def recv(self, buflen: int = 65536, flags: int = 0) -> bytes:
        """Receive something."""
        if self._lock is None:
            return super().recv(buflen, flags)
        try:
            return self._try(lambda: super(TlsSocket, self).recv(buflen))
        except ssl.SSLZeroReturnError:  # both sides have said close_notify
            return b""
        except ssl.SSLEOFError:
            raise ConnectionResetError("the stream ends without close_notify") from None

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        """Send everything."""
        left = memoryview(data)
        while left:
            piece = left[:65536]
            left = left[self._try(lambda: super(TlsSocket, self).send(piece)) :]  # noqa: B023 - called at once

    def shutdown(self, how: int) -> None:
        """Say close_notify, which ends one direction; the other stays."""
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            self.notify()

    def notify(self) -> None:
        """Send close_notify; the answer to it is read by :meth:`recv`."""
        connection = self._sslobj  # type: ignore[attr-defined]
        try:
            connection.shutdown()
        except (ssl.SSLWantReadError, ssl.SSLSyscallError, ssl.SSLZeroReturnError):
            pass  # ours is on its way

    def _try(self, what: Callable[[], _Result]) -> _Result:
        """Call it until it need not wait."""
        if self._lock is None:
            raise RuntimeError("the handshake is not over")
        deadline = None if self._limit is None else time.monotonic() + self._limit
        while True:
            with self._lock:
                try:
                    return what()
                except ssl.SSLWantReadError:
                    reads, writes = [self.fileno()], []
                except ssl.SSLWantWriteError:
                    reads, writes = [], [self.fileno()]
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError("timed out")
            select.select(reads, writes, [], 0.05 if left is None else min(left, 0.05))


PLAIN = Transport()
TLS = Tls()
