"""Blocks of PEM text (RFC 7468). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from netappliance.tls.certificates.refusals import Reason, Refused

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s*\n.*?-----END ([A-Z0-9 ]+)-----[ \t\r]*(?:\n|\Z)", re.DOTALL)


def pem_blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    Yield (label, the block with its first and last line), in the order of the text. Text between blocks is a comment.

    :raises Refused: malformed: a block that is not ended, an end without a beginning, ends of another label.
    """
    at = 0
    for block in _BLOCK.finditer(data):
        _no_marks(data[at : block.start()])
        begun, ended = block.groups()
        if begun != ended or block.group().count(b"-----BEGIN") > 1:
            raise Refused(Reason.MALFORMED, f"its block of {begun.decode()} has no end (expected PEM)")
        yield begun, block.group()
        at = block.end()
    _no_marks(data[at:])


def _no_marks(text: bytes) -> None:
    for mark, why in ((b"-----BEGIN", "a block of it has no end"), (b"-----END", "a block of it has no beginning")):
        if mark in text:
            raise Refused(Reason.MALFORMED, f"{why} (expected PEM)")
