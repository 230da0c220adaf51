"""
The first message of a TLS client, read before any TLS library has seen it (RFC 8446 sections 4.1.2 and 5.1). Sans-I/O.

What is no ClientHello is refused with a word of a closed set, which metrics count, a text for the log and the alert
that tells the client. The verdict depends on the bytes alone, never on how they were cut into records or reads.

This is not a TLS implementation: lengths are judged, and the names that decisions rest on. Whether versions, cipher
suites or key shares suit is for the library that ends the connection, here or at a backend.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from netappliance.tls import alerts
from netappliance.tls.ja4 import ja4

#: bytes that a ClientHello may take with the headers of its records. Those of browsers take 0.5 to 2 KiB with
#: post-quantum key shares, resumption adds a ticket; and every client that waits may have us hold this much.
MAX_BYTES: Final = 16 * 1024

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
#: type, version, length (RFC 8446 section 5.1)
_RECORD_HEADER: Final = 5
_MAX_FRAGMENT: Final = 16384
#: type and length (RFC 8446 section 4)
_MESSAGE_HEADER: Final = 4
#: legacy_version and random, and the length of the session id behind them
_FIXED: Final = 34

_SERVER_NAME: Final = 0
_GROUPS: Final = 10
_SIGNATURE_ALGORITHMS: Final = 13
_ALPN: Final = 16
_VERSIONS: Final = 43

#: letters, digits, hyphens and the underscores of the real world; labels as long as DNS allows (RFC 1035, 2.3.4)
_HOST_NAME: Final = re.compile(rb"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\Z")
_MAX_HOST_NAME: Final = 253

_METHODS: Final = (
    *(b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "),
    *(b"PROPFIND ", b"PRI "),
)


@dataclass(frozen=True, slots=True)
class HelloRefusal:
    """
    Why the first bytes of a connection are no ClientHello that is taken.

    :ivar reason: the word for metrics. :ivar text: the same for people. :ivar alert: the record to answer with; empty
        where the client does not speak TLS.
    """

    reason: str
    text: str
    alert: bytes = b""


def _refusal(reason: str, text: str, alert: int) -> HelloRefusal:
    return HelloRefusal(reason, text, alerts.fatal_alert(alert))


NOT_TLS: Final = HelloRefusal("not_tls", "neither TLS nor HTTP")
PLAIN_HTTP: Final = HelloRefusal("plain_http", "HTTP without TLS")
SSLV2: Final = _refusal("sslv2", "a hello of SSL 2.0", alerts.PROTOCOL_VERSION)
RECORD_TYPE: Final = _refusal("record_type", "a TLS record that is no handshake", alerts.UNEXPECTED_MESSAGE)
RECORD_VERSION: Final = _refusal("record_version", "a record of no known version", alerts.PROTOCOL_VERSION)
RECORD_TOO_LARGE: Final = _refusal("record_too_large", "a record of more than 16384 bytes", alerts.RECORD_OVERFLOW)
EMPTY_RECORD: Final = _refusal("empty_record", "a record without content", alerts.UNEXPECTED_MESSAGE)
NOT_CLIENT_HELLO: Final = _refusal("not_client_hello", "a handshake that begins otherwise", alerts.UNEXPECTED_MESSAGE)
TRAILING_DATA: Final = _refusal("trailing_data", "more in a record than the ClientHello", alerts.UNEXPECTED_MESSAGE)
TOO_LARGE: Final = _refusal("too_large", f"a ClientHello of more than {MAX_BYTES} bytes", alerts.ILLEGAL_PARAMETER)
MALFORMED: Final = _refusal("malformed", "lengths that do not fit", alerts.DECODE_ERROR)
DUPLICATE_EXTENSION: Final = _refusal("duplicate_extension", "an extension that comes twice", alerts.ILLEGAL_PARAMETER)
BAD_SERVER_NAME: Final = _refusal("bad_server_name", "a server name that is none", alerts.ILLEGAL_PARAMETER)
BAD_ALPN: Final = _refusal("bad_alpn", "a malformed list of application protocols", alerts.DECODE_ERROR)

REFUSALS: Final = (
    *(NOT_TLS, PLAIN_HTTP, SSLV2, RECORD_TYPE, RECORD_VERSION, RECORD_TOO_LARGE, EMPTY_RECORD, NOT_CLIENT_HELLO),
    *(TRAILING_DATA, TOO_LARGE, MALFORMED, DUPLICATE_EXTENSION, BAD_SERVER_NAME, BAD_ALPN),
)


class ClientHello:
    """
    What a client says of itself. The message is held as long as this is; what is rarely asked for is read when asked.

    :ivar legacy_version: as sent, 0x0303 in TLS 1.2 and 1.3. :ivar server_name: of RFC 6066 section 3 in lower case
        without a trailing dot; empty when there was none, or an IP address, which the RFC does not permit.
    :ivar alpn: protocols that the client offers (RFC 7301), its favourite first. :ivar extensions: types in
        their order.
    """

    __slots__ = ("_body", "_extensions_at", "_suites_at", "alpn", "extensions", "legacy_version", "server_name")

    def __init__(self, body: bytes, suites_at: int, extensions_at: int) -> None:
        self._body = body
        self._suites_at = suites_at
        self._extensions_at = extensions_at
        self.legacy_version = _number(body, 0)
        self.server_name = b""
        self.alpn: tuple[bytes, ...] = ()
        self.extensions: tuple[int, ...] = ()

    @property
    def cipher_suites(self) -> tuple[int, ...]:
        """In the client's order, with what only signals (RFC 5746) and GREASE."""
        return _numbers(self._body, self._suites_at + 2, _number(self._body, self._suites_at))

    @property
    def versions(self) -> tuple[int, ...]:
        """Of supported_versions, in the client's order; empty when there was no such extension, or a malformed one."""
        start, end = self._extension(_VERSIONS)
        if end == start or self._body[start] != end - start - 1:
            return ()
        return _numbers(self._body, start + 1, end - start - 1)

    @property
    def groups(self) -> tuple[int, ...]:
        """Of supported_groups, as ``versions``."""
        return self._list(_GROUPS)

    @property
    def signature_algorithms(self) -> tuple[int, ...]:
        """Of the extension of this name, as ``versions``."""
        return self._list(_SIGNATURE_ALGORITHMS)

    def ja4(self) -> str:
        """Return the client's fingerprint."""
        return ja4(
            self.legacy_version,
            self.versions,
            self.cipher_suites,
            self.extensions,
            self.alpn,
            self.signature_algorithms,
        )

    def _list(self, kind: int) -> tuple[int, ...]:
        """Return the numbers of an extension that is one list with a length of two bytes."""
        start, end = self._extension(kind)
        if end - start < 2 or _number(self._body, start) != end - start - 2:
            return ()
        return _numbers(self._body, start + 2, end - start - 2)

    def _extension(self, kind: int) -> tuple[int, int]:
        """Return where an extension's data begins and ends; the same twice when it is not there."""
        body, position = self._body, self._extensions_at
        if kind not in self.extensions:
            return position, position
        while _number(body, position) != kind:
            position += 4 + _number(body, position + 2)
        return position + 4, position + 4 + _number(body, position + 2)


