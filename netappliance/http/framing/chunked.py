"""Bodies in chunks, read and written (RFC 9112 section 7.1)."""

from __future__ import annotations

import re

from netappliance.http.framing import names
from netappliance.http.message import Refusal

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

    def feed(self, data: bytes) -> tuple[list[bytes], bytes] | Refusal:
        """
        Take the next bytes.

        :return: pieces of content, and what follows the body (empty unless ``done``); or why it is refused.
        """
        if self._hold:
            data = self._hold + data
            self._hold = b""
        pieces: list[bytes] = []
        at, size = 0, len(data)
        while at < size:
            if self._state == _DATA:
                piece = data[at : at + self._left] if at or self._left < size else data
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
                continue
            if self._state == _DATA_END:
                mark = data[at : at + 2]
                if mark != b"\r\n":
                    if mark != b"\r":
                        return BAD_CHUNK_END
                    break
                at += 2
                self._state = _SIZE
                continue
            if self._state == _DONE:
                break
            line_end = data.find(b"\r\n", at)
            refusal = self._judge_line(data[at:line_end]) if line_end >= 0 else self._judge_part(data[at:])
            if refusal is not None:
                return refusal
            if line_end < 0:
                break
            at = line_end + 2
        rest = data[at:]
        if not self.done:
            self._hold, rest = rest, b""
        return pieces, rest

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


def encode(pieces: list[bytes]) -> bytes:
    """Return the pieces as one chunk; nothing for no content, since an empty chunk would end the body."""
    size = sum(map(len, pieces))
    if not size:
        return b""
    return b"".join((b"%x\r\n" % size, *pieces, b"\r\n"))


def encode_end(trailers: list[bytes]) -> bytes:
    """Return the last chunk with its trailers."""
    if not trailers:
        return LAST_CHUNK
    return b"".join((b"0\r\n", *(line + b"\r\n" for line in trailers), b"\r\n"))
