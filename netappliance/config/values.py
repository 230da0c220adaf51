"""
Converters from the text of an option to its value.

Each takes the text of the file and returns the value, or raises ValueError whose message says what was expected.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from twisted.internet.endpoints import _parse as parse_description

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)?", re.ASCII)
_BYTES = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
#: ten years: larger ones are slips of the finger
MAX_DURATION = 3650 * 86400.0


def text(value: str) -> str:
    """One line of text, possibly empty."""
    if "\n" in value:
        raise ValueError("one line")
    return value


def words(value: str) -> tuple[str, ...]:
    """A list: one item per line or separated by commas; empty = none."""
    return tuple(item for line in value.split("\n") for part in line.split(",") if (item := part.strip()))


def lines(value: str) -> tuple[str, ...]:
    """A list with one item per line, in which commas are ordinary characters."""
    return tuple(line for line in value.split("\n") if line)


def duration(value: str) -> float:
    """A duration in seconds: a number with its unit, ``0`` = off."""
    if value == "0":
        return 0.0
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError("a number and its unit: 500ms, 30s, 10m, 1h, 1d (0 = off)")
    seconds = float(match.group(1)) * _SECONDS[match.group(2)]
    if seconds > MAX_DURATION:
        raise ValueError("at most 3650d")
    return seconds


def positive_duration(value: str) -> float:
    """A duration that may not be off."""
    seconds = duration(value)
    if not seconds:
        raise ValueError("a duration above 0")
    return seconds


def size(value: str) -> int:
    """A number of bytes, with or without unit."""
    match = _SIZE.fullmatch(value)
    if match is None or len(match.group(1)) > 15:
        raise ValueError("bytes: 512, 64KiB, 1MiB, 2GiB")
    return int(match.group(1)) * _BYTES[match.group(2)]


def boolean(value: str) -> bool:
    """``yes`` or ``no``."""
    if value not in ("yes", "no"):
        raise ValueError("yes or no")
    return value == "yes"


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number from ``low`` to ``high``."""

    def convert(value: str) -> int:
        if re.fullmatch(r"\d{1,18}", value, re.ASCII) and low <= int(value) <= high:
            return int(value)
        raise ValueError(f"a whole number from {low} to {high}")

    return convert


def number(low: float, high: float) -> Callable[[str], float]:
    """A decimal number from ``low`` to ``high``."""

    def convert(value: str) -> float:
        if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", value, re.ASCII) and low <= float(value) <= high:
            return float(value)
        raise ValueError(f"a number from {low:g} to {high:g}")

    return convert


def choice(*known: str) -> Callable[[str], str]:
    """One of a few words."""

    def convert(value: str) -> str:
        if value not in known:
            raise ValueError(" | ".join(word or "nothing" for word in known))
        return value

    return convert


