"""The Cookie lines of a request (RFC 6265 section 4.2). Sans-I/O; nothing here raises for what a peer sends."""

from __future__ import annotations

_PREFIX = b"cookie:"


def find(lines: list[bytes], name: bytes) -> bytes | None:
    """Return the value of the first cookie of this name, without quotes; None when there is none."""
    for line in lines:
        if name in line and line[:7].lower() == _PREFIX:
            for pair in line[7:].split(b";"):
                value = _value(pair, name)
                if value is not None:
                    return value
    return None


def take(lines: list[bytes], name: bytes) -> bytes | None:
    """
    Take every cookie of this name out of the lines, in place, and return the value of the first.

    The other cookies stay byte for byte; a line without any goes.
    """
    found: bytes | None = None
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if name not in line or line[:7].lower() != _PREFIX:
            continue
        pairs = line[7:].split(b";")
        kept = []
        first: bytes | None = None
        for pair in pairs:
            value = _value(pair, name)
            if value is None:
                kept.append(pair)
            elif first is None:
                first = value
        if first is None:
            continue
        found = first
        rest = b";".join(kept)
        if rest.strip(b" \t;"):
            # the white space that stood before the pair that was first now stands before another
            lines[index] = line[:7] + (rest if kept[0] is pairs[0] else b" " + rest.lstrip(b" \t"))
        else:
            del lines[index]
    return found


def _value(pair: bytes, name: bytes) -> bytes | None:
    key, equals, value = pair.partition(b"=")
    if not equals or key.strip(b" \t") != name:
        return None
    value = value.strip(b" \t")
    return value[1:-1] if len(value) > 1 and value[:1] == value[-1:] == b'"' else value
