"""Keys of the metadata that filters hand to each other."""

from __future__ import annotations

import re

METADATA_KEY_DOC = "Name under which filters hand it to each other."


def metadata_key(text: str) -> str:
    """A name of 1 to 128 visible characters."""
    if not re.fullmatch(r"[!-~]{1,128}", text):
        raise ValueError("1 to 128 visible ASCII characters")
    return text
