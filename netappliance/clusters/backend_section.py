"""One line of ``backends`` in ``[cluster NAME]``."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netappliance.config import values
from netappliance.config.schema import suggestion

_NAME = re.compile(r"(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$")
_ID = re.compile(r"[A-Za-z0-9_.:@/\[\]-]{1,128}$")


@dataclass(frozen=True, slots=True)
class BackendSection:
    """
    One line of ``backends``.

    :ivar host: IP address or host name; empty for a unix socket. :ivar path: of a unix socket, else empty.
    :ivar max_connections: 0 = unlimited.
    """

    id: str
    host: str
    port: int
    path: str = ""
    weight: int = 100
    backup: bool = False
    max_connections: int = 0
    tokens: tuple[bytes, ...] = ()
    locality: str = ""

    @property
    def family(self) -> int:
        """AF_UNIX, AF_INET, AF_INET6, or AF_UNSPEC for a name that must be resolved."""
        if self.path:
            return socket.AF_UNIX
        try:
            return socket.AF_INET6 if ipaddress.ip_address(self.host).version == 6 else socket.AF_INET
        except ValueError:
            return socket.AF_UNSPEC


def _identifier(text: str) -> str:
    if not _ID.match(text):
        raise ValueError("1 to 128 letters, digits and _.:@/[]-")
    return text


def _token(text: str) -> bytes:
    token = values.base64_bytes(text)
    if not token:
        raise ValueError("base64 of at least one byte")
    return token


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "id": _identifier,
    "weight": values.integer(0, 65535),
    "backup": values.boolean,
    "token": _token,
    "max_connections": values.integer(0, 10_000_000),
    "locality": values.text,
}


def _address(text: str) -> tuple[str, int, str]:
    """Split ``127.0.0.1:80``, ``[::1]:80``, ``name:80`` or ``unix:/path`` into (host, port, path)."""
    if text.startswith("unix:"):
        path = text[5:]
        if not path or len(path.encode()) > 107:
            raise ValueError("unix:PATH with a path of 1 to 107 bytes")
        return "", 0, path
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[1-9]\d{0,4}", port, re.ASCII) or int(port) > 65535:
        raise ValueError("ADDRESS:PORT with a port from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), int(port), ""
        except ValueError:
            raise ValueError("an IPv6 address between the brackets") from None
    try:
        return str(ipaddress.IPv4Address(host)), int(port), ""
    except ValueError:
        if not _NAME.match(host) or re.fullmatch(r"[\d.]+", host):
            raise ValueError("127.0.0.1:80, [::1]:80, name:80 or unix:/path") from None
    return host.rstrip(".").lower(), int(port), ""


def backend_line(line: str) -> BackendSection:
    """
    Parse ``ADDRESS [id=a] [weight=100] [backup=yes] [token=BASE64]... [max_connections=N] [locality=NAME]``.

    :raises ValueError: with what was expected.
    """
    address, *options = line.split()
    host, port, path = _address(address)
    given: dict[str, Any] = {}
    tokens: list[bytes] = []
    for text in options:
        key, equals, value = text.partition("=")
        convert = _OPTIONS.get(key)
        if not equals or convert is None:
            raise ValueError(f"options {', '.join(f'{known}=' for known in _OPTIONS)}{suggestion(key, _OPTIONS)}")
        if key in given:
            raise ValueError(f"{key}= only once")
        try:
            converted = convert(value)
        except ValueError as error:
            raise ValueError(f"{error} in {key}=") from None
        if key == "token":
            tokens.append(converted)
        else:
            given[key] = converted
    return BackendSection(id=given.pop("id", address), host=host, port=port, path=path, tokens=tuple(tokens), **given)


def backend_lines(text: str) -> tuple[BackendSection, ...]:
    """Parse all lines; every bad one is reported. Items may also be separated by commas."""
    backends: list[BackendSection] = []
    wrong: list[str] = []
    seen: set[str] = set()
    for item in values.words(text):
        try:
            backend = backend_line(item)
        except ValueError as error:
            wrong.append(f"{error} in {item!r}")
            continue
        if backend.id in seen:
            wrong.append(f"an id of its own for {item!r}")
        seen.add(backend.id)
        backends.append(backend)
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(backends)
