"""
Where redirects lead: ``https://$host$target``.

What a template can become is decided when the file is loaded, as far as that is possible: the host part cannot be
extended by what a client sends, and a path of ours cannot become somebody else's address (``//evil``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from netappliance.http.expansion import Expansion, Part, Placeholder, parse
from netappliance.http.message import Exchange

#: placeholders that begin with a slash
_ROOTED = ("path", "target")
#: those that may stand in a host
_IN_HOST = ("host", "port", "authority")

_AUTHORITY = re.compile(rb"(?:(?!\.)(?!.*\.\.)[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LEADING = re.compile(rb"[/\\]{2,}")
_OUTSIDE = re.compile(rb"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Location:
    """
    A checked template of an address.

    :ivar text: as in the file. :ivar scheme: what stands before ``://``. :ivar authority: host and port; None for a
        path on the same host. :ivar rest: path and what follows. :ivar captures: the highest number used.
    """

    text: str
    scheme: Expansion
    authority: Expansion | None
    rest: Expansion
    captures: int

    def expand(self, exchange: Exchange, captures: tuple[bytes, ...]) -> bytes:
        """
        Return the address, printable ASCII only; percent-encoding in the values is kept as it is.

        :raises ValueError: when what the client sent would not make a host.
        """
        rest = self.rest.expand(exchange, captures)
        if self.authority is None:
            # "//name" and "/\name" would be another host
            address = _LEADING.sub(b"/", rest, count=1) if len(rest) > 1 and rest[1:2] in (b"/", b"\\") else rest
        else:
            authority = self.authority.expand(exchange, captures)
            if not _AUTHORITY.fullmatch(authority):
                raise ValueError("the address to redirect to would have no proper host")
            address = self.scheme.expand(exchange, captures) + b"://" + authority + rest
        return _OUTSIDE.sub(lambda found: b"%%%02X" % found[0][0], address)


def location(text: str) -> Location | None:
    """
    Parse a template; empty text is None.

    :raises ValueError: with what was expected.
    """
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("an address in printable ASCII without spaces and backslashes; percent-encode others")
    parts = parse(text)
    captures = Expansion(parts).captures
    if _begins_with_slash(parts[0]):
        if isinstance(parts[0], bytes) and parts[0].startswith(b"//"):
            raise ValueError("a path with one / in front, or http://... or https://...")
        return Location(text, Expansion(()), None, Expansion(parts), captures)
    scheme, behind = _split_scheme(parts)
    authority, rest = _split_authority(behind)
    return Location(text, Expansion((scheme,)), Expansion(authority), Expansion(rest), captures)


def _begins_with_slash(part: Part) -> bool:
    return part.startswith(b"/") if isinstance(part, bytes) else part.name in _ROOTED


def _split_scheme(parts: tuple[Part, ...]) -> tuple[Part, tuple[Part, ...]]:
    first = parts[0]
    if isinstance(first, Placeholder) and first.name == "scheme" and len(parts) > 1:
        second = parts[1]
        if isinstance(second, bytes) and second.startswith(b"://"):
            return first, (second[3:], *parts[2:])
    elif isinstance(first, bytes):
        scheme, colon, rest = first.partition(b"://")
        if colon and scheme.lower() in (b"http", b"https"):
            return scheme.lower(), (rest, *parts[1:])
    raise ValueError("a path from its / on, or an address that begins with http://, https:// or $scheme://")


def _split_authority(parts: tuple[Part, ...]) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    authority: list[Part] = []
    rest: tuple[Part, ...] = ()
    for index, part in enumerate(parts):
        if isinstance(part, Placeholder):
            if part.name in _ROOTED:
                rest = parts[index:]
                break
            if not part.number and part.name not in _IN_HOST:
                raise ValueError(f"a host and then /, ? or $target, before ${part.name}")
            authority.append(part)
            continue
        end = re.search(rb"[/?#]", part)
        if end is not None:
            authority.append(part[: end.start()])
            rest = (part[end.start() :], *parts[index + 1 :])
            break
        authority.append(part)
    host = tuple(part for part in authority if part != b"")
    _check_authority(host)
    return host, rest


def _check_authority(authority: tuple[Part, ...]) -> None:
    if not authority:
        raise ValueError("a host after ://")
    numbers = [index for index, part in enumerate(authority) if isinstance(part, Placeholder) and part.number]
    if numbers:
        tail = b"".join(part for part in authority[numbers[-1] + 1 :] if isinstance(part, bytes)).partition(b":")[0]
        # example.com$1 with a capture of ".evil" or "@evil" would be another host
        if b"." not in tail and (numbers[-1] or tail):
            raise ValueError("captures in the host before a domain of yours ($1.example.com), or as the whole host")
    if not re.fullmatch(rb"[A-Za-z0-9._~:\[\]-]*", b"".join(part for part in authority if isinstance(part, bytes))):
        raise ValueError("a host of letters, digits, dots and dashes after ://, without a user")
