"""Compress or decompress payloads: raw snappy blocks, or LZ4 blocks behind a variable-length size (Quilkin to 0.9)."""

from __future__ import annotations

from cramjam import CompressionError, DecompressionError, snappy
from lz4 import block as lz4

from netappliance.udp.datagram import MAX_PAYLOAD, Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters.sections.compress import CompressSection


def read_varint(data: bytes, most: int) -> tuple[int, int]:
    """
    Read a little-endian base-128 number of at most ``most`` bytes.

    :return: (number, bytes it took). :raises ValueError: cut or too long.
    """
    number = 0
    for index in range(most):
        if index >= len(data):
            raise ValueError("cut")
        number |= (data[index] & 0x7F) << (7 * index)
        if data[index] < 0x80:
            return number, index + 1
    raise ValueError("too long")


def write_varint(number: int) -> bytes:
    """The reverse of :func:`read_varint`."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def compress(mode: str, payload: bytes) -> bytes:
    """Compress one payload."""
    if mode == "snappy":
        return bytes(snappy.compress_raw(payload))
    return write_varint(len(payload)) + bytes(lz4.compress(payload, store_size=False))


def decompress(mode: str, payload: bytes) -> bytes:
    """
    Decompress one payload; its announced size is looked at before any memory is taken.

    :raises ValueError: no such block, or one that announces more than a datagram holds.
    """
    # snappy's own preamble is the same kind of number, of up to five bytes
    size, used = read_varint(payload, 5 if mode == "snappy" else 3)
    if size > MAX_PAYLOAD:
        raise ValueError("too large")
    if mode == "snappy":
        return bytes(snappy.decompress_raw(payload))
    try:
        out = bytes(lz4.decompress(payload[used:], uncompressed_size=size))
    except lz4.LZ4BlockError as error:
        raise ValueError(str(error)) from None
    if len(out) != size:
        raise ValueError("another size than announced")
    return out


class Compress(DatagramFilter):
    """``compressed_bytes`` and ``decompressed_bytes`` count what went in and came out, by direction of the codec."""

    def __init__(self, section: CompressSection) -> None:
        self._mode = section.mode
        self._on_read = section.on_read
        self._on_write = section.on_write
        self.compressed_bytes = 0
        self.decompressed_bytes = 0

    def read(self, datagram: Datagram) -> Drop | None:
        """Code."""
        return self._code(self._on_read, datagram)

    def write(self, datagram: Datagram) -> Drop | None:
        """Code."""
        return self._code(self._on_write, datagram)

    def figures(self) -> dict[str, int]:
        """Bytes that came out."""
        return {"compressed_bytes": self.compressed_bytes, "decompressed_bytes": self.decompressed_bytes}

    def _code(self, how: str, datagram: Datagram) -> Drop | None:
        if how == "nothing":
            return None
        try:
            if how == "compress":
                datagram.payload = compress(self._mode, datagram.payload)
                self.compressed_bytes += len(datagram.payload)
            else:
                datagram.payload = decompress(self._mode, datagram.payload)
                self.decompressed_bytes += len(datagram.payload)
        except (ValueError, CompressionError, DecompressionError):
            return Drop.BAD_PAYLOAD
        return None if len(datagram.payload) <= MAX_PAYLOAD else Drop.TOO_LARGE


def make(section: CompressSection, resources: Resources) -> Compress:
    """Build it."""
    return Compress(section)
