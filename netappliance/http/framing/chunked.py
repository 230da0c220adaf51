"""Bodies in chunks, read and written (RFC 9112 section 7.1)."""

from __future__ import annotations

import re

from netappliance.http.framing import names
from netappliance.http.message import Refusal

#: parts of a body, in their order
Pieces = list[bytes | memoryview]

#: bytes of a chunk's first line; real ones have a few digits
MAX_SIZE_LINE = 256
LAST_CHUNK = b"0\r\n\r\n"

_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})"
    rb"(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"
    rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)*'
)
#: a trailer that says what the head decides is an attack on whoever believes it; others that may not be there
#: (RFC 9110 section 6.5.1) are left out
_REFUSED = names.PROTECTED | {b"connection", b"te", b"trailer"}
_LEFT_OUT = frozenset(
    b"keep-alive proxy-connection content-encoding content-type content-range authorization set-cookie range "
    b"max-forwards cache-control location forwarded x-real-ip x-request-id".split()
)

BAD_SIZE = Refusal(400, "malformed chunk size")
BAD_CHUNK_END = Refusal(400, "chunk without its line end")
BAD_TRAILER = Refusal(400, "malformed trailer")
TRAILERS_TOO_LARGE = Refusal(431, "trailers too large")

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedDecoder:
    """
    Takes a body in chunks apart.

    :ivar trailers: field lines after the last chunk. :ivar done: the whole body was read. :ivar total: bytes of
        content so far.
    """

    __slots__ = ("_hold", "_left", "_max_trailers", "_state", "done", "total", "trailers")

    def __init__(self, max_trailers: int = 16384) -> None:
        self.trailers: list[bytes] = []
        self.done = False
        self.total = 0
        self._max_trailers = max_trailers
        self._state = _SIZE
        self._left = 0
        #: an incomplete line
        self._hold = b""

    def feed(self, data: bytes) -> tuple[Pieces, bytes] | Refusal:
        """
        Take the next bytes.

        :return: pieces of content, and what follows the body (empty unless ``done``); or why it is refused.
        """
        if self._hold:
            data = self._hold + data
        taken = self.take(data, data, len(data))
        if isinstance(taken, Refusal):
            return taken
        pieces, at = taken
        self._hold = b"" if self.done else data[at:]
        return pieces, data[at:] if self.done else b""

    def take(
        self, data: bytes | bytearray, view: bytes | memoryview, size: int, at: int = 0
    ) -> tuple[Pieces, int] | Refusal:
        """
        Take the bytes of a buffer from ``at`` to ``size`` apart, without a copy of the content.

        :param view: of the same bytes; the pieces are slices of it.
        :return: the pieces, and where what was not taken begins: what follows the body, or a line whose end has not
            come, to be given again in front of what comes next.
        """
        pieces: Pieces = []
        while at < size:
            state = self._state
            if state == _DATA:
                end = at + self._left
                if end > size:
                    end = size
                pieces.append(view if not at and end == len(view) else view[at:end])
                self._left -= end - at
                at = end
                if not self._left:
                    self._state = _DATA_END
            elif state == _DATA_END:
                mark = data[at : min(at + 2, size)]
                if mark != b"\r\n":
                    if mark != b"\r":
                        return BAD_CHUNK_END
                    break
                at += 2
                self._state = _SIZE
            elif state == _DONE:
                break
            else:
                line_end = data.find(b"\r\n", at, size)
                end = size if line_end < 0 else line_end
                line = bytes(data[at:end])
                refusal = self._judge_part(line) if line_end < 0 else self._judge_line(line)
                if refusal is not None:
                    return refusal
                if line_end < 0:
                    break
                at = line_end + 2
        return pieces, at

    def _judge_line(self, line: bytes) -> Refusal | None:
        if self._state == _SIZE:
            match = _SIZE_LINE.fullmatch(line) if len(line) <= MAX_SIZE_LINE else None
            if match is None:
                return BAD_SIZE
            self._left = int(match[1], 16)
            if self._left >> 60:
                return BAD_SIZE
            self.total += self._left
            self._state = _DATA if self._left else _TRAILERS
        elif not line:
            self._state = _DONE
            self.done = True
        else:
            return self._judge_trailer(line)
        return None

    def _judge_trailer(self, line: bytes) -> Refusal | None:
        name, colon, value = line.partition(b":")
        if not colon or not names.is_token(name) or value.translate(None, names.ALLOWED):
            return BAD_TRAILER
        self._max_trailers -= len(line) + 2
        if self._max_trailers < 0:
            return TRAILERS_TOO_LARGE
        lowered = name.lower().replace(b"_", b"-")
        if lowered in _REFUSED:
            return BAD_TRAILER
        if lowered not in _LEFT_OUT and not lowered.startswith(b"x-forwarded-"):
            self.trailers.append(line)
        return None

    def _judge_part(self, part: bytes) -> Refusal | None:
        """Judge a line whose end is not there."""
        bare = part[:-1] if part.endswith(b"\r") else part
        if self._state == _SIZE:
            if len(bare) > MAX_SIZE_LINE or not _begins_size_line(bare):
                return BAD_SIZE
        elif bare.translate(None, names.ALLOWED):
            return BAD_TRAILER
        elif len(bare) > self._max_trailers:
            return TRAILERS_TOO_LARGE
        return None


_SIZE_START = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[\t\x20-\x7e\x80-\xff]*)?")


def _begins_size_line(part: bytes) -> bool:
    return not part or _SIZE_START.fullmatch(part) is not None


def encode(pieces: Pieces, size: int, trailers: list[bytes] | None) -> tuple[Pieces, int]:
    """
    Write pieces of content as one chunk; nothing for no content, since an empty chunk would end the body.

    :param size: bytes of all pieces. :param trailers: field lines behind the last chunk; None when this is not the end.
    :return: the pieces to send, and their size.
    """
    framed: Pieces = []
    if size:
        first = b"%x\r\n" % size
        last = b"\r\n" if trailers is None else b"\r\n" + _end(trailers)
        framed.append(first)
        framed += pieces
        framed.append(last)
        return framed, size + len(first) + len(last)
    if trailers is None:
        return framed, 0
    last = _end(trailers)
    framed.append(last)
    return framed, len(last)


def _end(trailers: list[bytes]) -> bytes:
    if not trailers:
        return LAST_CHUNK
    return b"".join((b"0\r\n", *(line + b"\r\n" for line in trailers), b"\r\n"))
