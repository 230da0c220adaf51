"""ClientHellos put together by hand, cut into records, and said by the standard library."""

from __future__ import annotations

import random
import ssl
import struct
from collections.abc import Iterable, Sequence

#: of the example in JA4.md, which is Chrome's
CHROME_SUITES = (
    *(0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F),
    0x0035,
)
CHROME_ALGORITHMS = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
#: type 1, or any other, of a record that holds a handshake
HANDSHAKE = 22


def short(data: bytes) -> bytes:
    """Put a length of one byte before."""
    return bytes((len(data),)) + data


def long(data: bytes) -> bytes:
    """Put a length of two bytes before."""
    return struct.pack("!H", len(data)) + data


def numbers(values: Iterable[int]) -> bytes:
    """Return them with two bytes each."""
    return b"".join(struct.pack("!H", value) for value in values)


def extension(kind: int, data: bytes = b"") -> bytes:
    """Return one extension."""
    return struct.pack("!H", kind) + long(data)


def server_name(*names: bytes, kind: int = 0) -> bytes:
    """Return the extension of RFC 6066 section 3."""
    return extension(0, long(b"".join(bytes((kind,)) + long(name) for name in names)))


def alpn(*protocols: bytes) -> bytes:
    """Return the extension of RFC 7301."""
    return extension(16, long(b"".join(short(protocol) for protocol in protocols)))


def versions(*values: int) -> bytes:
    """Return the extension supported_versions."""
    return extension(43, short(numbers(values)))


def listed(kind: int, values: Iterable[int]) -> bytes:
    """Return supported_groups, signature_algorithms or another list of numbers."""
    return extension(kind, long(numbers(values)))


def body(
    *extensions: bytes,
    suites: Sequence[int] = CHROME_SUITES,
    legacy_version: int = 0x0303,
    session_id: bytes = b"\x05" * 32,
    compressions: bytes = b"\0",
) -> bytes:
    """Return a ClientHello without its header."""
    return b"".join(
        (
            struct.pack("!H", legacy_version),
            bytes(range(32)),
            short(session_id),
            long(numbers(suites)),
            short(compressions),
            long(b"".join(extensions)),
        )
    )


def message(content: bytes, kind: int = 1) -> bytes:
    """Return a handshake message."""
    return bytes((kind,)) + struct.pack("!I", len(content))[1:] + content


def record(content: bytes, kind: int = HANDSHAKE, version: int = 0x0301) -> bytes:
    """Return a record."""
    return struct.pack("!BHH", kind, version, len(content)) + content


def records(content: bytes, cuts: Iterable[int]) -> bytes:
    """Return a message in records that end at the offsets ``cuts`` and at its end."""
    ends = sorted({*(cut for cut in cuts if 0 < cut < len(content)), len(content)})
    return b"".join(record(content[start:end]) for start, end in zip((0, *ends), ends, strict=False))


def hello(*extensions: bytes) -> bytes:
    """Return a ClientHello in one record."""
    return record(message(body(*extensions)))


def said_by_ssl(
    name: str | None, protocols: Sequence[str] = (), newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> bytes:
    """Return what Python's ssl module sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = newest
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return the bytes with a few of them changed, cut out, doubled or put in, or the end cut off."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        position = draw.randrange(len(found) + 1)
        end = position + draw.randint(1, 8)
        kind = draw.randrange(6)
        if kind < 3 and position < len(found):
            found[position] = draw.choice((0, 1, 255, draw.randrange(256), found[position] ^ 1 << draw.randrange(8)))
        elif kind == 3:
            del found[position:end]
        elif kind == 4:
            found[position:position] = found[position:end]
        elif kind == 5 and draw.random() < 0.2:
            del found[position:]
    return bytes(found)