class HelloReader:
    """
    Reads the start of a connection while it grows. What it has read of it is not read again, so that a client that
    sends byte by byte costs no more than its bytes.
    """

    __slots__ = ("_message", "_position")

    def __init__(self) -> None:
        #: of the handshake, from whole records
        self._message = b""
        #: where the next record begins
        self._position = 0

    def judge(self, data: bytes) -> ClientHello | HelloRefusal | None:
        """
        Judge the first bytes of a connection.

        :param data: all of them that there are, the same as before and more behind; what follows the ClientHello is
            not looked at.
        :return: None while more bytes are needed, which is never so from ``MAX_BYTES`` on.
        """
        data = data[:MAX_BYTES]
        size = len(data)
        while self._position < size:
            start = self._position
            if not start and not 20 <= data[0] <= 24:
                return _judge_stranger(data)
            refusal = _judge_header(data, start)
            if refusal is not None:
                return refusal
            start += _RECORD_HEADER
            if start >= size:
                break
            end = start + _number(data, start - 2)
            known = len(self._message)
            # of a record that is not whole only what is judged, or each byte would cost all those before it
            seen = self._message + data[start : end if end <= size else min(size, start + _MESSAGE_HEADER)]
            refusal = _judge_message(seen, start - known, known + end - start)
            if refusal is not None:
                return refusal
            if end > size:
                break
            self._message = seen
            self._position = end
            if len(seen) >= _MESSAGE_HEADER and len(seen) == _message_size(seen):
                return _read(seen[_MESSAGE_HEADER:])
        return TOO_LARGE if size == MAX_BYTES else None


def parse(data: bytes) -> ClientHello | HelloRefusal | None:
    """Judge the first bytes of a connection at once; see :meth:`HelloReader.judge`."""
    return HelloReader().judge(data)


# -- records ----------------------------------------------------------------------------------------------------------


def _judge_stranger(data: bytes) -> HelloRefusal | None:
    """Say what a connection speaks whose first byte is no type of a record; None when more bytes are needed."""
    if data[0] & 0x80:
        # a length of two bytes, then the type and the version of SSL 2.0's hello
        if len(data) < 3:
            return None
        return SSLV2 if data[2] == _CLIENT_HELLO else NOT_TLS
    for method in _METHODS:
        if data.startswith(method):
            return PLAIN_HTTP
        if method.startswith(data):
            return None
    return NOT_TLS


