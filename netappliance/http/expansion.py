"""Texts with places for parts of the request: what rewrites, header edits and redirects write. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One of ``PLACEHOLDERS``, or a capture: those have a ``number`` from 1, others 0."""

    name: str
    number: int = 0


#: of a text: what is written as it is, or what stands for a value
Part = bytes | Placeholder


def parse(text: str) -> tuple[Part, ...]:
    """
    Take a text apart.

    ``$host`` is without port, ``$authority`` the Host value as sent, ``$port`` the one in it or else the listener's,
    ``$query`` without question mark, ``$target`` path and query. ``$1`` is the first capture. ``${name}`` is the same
    as ``$name``, ``$$`` a dollar sign.

    :raises ValueError: for an unknown placeholder, a lone dollar sign, or a character outside of printable ASCII.
    """
    if not _PRINTABLE.fullmatch(text):
        raise ValueError(f"printable ASCII, not {text!r}")
    parts: list[Part] = []
    literal = ""
    at = 0
    for match in _PLACEHOLDER.finditer(text):
        literal += _literal(text[at : match.start()])
        at = match.end()
        name = match.group(2) or match.group(3) or match.group(4)
        if name is None:
            literal += "$"
            continue
        number = int(name) if name.isdigit() else 0
        if not 1 <= number <= 99 and name not in PLACEHOLDERS:
            raise ValueError(f"{HELP} ($$ is a dollar sign), not ${name}")
        if literal:
            parts.append(literal.encode())
        parts.append(Placeholder(name, number))
        literal = ""
    literal += _literal(text[at:])
    if literal:
        parts.append(literal.encode())
    return tuple(parts)


def _literal(text: str) -> str:
    if "$" in text:
        raise ValueError(f"{HELP}, or $$ for a dollar sign, not {text[text.index('$') :]!r}")
    return text


class Expansion:
    """
    A text in parts, ready to be written for each exchange.

    :ivar constant: the value when there is no placeholder, else None. :ivar captures: the highest number used.
    """

    __slots__ = ("_steps", "captures", "constant")

    def __init__(self, parts: Sequence[Part]) -> None:
        self._steps: tuple[bytes | int | Callable[[Exchange], bytes], ...] = tuple(
            part if isinstance(part, bytes) else part.number or PLACEHOLDERS[part.name] for part in parts
        )
        self.captures = max((part.number for part in parts if isinstance(part, Placeholder)), default=0)
        written = [part for part in parts if isinstance(part, bytes)]
        self.constant = b"".join(written) if len(written) == len(parts) else None

    def expand(self, exchange: Exchange, captures: tuple[bytes, ...]) -> bytes:
        """Return the text with the values of this exchange; a capture that there is none of is empty."""
        if self.constant is not None:
            return self.constant
        out = []
        for step in self._steps:
            if isinstance(step, bytes):
                out.append(step)
            elif isinstance(step, int):
                if step <= len(captures):
                    out.append(captures[step - 1])
            else:
                out.append(step(exchange))
        return b"".join(out)


class Template(Expansion):
    """
    The text of an option.

    :ivar text: as in the file.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """
        Compile it.

        :raises ValueError: as :func:`parse`.
        """
        super().__init__(parse(text))
        self.text = text
