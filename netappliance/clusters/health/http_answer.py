"""What an HTTP health check expects of a response, and whether what has come of one is that. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from netappliance.config.regex import Regex

#: bytes of a response that are looked at, its head included
MAX_RESPONSE = 16384
#: bytes in which a regular expression is looked for
MAX_REGEX_TEXT = 2048
MAX_PATTERN = 256

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r\n]")
_NO_STATUS_YET = re.compile(rb"(?:H(?:T(?:T(?:P(?:/(?:1(?:\.(?:[01](?: [0-9]{0,3})?)?)?)?)?)?)?)?)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t;][^\r\n]*)?\r\n")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")


class CheckFailed(Exception):
    """The backend is not well; the message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    A text that must occur.

    :ivar literal: its bytes. :ivar regex: instead of them.
    """

    literal: bytes
    regex: Regex | None = None

    def occurs_in(self, data: bytes) -> bool:
        """Say whether it is there; a regular expression is looked for in the first :data:`MAX_REGEX_TEXT` bytes."""
        if self.regex is not None:
            return self.regex.occurs_in(data[:MAX_REGEX_TEXT])
        return self.literal in data


def wanted(text: str) -> Wanted:
    """
    Read ``TEXT`` or ``~REGEX``, both percent-encoded, for an option has no spaces.

    :raises ValueError: with what was expected.
    """
    data = unquote_to_bytes(text)
    if not data or data == b"~" or len(data) > MAX_PATTERN:
        raise ValueError(f"1 to {MAX_PATTERN} bytes, percent-encoded, or ~ and a regular expression")
    if not data.startswith(b"~"):
        return Wanted(data)
    try:
        return Wanted(data, Regex(data[1:], MAX_REGEX_TEXT))
    except ValueError as error:
        raise ValueError(str(error).replace("expression", "expression behind ~", 1)) from None


@dataclass(frozen=True, slots=True)
class Expected:
    """
    A response that is well.

    :ivar header: a field's name in lower case that must be there, empty = none. :ivar value: what one of its values
        must contain. :ivar body: what the body must contain.
    """

    statuses: frozenset[int]
    header: bytes = b""
    value: Wanted | None = None
    body: Wanted | None = None


def statuses(text: str) -> frozenset[int]:
    """
    Read ``200-299,401``.

    :raises ValueError: with what was expected.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", part, re.ASCII)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ValueError("statuses such as 200, 200-299 or 200-204,401 in expect=")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def header(text: str) -> tuple[bytes, Wanted | None]:
    """
    Read ``NAME``, ``NAME:TEXT`` or ``NAME:~REGEX``.

    :raises ValueError: with what was expected.
    """
    name, colon, value = text.partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError("NAME, NAME:TEXT or NAME:~REGEX")
    return name.lower().encode(), wanted(value) if colon else None


# -- responses --------------------------------------------------------------------------------------------------------


def judge(data: bytes, expected: Expected, *, ended: bool) -> bool:
    """
    Look at the beginning of an HTTP/1 response; as soon as it is known to be well there is no need for the rest.

    :param ended: no more will come, or be looked at.
    :return: False when more is needed, never when ``ended``.
    :raises CheckFailed: it is not what is expected.
    """
    final = _final(data, expected.statuses)
    if final is None:
        return _more(data, ended=ended)
    if not expected.header and expected.body is None:
        return True
    head, end, rest = final.partition(b"\r\n\r\n")
    if not end:
        return _more(data, ended=ended)
    fields = [(name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in _lines(head))]
    if expected.header:
        _judge_header(fields, expected)
    return expected.body is None or _judge_body(fields, rest, expected.body, ended=ended)


def _more(data: bytes, *, ended: bool) -> bool:
    if ended:
        raise CheckFailed("the answer is cut off" if data else "the connection was closed before the answer")
    return False


def _lines(head: bytes) -> list[bytes]:
    return head.split(b"\r\n")[1:]


def _final(data: bytes, good: frozenset[int]) -> bytes | None:
    """Return the data from the final response on, None when its status line is not there yet."""
    match = _STATUS.match(data)
    while match is not None and match[1][:1] == b"1" and match[1] != b"101" and int(match[1]) not in good:
        _, end, data = data.partition(b"\r\n\r\n")
        if not end:
            return None
        match = _STATUS.match(data)
    if match is None:
        if _NO_STATUS_YET.fullmatch(data):
            return None
        raise CheckFailed("the answer is no HTTP/1")
    if int(match[1]) not in good:
        raise CheckFailed(f"the status is {int(match[1])}")
    return data


def _judge_header(fields: list[tuple[bytes, bytes]], expected: Expected) -> None:
    values = [value for name, value in fields if name == expected.header]
    name = expected.header.decode()
    if not values:
        raise CheckFailed(f"there is no {name}")
    if expected.value is not None and not any(expected.value.occurs_in(value) for value in values):
        raise CheckFailed(f"{name} is {values[0][:64]!r}")


def _judge_body(fields: list[tuple[bytes, bytes]], rest: bytes, body: Wanted, *, ended: bool) -> bool:
    known = dict(fields)
    length = known.get(b"content-length", b"")
    malformed = False
    if known.get(b"transfer-encoding", b"").lower() == b"chunked":
        content, whole, malformed = unchunked(rest)
    elif length.isdigit() and len(length) < 19:
        content, whole = rest[: int(length)], len(rest) >= int(length)
    else:
        content, whole = rest, False
    # where a text ends may decide about a regular expression
    enough = body.regex is None or whole or ended or len(content) >= MAX_REGEX_TEXT
    if enough and body.occurs_in(content):
        return True
    if malformed:
        raise CheckFailed("the body's chunks are malformed")
    if whole or ended or (enough and body.regex is not None):
        raise CheckFailed(f"what is expected is not in the body, which begins with {content[:32]!r}")
    return False


def unchunked(data: bytes) -> tuple[bytes, bool, bool]:
    """
    Take chunks apart (RFC 9112 section 7.1).

    :return: what they hold, whether the last one was there, and whether what follows is no chunk.
    """
    content = b""
    while data:
        match = _CHUNK.match(data)
        if match is None:
            return content, False, len(data) > MAX_PATTERN or b"\n" in data
        size = int(match[1], 16)
        if not size:
            return content, True, False
        content += data[match.end() : match.end() + size]
        data = data[match.end() + size + 2 :]
    return content, False, False