def _judge_header(data: bytes, position: int) -> HelloRefusal | None:
    """Judge a record's header, as far as it is there."""
    there = len(data) - position
    if data[position] != _HANDSHAKE:
        return RECORD_TYPE
    # the minor number "MUST be ignored for all purposes" (RFC 8446 section 5.1)
    if there > 1 and data[position + 1] != 3:
        return RECORD_VERSION
    if there >= _RECORD_HEADER:
        length = _number(data, position + 3)
        if length > _MAX_FRAGMENT:
            return RECORD_TOO_LARGE
        if not length:
            return EMPTY_RECORD
    return None


def _judge_message(seen: bytes, begun_at: int, declared: int) -> HelloRefusal | None:
    """
    Judge what is there of the handshake.

    :param begun_at: where it would have begun, had the records before had no headers. :param declared: its bytes in the
        records whose header is there.
    """
    if seen[0] != _CLIENT_HELLO:
        return NOT_CLIENT_HELLO
    if len(seen) < _MESSAGE_HEADER:
        return None
    size = _message_size(seen)
    if begun_at + size > MAX_BYTES:
        return TOO_LARGE
    # nothing may follow it before the server has spoken (RFC 8446 section 5.1)
    return TRAILING_DATA if declared > size else None


def _message_size(message: bytes) -> int:
    return _MESSAGE_HEADER + (message[1] << 16 | message[2] << 8 | message[3])


# -- the message ------------------------------------------------------------------------------------------------------


def _read(body: bytes) -> ClientHello | HelloRefusal:
    size = len(body)
    if size <= _FIXED or body[_FIXED] > 32:
        return MALFORMED
    suites_at = _FIXED + 1 + body[_FIXED]
    if suites_at + 2 > size:
        return MALFORMED
    length = _number(body, suites_at)
    position = suites_at + 2 + length
    if length < 2 or length & 1 or position >= size:
        return MALFORMED
    compressions = body[position]
    position += 1 + compressions
    if not compressions or position > size:
        return MALFORMED
    if position == size:
        # hellos of TLS 1.2 and before may be without (RFC 5246 section 7.4.1.2)
        return ClientHello(body, suites_at, position)
    if position + 2 > size or _number(body, position) != size - position - 2:
        return MALFORMED
    hello = ClientHello(body, suites_at, position + 2)
    return _read_extensions(hello, body, position + 2) or hello


def _read_extensions(hello: ClientHello, body: bytes, position: int) -> HelloRefusal | None:
    size = len(body)
    kinds = []
    while position < size:
        if position + 4 > size:
            return MALFORMED
        kind = _number(body, position)
        start = position + 4
        position = start + _number(body, position + 2)
        if position > size:
            return MALFORMED
        kinds.append(kind)
        if kind == _SERVER_NAME:
            name = _server_name(body[start:position])
            if name is None:
                return BAD_SERVER_NAME
            hello.server_name = name
        elif kind == _ALPN:
            protocols = _protocols(body, start, position)
            if not protocols:
                return BAD_ALPN
            hello.alpn = tuple(protocols)
    hello.extensions = tuple(kinds)
    return DUPLICATE_EXTENSION if len(set(kinds)) != len(kinds) else None


def _server_name(data: bytes) -> bytes | None:
    """
    Return the host name of a server_name extension, empty for an IP address; None when it is not one valid name.

    Lists of several names were never used; servers do not take them.
    """
    # length of the list, type, length of the name (RFC 6066 section 3)
    size = len(data)
    if size < 6 or _number(data, 0) != size - 2 or data[2] or _number(data, 3) != size - 5:
        return None
    name = data[5:].lower()
    if name[-1] == 0x2E:
        name = name[:-1]
    if len(name) > _MAX_HOST_NAME:
        return None
    if _HOST_NAME.match(name) is None:
        return b"" if _is_address(name) else None
    return b"" if name[-1:].isdigit() and _is_address(name) else name


def _is_address(name: bytes) -> bool:
    try:
        ipaddress.ip_address(name.decode("ascii"))
    except ValueError:
        return False
    return True


def _protocols(body: bytes, start: int, end: int) -> list[bytes] | None:
    """Return the names of an ALPN extension, or None when it is malformed (RFC 7301 section 3.1)."""
    if end - start < 4 or _number(body, start) != end - start - 2:
        return None
    found = []
    position = start + 2
    while position < end:
        begin = position + 1
        position = begin + body[position]
        if position == begin or position > end:
            return None
        found.append(body[begin:position])
    return found


def _number(data: bytes, position: int) -> int:
    """Return the number of two bytes."""
    return data[position] << 8 | data[position + 1]


def _numbers(data: bytes, start: int, length: int) -> tuple[int, ...]:
    """Return as many numbers of two bytes as there are whole ones in ``length`` bytes."""
    return tuple([_number(data, position) for position in range(start, start + length - 1, 2)])
