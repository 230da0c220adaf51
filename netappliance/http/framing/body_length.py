"""How long a body is: Content-Length and Transfer-Encoding judged together (RFC 9112 section 6)."""

from __future__ import annotations

from typing import Final

from netappliance.http.message import CHUNKED, Refusal

#: digits of a Content-Length; 10**18 bytes are more than any body
_DIGITS = 18

CONFLICT = Refusal(400, "content-length with transfer-encoding")
MALFORMED_LENGTH = Refusal(400, "malformed content-length")
DIFFERING_LENGTHS = Refusal(400, "differing content-lengths")
NOT_CHUNKED = Refusal(400, "transfer-encoding does not end in chunked")
CODING_IN_1_0 = Refusal(400, "transfer-encoding in HTTP/1.0")
UNSUPPORTED = Refusal(501, "unsupported transfer coding")


#: single values that were judged; up to so many, for peers choose them
_MOST_KNOWN: Final = 1024
_known: Final[dict[bytes, int]] = {}


def plain_length(value: bytes) -> int:
    """Return what a single stripped value says; -1 when it is not just a number."""
    length = _known.get(value, -1)
    if length < 0 and value.isdigit() and len(value) <= _DIGITS:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        length = _known[value] = int(value)
    return length


def content_length(values: list[bytes]) -> int | Refusal:
    """
    Judge the values of all Content-Length lines; equal ones count as one (RFC 9110 section 8.6).

    :param values: stripped, at least one.
    """
    found = plain_length(values[0]) if len(values) == 1 else -1
    if found >= 0:
        return found
    for value in values:
        for item in value.split(b",") if b"," in value else (value,):
            digits = item.strip(b" \t")
            if not digits.isdigit() or len(digits) > _DIGITS:
                return MALFORMED_LENGTH
            number = int(digits)
            if found >= 0 and number != found:
                return DIFFERING_LENGTHS
            found = number
    return found


def transfer_coding(values: list[bytes], minor: int) -> int | Refusal:
    """
    Judge the values of all Transfer-Encoding lines.

    :param values: stripped, at least one. :param minor: of the message's version.
    :return: CHUNKED, for exactly one ``chunked``.
    """
    if not minor:
        return CODING_IN_1_0
    codings = [item.strip(b" \t").lower() for value in values for item in value.split(b",")]
    if codings == [b"chunked"]:
        return CHUNKED
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1 or b"" in codings:
        return NOT_CHUNKED
    return UNSUPPORTED


def body_length(lengths: list[bytes] | None, codings: list[bytes] | None, minor: int) -> int | Refusal:
    """Return the length that both fields together say; 0 when there is neither."""
    if codings is not None:
        if lengths is not None:
            return CONFLICT
        return transfer_coding(codings, minor)
    return content_length(lengths) if lengths is not None else 0
