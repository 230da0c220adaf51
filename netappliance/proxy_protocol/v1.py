"""Version 1: one line of text (proxy-protocol.txt, section 2.1)."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

from netappliance.proxy_protocol.header import ProxyHeader, ProxyProtocolError
from netappliance.sessions.session import Address

PREFIX = b"PROXY "
#: the longest line with its CR LF; "107 characters ... is enough to store all the line and a trailing zero"
MAX_V1 = 107

_PORT = re.compile(rb"(?:0|[1-9][0-9]{0,4})\Z")


def parse_v1(data: bytes) -> tuple[ProxyHeader, int] | None:
    """
    Parse a line.

    :return: (header, length), or None while the line is not complete.
    :raises ProxyProtocolError: for anything but single spaces, canonical numbers and valid addresses.
    """
    end = data.find(b"\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise ProxyProtocolError("version 1 line longer than 107 bytes")
        return None
    if data[end - 1 : end] != b"\r":
        raise ProxyProtocolError("version 1 line without CR LF")
    raw = data[: end + 1]
    words = data[: end - 1].split(b" ")
    if words[1:2] == [b"UNKNOWN"]:
        # the rest of the line is for the sender's amusement: "the receiver must ignore anything presented before the
        # CRLF"
        return ProxyHeader(1, "PROXY", "unspec", "unspec", None, None, (), raw), len(raw)
    if len(words) != 6 or words[0] != b"PROXY" or words[1] not in (b"TCP4", b"TCP6"):
        raise ProxyProtocolError("malformed version 1 line")
    version = 4 if words[1] == b"TCP4" else 6
    source = (_address(words[2], version), _port(words[4]))
    destination = (_address(words[3], version), _port(words[5]))
    family: Literal["inet", "inet6"] = "inet" if version == 4 else "inet6"
    return ProxyHeader(1, "PROXY", family, "stream", source, destination, (), raw), len(raw)


def _address(word: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:
        raise ProxyProtocolError("bad address in version 1 line") from None
    if address.version != version or b"%" in word:
        raise ProxyProtocolError("address of another family in version 1 line")
    return str(address)


def _port(word: bytes) -> int:
    if not _PORT.match(word) or int(word) > 65535:
        raise ProxyProtocolError("bad port in version 1 line")
    return int(word)


def encode_v1(client: Address, local: Address) -> bytes:
    """
    Write the line for a client that connected to ``local``.

    A pair of IPv4 and IPv6 is written as IPv6; what is no IP address as ``UNKNOWN``.
    """
    pair = ip_pair(client, local)
    if pair is None:
        return b"PROXY UNKNOWN\r\n"
    source, destination = pair
    family = "TCP4" if source.version == 4 else "TCP6"
    return f"PROXY {family} {source} {destination} {client[1]} {local[1]}\r\n".encode("ascii")


IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def ip_pair(client: Address, local: Address) -> tuple[IPAddress, IPAddress] | None:
    """Return both addresses in one family (IPv4 mapped into IPv6 where they differ), or None for unix sockets."""
    try:
        source: IPAddress = ipaddress.ip_address(client[0].partition("%")[0])
        destination: IPAddress = ipaddress.ip_address(local[0].partition("%")[0])
    except ValueError:
        return None
    if source.version != destination.version:
        source, destination = _mapped(source), _mapped(destination)
    return source, destination


def _mapped(address: IPAddress) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv4Address):
        return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
    return address