def list_of(convert: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A list whose items are converted one by one."""

    def convert_all(value: str) -> tuple[T, ...]:
        return tuple(convert(item) for item in words(value))

    return convert_all


def network(value: str) -> Network:
    """An address or a network in CIDR form, without host bits."""
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("an address or network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32") from None


networks = list_of(network)


def base64_bytes(value: str) -> bytes:
    """Bytes written in base64."""
    try:
        return base64.b64decode(value.encode("ascii", "strict"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("base64") from None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    Where something listens, in Twisted's endpoint syntax.

    :ivar scheme: ``tcp``, ``unix`` or ``udp`` here; whatever Twisted knows for ``any_endpoints``.
    :ivar host: an IP address, empty for all of IPv4. :ivar port: 0 lets the kernel choose. :ivar path: of a unix
        socket.
    :ivar text: as written.
    """

    scheme: str
    host: str
    port: int
    path: str
    options: dict[str, str] = field(compare=False, hash=False)
    text: str = field(compare=False)

    @property
    def is_local(self) -> bool:
        """True on loopback addresses and unix sockets."""
        if self.path:
            return True
        return bool(self.host) and ipaddress.ip_address(self.host).is_loopback

    def collides(self, other: Endpoint) -> bool:
        """True when both cannot be bound at the same time."""
        datagram, other_datagram = self.scheme == "udp", other.scheme == "udp"
        if datagram != other_datagram:
            return False
        if self.path or other.path:
            return self.path == other.path
        if not self.port or self.port != other.port:
            return False
        mine, theirs = self.host or "0.0.0.0", other.host or "0.0.0.0"  # noqa: S104 - compared, not bound
        if mine == theirs:
            return True
        if ":" in mine and ":" in theirs:
            return "::" in (mine, theirs)
        # the IPv6 wildcard takes IPv4 too
        return "::" in (mine, theirs) or ("0.0.0.0" in (mine, theirs) and ":" not in mine + theirs)  # noqa: S104


#: the names of a description's options; an escaped colon begins none
_OPTION = re.compile(r"(?<!\\):(\w+)=", re.ASCII)
_STREAM_OPTIONS = {"tcp": {"interface", "backlog"}, "tcp6": {"interface", "backlog"}, "unix": {"mode", "backlog"}}


def _address(value: str) -> str:
    """Check an ``interface=``; names are refused because they may mean several addresses."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"an IP address in interface=, not {value!r}") from None


def _port(value: str) -> int:
    if not re.fullmatch(r"\d{1,5}", value, re.ASCII) or int(value) > 65535:
        raise ValueError(f"a port from 0 to 65535, not {value!r}")
    return int(value)


def _split(value: str) -> tuple[str, list[str], dict[str, str]]:
    try:
        (scheme, *positional), options = parse_description(value)
    except (ValueError, IndexError, RuntimeError):
        # RuntimeError: Twisted's tokenizer meets the end of the text after a backslash
        raise ValueError("an endpoint such as tcp:9000:interface=127.0.0.1") from None
    given = _OPTION.findall(value)
    for name in given:
        if given.count(name) > 1:
            raise ValueError(f"{name}= once")
        # an empty interface= would listen on every address, which nobody means who writes the key
        if not options.get(name):
            raise ValueError(f"a value after {name}=; colons inside an IPv6 address are written \\:")
    return scheme, positional, dict(options)


def stream_endpoint(value: str) -> Endpoint:
    """One ``tcp:PORT[:interface=ADDRESS][:backlog=N]``, ``tcp6:...`` or ``unix:PATH[:mode=660][:backlog=N]``."""
    scheme, positional, options = _split(value)
    known = _STREAM_OPTIONS.get(scheme)
    if known is None:
        raise ValueError("tcp:PORT[:interface=ADDRESS] or unix:PATH (TLS is not served yet)")
    unknown = sorted(set(options) - known - {"port", "address"})
    if unknown:
        raise ValueError(f"{', '.join(sorted(known))} as options of {scheme}:, not {unknown[0]!r}")
    integer(1, 65535)(options.get("backlog", "1"))
    if scheme == "unix":
        path = options.get("address") or (positional[0] if len(positional) == 1 else "")
        if not path or len(path.encode()) > 107:
            raise ValueError("unix:PATH with a path of at most 107 bytes")
        if not re.fullmatch(r"[0-7]{3,4}", options.get("mode", "666")):
            raise ValueError("an octal mode= such as 660")
        return Endpoint("unix", "", 0, path, options, value)
    if len(positional) > 1 or ("port" in options) == bool(positional):
        raise ValueError(f"{scheme}:PORT[:interface=ADDRESS]; colons inside an IPv6 address are written \\:")
    default = "::" if scheme == "tcp6" else ""
    host = _address(options["interface"]) if options.get("interface") else default
    if scheme == "tcp6" and ":" not in host:
        raise ValueError(f"an IPv6 address in the interface= of tcp6:, not {host!r}")
    return Endpoint("tcp", host, _port(options.get("port") or positional[0]), "", options, value)


def datagram_endpoint(value: str) -> Endpoint:
    """One ``udp:PORT[:interface=ADDRESS]``; ours, for Twisted has no datagram endpoints."""
    scheme, positional, options = _split(value)
    if scheme != "udp" or len(positional) != 1 or set(options) - {"interface"}:
        raise ValueError("udp:PORT[:interface=ADDRESS]")
    host = _address(options["interface"]) if options.get("interface") else ""
    return Endpoint("udp", host, _port(positional[0]), "", options, value)


def _at_least_one(convert: Callable[[str], Endpoint]) -> Callable[[str], tuple[Endpoint, ...]]:
    def convert_all(value: str) -> tuple[Endpoint, ...]:
        endpoints = list_of(convert)(value)
        if not endpoints:
            raise ValueError("at least one endpoint")
        return endpoints

    return convert_all


stream_endpoints = _at_least_one(stream_endpoint)
datagram_endpoints = _at_least_one(datagram_endpoint)
optional_stream_endpoints = list_of(stream_endpoint)
optional_datagram_endpoints = list_of(datagram_endpoint)
