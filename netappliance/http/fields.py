"""
Field lines of a message, as a list of ``b"Name: value"`` without line ends (RFC 9110 section 5).

The list holds only lines that framing judged well-formed, in the order of the message; names keep the sender's case.
These functions are for filters and for fields that are looked at rarely: each call looks at every line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")

#: fields that say how a message is framed or routed: the proxy's to write, nobody else's (lower case)
RESERVED = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)


def spellings(names: Iterable[bytes], *, twins: bool) -> re.Pattern[bytes]:
    """
    Return what matches at the beginning of lines of these names, in any case.

    :param twins: also with ``_`` for ``-``: CGI, WSGI and PHP make the same variable of both.
    """
    patterns = [re.escape(name) for name in names]
    if twins:
        patterns = [re.sub(rb"\\-|_", b"[-_]", pattern) for pattern in patterns]
    return re.compile(rb"(?:%b):" % b"|".join(patterns), re.IGNORECASE)


def get(lines: list[bytes], name: bytes) -> bytes | None:
    """Return the value of the first line of this name (any case), without surrounding white space; None if absent."""
    # one search in the joined lines costs half of a look at each
    block = b"\n%b\n" % b"\n".join(lines)
    at = block.lower().find(b"\n%b:" % name.lower())
    if at < 0:
        return None
    begin = at + len(name) + 2
    return block[begin : block.index(b"\n", begin)].strip(b" \t")


def get_all(lines: list[bytes], name: bytes) -> list[bytes]:
    """Return the values of all lines of this name."""
    if not has_any(lines, (b"\n%b:" % name.lower(),)):
        return []
    prefix = name.lower() + b":"
    size = len(prefix)
    return [line[size:].strip(b" \t") for line in lines if line[:size].lower() == prefix]


def has_any(lines: list[bytes], marks: Iterable[bytes]) -> bool:
    """
    Say whether there is a line of one of some names.

    :param marks: ``b"\\nname:"`` in lower case for each.
    """
    block = (b"\n%b" % b"\n".join(lines)).lower()
    return any(mark in block for mark in marks)


def delete(lines: list[bytes], name: bytes) -> bool:
    """Take all lines of this name out, in place; True when there was one."""
    lowered = name.lower()
    if not has_any(lines, (b"\n%b:" % lowered,)):
        return False
    prefix = lowered + b":"
    size = len(prefix)
    lines[:] = [line for line in lines if line[:size].lower() != prefix]
    return True


def add(lines: list[bytes], name: bytes, value: bytes) -> None:
    """
    Append a line.

    :raises ValueError: for what would not be one well-formed line.
    """
    lines.append(line(name, value))


def replace(lines: list[bytes], name: bytes, value: bytes) -> None:
    """
    Have exactly one line of this name, at the end.

    :raises ValueError: for what would not be one well-formed line.
    """
    made = line(name, value)
    delete(lines, name)
    lines.append(made)


def line(name: bytes, value: bytes) -> bytes:
    """
    Make a field line.

    :raises ValueError: when the name is no token (RFC 9110 section 5.6.2) or the value holds CR, LF, NUL or other
        control characters, or begins or ends with white space.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a field name, not {name!r}")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"a field value without control characters, not {value!r}")
    return name + b": " + value


def is_value(value: bytes) -> bool:
    """Say whether these bytes can stand behind the colon of a line."""
    return _VALUE.fullmatch(value) is not None
