"""The names that certificates are ordered for, as ``names`` of ``[acme]`` writes them. Pure."""

from __future__ import annotations

import re

from netappliance.config import values

#: names of one certificate; Let's Encrypt takes no more
MAX_NAMES = 100

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def host_name(text: str) -> str:
    """
    A DNS name in lower case (RFC 1123 section 2.1).

    :raises ValueError: with what was expected; a wildcard is told why it cannot be had.
    """
    name = text.lower()
    if name.startswith("*"):
        raise ValueError(f"names without a wildcard, not {text!r}: it needs the challenge dns-01, which is not offered")
    if not name.isascii():
        raise ValueError(f"international names in their xn-- form, not {text!r}")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or ":" in name:
        raise ValueError(f"host names such as www.example.org, not {text!r}")
    if labels[-1].isdigit():
        raise ValueError(f"host names, not addresses such as {text!r}")
    return name


def certificate_names(text: str) -> tuple[tuple[str, ...], ...]:
    """
    One certificate a line, its names separated by spaces; the first one names the file.

    :raises ValueError: with what was expected.
    """
    certificates = tuple(tuple(map(host_name, line.replace(",", " ").split())) for line in values.lines(text))
    seen: set[str] = set()
    for names in certificates:
        if names[0] == "ca":
            raise ValueError("another first name than 'ca', whose file would be ca.pem, which is never served")
        if len(names) > MAX_NAMES:
            raise ValueError(f"at most {MAX_NAMES} names in one certificate, not {len(names)}")
        for name in names:
            if name in seen:
                raise ValueError(f"each name once, {name!r} stands there twice")
            seen.add(name)
    if not seen:
        raise ValueError("at least one name")
    return certificates
