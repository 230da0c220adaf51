"""Texts with places for parts of the request: what rewrites and header edits write. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Callable

from netappliance.http.message import Exchange

_PLACEHOLDER = re.compile(r"\$(?:(\$)|\{(\w{1,32})\}|(\d)|([A-Za-z_]+))", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def _path(exchange: Exchange) -> bytes:
    target = exchange.request.target
    # OPTIONS * has no path
    return b"/" if target == b"*" else target.partition(b"?")[0]


def _target(exchange: Exchange) -> bytes:
    target = exchange.request.target
    return b"/" if target == b"*" else target


def _port(exchange: Exchange) -> bytes:
    return b"%d" % (exchange.request.port or exchange.port)


#: name -> its value in an exchange
PLACEHOLDERS: dict[str, Callable[[Exchange], bytes]] = {
    "scheme": lambda exchange: b"https" if exchange.secure else b"http",
    "host": lambda exchange: exchange.request.host,
    "authority": lambda exchange: exchange.request.authority,
    "port": _port,
    "path": _path,
    "query": lambda exchange: exchange.request.target.partition(b"?")[2],
    "target": _target,
    "method": lambda exchange: exchange.request.method,
    "client": lambda exchange: exchange.client.encode("latin-1", "replace"),
    "listener": lambda exchange: exchange.listener.encode(),
    "route": lambda exchange: exchange.route.encode(),
    "request_id": lambda exchange: exchange.request_id,
}
#: how the names are told to operators
HELP = "$1 to $9, " + ", ".join(f"${name}" for name in PLACEHOLDERS)


class Expansion:
    """
    A compiled text.

    ``$host`` is without port, ``$authority`` the Host value as sent, ``$port`` the one in it or else the listener's,
    ``$query`` without question mark, ``$target`` path and query. ``$1`` is the first capture; one that there is none of
    is empty. ``${name}`` is the same as ``$name``, ``$$`` a dollar sign.

    :ivar text: as written. :ivar constant: the value when there is no placeholder, else None.
    :ivar captures: the highest number used.
    """

    __slots__ = ("_parts", "captures", "constant", "text")

    def __init__(self, text: str) -> None:
        """
        Compile it.

        :raises ValueError: for an unknown placeholder, a lone dollar sign, or a character outside of printable ASCII.
        """
        if not _PRINTABLE.fullmatch(text):
            raise ValueError(f"printable ASCII, not {text!r}")
        self.text = text
        parts: list[bytes | int | Callable[[Exchange], bytes]] = []
        literal = ""
        at = 0
        for match in _PLACEHOLDER.finditer(text):
            literal += _literal(text[at : match.start()])
            at = match.end()
            name = match.group(2) or match.group(3) or match.group(4)
            if name is None:
                literal += "$"
                continue
            found = int(name) if name.isdigit() and 1 <= int(name) <= 99 else PLACEHOLDERS.get(name)
            if found is None:
                raise ValueError(f"{HELP} ($$ is a dollar sign), not ${name}")
            if literal:
                parts.append(literal.encode())
            parts.append(found)
            literal = ""
        literal += _literal(text[at:])
        if literal:
            parts.append(literal.encode())
        self._parts = tuple(parts)
        self.captures = max((part for part in parts if isinstance(part, int)), default=0)
        self.constant = None if any(not isinstance(part, bytes) for part in parts) else literal.encode()

    def expand(self, exchange: Exchange, captures: tuple[bytes, ...]) -> bytes:
        """Return the text with the values of this exchange; ``captures`` are what ``$1`` and so on stand for."""
        if self.constant is not None:
            return self.constant
        out = []
        for part in self._parts:
            if isinstance(part, bytes):
                out.append(part)
            elif isinstance(part, int):
                if part <= len(captures):
                    out.append(captures[part - 1])
            else:
                out.append(part(exchange))
        return b"".join(out)


def _literal(text: str) -> str:
    if "$" in text:
        raise ValueError(f"{HELP}, or $$ for a dollar sign, not {text[text.index('$') :]!r}")
    return text
