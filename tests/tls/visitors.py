"""Clients of HTTPS that come again and again while certificates change, and trust only what they should."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from typing import Literal

from tests.certificates import Authority

#: ``stays`` on its first connection; ``comes`` with a new one, and a full handshake, for each request; ``resumes`` the
#: last session each time; ``rsa``: comes, and can verify RSA certificates alone
Manner = Literal["stays", "comes", "resumes", "rsa"]

NAME = "a.test"
BODY = 20
REQUEST = b"GET /bytes/%d HTTP/1.1\r\nHost: %b\r\n\r\n" % (BODY, NAME.encode())
#: seconds that anything may take
PATIENCE_S = 20.0


class Visitor(threading.Thread):
    """
    Asks a listener of :data:`NAME` for :data:`BODY` bytes, and checks each answer.

    :ivar shown: fingerprints of the certificates that it was shown. :ivar answers: how many were good.
    :ivar resumed: connections that went on with the session of another. :ivar failure: what ended it.
    """

    def __init__(self, port: int, manner: Manner, authority: Authority) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._manner = manner
        self._enough = threading.Event()
        self._context = ssl.create_default_context(cadata=authority.pem.decode())
        if manner == "rsa":
            self._context.maximum_version = ssl.TLSVersion.TLSv1_2
            self._context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        self._session: ssl.SSLSession | None = None
        self.shown: set[str] = set()
        self.answers = 0
        self.resumed = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        """Ask until it is enough, or something goes wrong."""
        try:
            while not self._enough.is_set():
                self._visit()
        except Exception as error:
            self.failure = error

    def _visit(self) -> None:
        session = self._session if self._manner == "resumes" else None
        with (
            socket.create_connection(("127.0.0.1", self._port), PATIENCE_S) as plain,
            self._context.wrap_socket(plain, server_hostname=NAME, session=session) as secured,
        ):
            self.resumed += bool(secured.session_reused)
            self.shown.add(hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest())
            self._ask(secured)
            while self._manner == "stays" and not self._enough.is_set():
                self._ask(secured)
            self._session = secured.session

    def _ask(self, secured: ssl.SSLSocket) -> None:
        secured.sendall(REQUEST)
        answer = b""
        while len(answer.partition(b"\r\n\r\n")[2]) < BODY:
            piece = secured.recv(65536)
            if not piece:
                raise ConnectionError("closed")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"answered {answer[:40]!r}")
        self.answers += 1

    def leave(self) -> None:
        """Let it end; raise what went wrong."""
        self._enough.set()
        self.join(PATIENCE_S)
        if self.failure is not None:
            raise self.failure
