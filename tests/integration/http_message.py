"""HTTP messages as the tests' own client and backend read them: strictly, and keeping every byte."""

from __future__ import annotations

import socket


class MalformedMessageError(Exception):
    """What came is no HTTP/1.1 message."""


class ConnectionEndedError(Exception):
    """The other side closed inside a message; holds what came."""


class Message:
    """
    A request or a response.

    :ivar start: its first line. :ivar fields: (lower-case name, value) in order. :ivar head: all bytes up to and with
        the empty line. :ivar body: content without chunk framing. :ivar trailers: as ``fields``. :ivar raw: all bytes.
    """

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.body = b""
        self.raw = head
        self.trailers: list[tuple[bytes, bytes]] = []
        lines = head[:-4].split(b"\r\n")
        self.start = lines[0]
        self.fields = [self._field(line) for line in lines[1:]]

    @staticmethod
    def _field(line: bytes) -> tuple[bytes, bytes]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name or b"\r" in line or b"\n" in line or b"\0" in line:
            raise MalformedMessageError(line)
        return name.lower(), value.strip(b" \t")

    def all(self, name: str) -> list[bytes]:
        """Return the values of every field of this name."""
        return [value for found, value in self.fields if found == name.lower().encode()]

    def get(self, name: str) -> bytes | None:
        """Return the value of the only field of this name, None without; several are a failure."""
        values = self.all(name)
        if len(values) > 1:
            raise MalformedMessageError(f"several {name}: {values}")
        return values[0] if values else None

    @property
    def names(self) -> list[bytes]:
        """Names of all fields, in order."""
        return [name for name, _ in self.fields]

    @property
    def status(self) -> int:
        """Of a response."""
        return int(self.start.split(b" ")[1])

    @property
    def method(self) -> bytes:
        """Of a request."""
        return self.start.split(b" ")[0]

    @property
    def target(self) -> bytes:
        """Of a request."""
        return self.start.split(b" ")[1]

    @property
    def length(self) -> int | None:
        """Bytes of body: -1 = chunked, None = not said."""
        if self.get("Transfer-Encoding") is not None:
            if self.get("Transfer-Encoding") != b"chunked" or self.get("Content-Length") is not None:
                raise MalformedMessageError(self.head)
            return -1
        declared = self.get("Content-Length")
        return None if declared is None else int(declared)


class Reader:
    """Reads messages from a socket; ``received`` keeps every byte that ever came, ``pending`` what is not read yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.pending = b""

    def more(self) -> bool:
        """Receive once; False for FIN."""
        data = self.sock.recv(262144)
        self.received += data
        self.pending += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """
        Take everything up to and with ``mark``.

        :raises ConnectionEndedError: on FIN before it.
        """
        while mark not in self.pending:
            if not self.more():
                raise ConnectionEndedError(self.pending)
        end = self.pending.index(mark) + len(mark)
        taken, self.pending = self.pending[:end], self.pending[end:]
        return taken

    def exactly(self, count: int) -> bytes:
        """
        Take that many bytes.

        :raises ConnectionEndedError: on FIN before them.
        """
        parts = [self.pending]
        have = len(self.pending)
        while have < count:
            data = self.sock.recv(262144)
            if not data:
                raise ConnectionEndedError(b"".join(parts))
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self.received += whole[len(self.pending) :]
        taken, self.pending = whole[:count], whole[count:]
        return taken

    def rest(self) -> bytes:
        """Take everything up to FIN."""
        while self.more():
            pass
        taken, self.pending = self.pending, b""
        return taken

    def head(self) -> Message:
        """Read a head."""
        return Message(self.until(b"\r\n\r\n"))

    def body(self, message: Message, *, until_close: bool) -> Message:
        """Read the body that the head announces; without one, up to FIN if ``until_close``."""
        length = message.length
        if length == -1:
            self._chunks(message)
        elif length is not None:
            message.body = self.exactly(length)
            message.raw += message.body
        elif until_close:
            message.body = self.rest()
            message.raw += message.body
        return message

    def _chunks(self, message: Message) -> None:
        parts = []
        raw = [message.raw]
        while True:
            line = self.until(b"\r\n")
            raw.append(line)
            size = int(line[:-2], 16)
            if b"%x\r\n" % size != line.lower():
                raise MalformedMessageError(line)
            if not size:
                break
            chunk = self.exactly(size + 2)
            raw.append(chunk)
            if not chunk.endswith(b"\r\n"):
                raise MalformedMessageError(chunk)
            parts.append(chunk[:-2])
        while (line := self.until(b"\r\n")) != b"\r\n":
            raw.append(line)
            message.trailers.append(message._field(line[:-2]))
        message.body = b"".join(parts)
        message.raw = b"".join([*raw, b"\r\n"])
