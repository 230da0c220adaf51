"""A small HTTPS load for tests: handshakes without a pause, while certificates change."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

from tests.certificates import Authority, Kind
from tests.integration.transports import BUDGET_S

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Handshakes:
    """
    Threads that shake hands again and again, with one request each, and threads that ask on kept connections.

    :param trusted: certificates (PEM) of authorities. :ivar asked: requests that were answered.
    :ivar failures: of any kind.
    """

    def __init__(self, port: int, trusted: bytes, *, fresh: int = 3, kept: int = 2) -> None:
        self.port = port
        self.asked = 0
        self.failures: list[str] = []
        self._context = ssl.create_default_context(cadata=trusted.decode())
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number < kept,)) for number in range(fresh + kept)]

    def __enter__(self) -> Handshakes:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def open(self) -> ssl.SSLSocket:
        """Shake hands."""
        sock = socket.create_connection(("127.0.0.1", self.port), BUDGET_S)
        try:
            return self._context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        except OSError:
            sock.close()
            raise

    def serial(self) -> int:
        """Return the serial number of the certificate that is served."""
        with self.open() as client:
            found = client.getpeercert()
            if found is None:
                raise RuntimeError("there is no certificate")
            return int(str(found["serialNumber"]), 16)

    def _run(self, keep: bool) -> None:
        client: ssl.SSLSocket | None = None
        try:
            while not self._stop.is_set():
                client = client or self.open()
                client.sendall(REQUEST)
                answer = client.recv(65536)
                if not answer.startswith(b"HTTP/1.1 200 "):
                    raise ConnectionError(f"answered {answer!r}")
                with self._lock:
                    self.asked += 1
                if not keep:
                    client.close()
                    client = None
        except OSError as error:
            self.failures.append(f"{'kept' if keep else 'fresh'}: {error!r}")
        finally:
            if client is not None:
                client.close()


def replace(served: Path, authority: Authority, *, kind: Kind = "ecdsa") -> int:
    """Put another certificate for ``localhost`` in the place of a file; its serial number."""
    leaf = authority.leaf("localhost", kind=kind)
    leaf.write(served.with_suffix(".new"))
    served.with_suffix(".new").rename(served)
    return leaf.certificate.serial_number
