"""
Templates of redirects: ``https://$host$target``.

What a template can become is decided when the file is loaded, as far as that is possible: the host part cannot be
extended by what a client sends, and a path of ours cannot become somebody else's address (``//evil``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PART = re.compile(r"\$(?:(\$)|([1-9])|([a-z]+)|\{([1-9]|[a-z]+)\})|([^$]+)|(\$)")
NAMES = ("host", "port", "path", "query", "target", "scheme")
#: variables that begin with a slash
_ROOTED = ("path", "target")

_AUTHORITY = re.compile(rb"(?:(?!\.)(?!.*\.\.)[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LEADING = re.compile(rb"[/\\]{2,}")
_OUTSIDE = re.compile(rb"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Variable:
    """One ``$name``; captures have a ``number`` from 1, others 0."""

    name: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """
    A checked template.

    :ivar text: as in the file. :ivar scheme: what stands before ``://``; empty for a path on the same host.
    :ivar authority: host and port. :ivar rest: path and what follows. :ivar captures: the highest number used.
    """

    text: str
    scheme: tuple[bytes | Variable, ...]
    authority: tuple[bytes | Variable, ...]
    rest: tuple[bytes | Variable, ...]
    captures: int

    def expand(self, values: Mapping[str, bytes], captures: tuple[bytes, ...]) -> bytes:
        """
        Return the address, printable ASCII only; percent-encoding in the values is kept as it is.

        :param values: ``NAMES`` -> value. ``path`` and ``target`` begin with a slash.
        :raises ValueError: when what the client sent would not make a host.
        """
        rest = _join(self.rest, values, captures)
        if not self.authority:
            # "//name" and "/\name" would be another host
            address = _LEADING.sub(b"/", rest, count=1) if rest[1:2] in (b"/", b"\\") else rest
        else:
            authority = _join(self.authority, values, captures)
            if not _AUTHORITY.fullmatch(authority):
                raise ValueError("the address to redirect to would have no proper host")
            address = _join(self.scheme, values, captures) + b"://" + authority + rest
        return _OUTSIDE.sub(lambda found: b"%%%02X" % found[0][0], address)


def _join(parts: tuple[bytes | Variable, ...], values: Mapping[str, bytes], captures: tuple[bytes, ...]) -> bytes:
    out = []
    for part in parts:
        if isinstance(part, bytes):
            out.append(part)
        elif part.number:
            out.append(captures[part.number - 1] if part.number <= len(captures) else b"")
        else:
            out.append(values[part.name])
    return b"".join(out)


def template(text: str) -> Template | None:
    """
    Parse a template; empty text is None.

    :raises ValueError: with what was expected.
    """
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("an address in printable ASCII without spaces and backslashes; percent-encode others")
    parts = _parts(text)
    numbers = max((part.number for part in parts if isinstance(part, Variable)), default=0)
    if _begins_with_slash(parts[0]):
        if isinstance(parts[0], bytes) and parts[0].startswith(b"//"):
            raise ValueError("a path with one / in front, or http://... or https://...")
        return Template(text, (), (), tuple(parts), numbers)
    scheme, behind = _split_scheme(parts)
    authority, rest = _split_authority(behind)
    return Template(text, scheme, authority, rest, numbers)


def _parts(text: str) -> list[bytes | Variable]:
    parts: list[bytes | Variable] = []
    for found in _PART.finditer(text):
        dollar, digit, bare, braced, literal, stray = found.groups()
        name = digit or bare or braced
        if stray:
            raise ValueError(f"$1 to $9, {', '.join(f'${name}' for name in NAMES)}, or $$ for a dollar")
        if name is None:
            piece = b"$" if dollar else literal.encode()
            if parts and isinstance(parts[-1], bytes):
                parts[-1] += piece
            else:
                parts.append(piece)
        elif name.isdigit():
            parts.append(Variable(name, int(name)))
        elif name in NAMES:
            parts.append(Variable(name))
        else:
            raise ValueError(f"$1 to $9, {', '.join(f'${known}' for known in NAMES)}, not ${name}")
    return parts


def _begins_with_slash(part: bytes | Variable) -> bool:
    return part.startswith(b"/") if isinstance(part, bytes) else part.name in _ROOTED


def _split_scheme(parts: list[bytes | Variable]) -> tuple[tuple[bytes | Variable, ...], list[bytes | Variable]]:
    first = parts[0]
    if isinstance(first, Variable) and first.name == "scheme" and len(parts) > 1:
        second = parts[1]
        if isinstance(second, bytes) and second.startswith(b"://"):
            return (first,), [second[3:], *parts[2:]] if second[3:] else parts[2:]
    elif isinstance(first, bytes):
        scheme, colon, rest = first.partition(b"://")
        if colon and scheme.lower() in (b"http", b"https"):
            return (scheme.lower(),), [rest, *parts[1:]] if rest else parts[1:]
    raise ValueError("a path from its / on, or an address that begins with http://, https:// or $scheme://")


def _split_authority(
    parts: list[bytes | Variable],
) -> tuple[tuple[bytes | Variable, ...], tuple[bytes | Variable, ...]]:
    authority: list[bytes | Variable] = []
    rest: list[bytes | Variable] = []
    for index, part in enumerate(parts):
        if isinstance(part, Variable):
            if part.name in _ROOTED:
                rest = parts[index:]
                break
            if part.name in ("query", "scheme"):
                raise ValueError(f"a host and then /, ? or $target, before ${part.name}")
            authority.append(part)
            continue
        end = re.search(rb"[/?#]", part)
        if end is not None:
            authority.append(part[: end.start()])
            rest = [part[end.start() :], *parts[index + 1 :]]
            break
        authority.append(part)
    authority = [part for part in authority if part != b""]
    _check_authority(authority)
    return tuple(authority), tuple(rest)


def _check_authority(authority: list[bytes | Variable]) -> None:
    if not authority:
        raise ValueError("a host after ://")
    numbers = [index for index, part in enumerate(authority) if isinstance(part, Variable) and part.number]
    if numbers:
        tail = b"".join(part for part in authority[numbers[-1] + 1 :] if isinstance(part, bytes)).partition(b":")[0]
        # example.com$1 with a capture of ".evil" or "@evil" would be another host
        if b"." not in tail and (numbers[-1] or tail):
            raise ValueError("captures in the host before a domain of yours ($1.example.com), or as the whole host")
    if not re.fullmatch(rb"[A-Za-z0-9._~:\[\]-]*", b"".join(part for part in authority if isinstance(part, bytes))):
        raise ValueError("a host of letters, digits, dots and dashes after ://, without a user")
