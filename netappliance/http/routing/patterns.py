"""
Patterns of hosts and paths, as a route's ``host`` and ``path`` write them.

Hosts are compared in lower case, without port and trailing dot; paths byte by byte as the client sent them, without the
query: nothing is decoded and no ``..`` is resolved.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from netappliance.config.regex import Regex

#: bytes of the longest host and path that regular expressions are tried on
MAX_REGEX_HOST = 255
MAX_REGEX_PATH = 2048

#: what a host may be compared with: letters, digits, ``-`` and ``_`` in labels of 1 to 63
_LABEL = re.compile(rb"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PATH = re.compile(rb"/[\x21-\x7e]*")
_EMPTY: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class HostPattern:
    """
    One host of a route.

    :ivar text: as in the file, normalised. :ivar form: ``any``, ``exact``, ``wildcard``, ``labels`` or ``regex``.
    :ivar name: what is compared literally: the host, the domain below the wildcard, the labels behind the last regular
        expression (may be empty). :ivar labels: of ``labels``, from left to right; None takes any one label.
    :ivar groups: how many captures a match has.
    """

    text: str
    form: str
    name: bytes = b""
    labels: tuple[bytes | Regex | None, ...] = ()
    regex: Regex | None = None
    groups: int = 0

    def match(self, host: bytes) -> tuple[bytes, ...] | None:
        """
        Return the captures (groups; the label that a ``*`` stands for), or None when the host is another.

        :param host: lower case, without port and trailing dot, IPv6 in brackets.
        """
        if self.form == "any":
            return _EMPTY
        if self.form == "exact":
            return _EMPTY if (compressed(host) if host[:1] == b"[" else host) == self.name else None
        if self.form == "wildcard":
            label, _, parent = host.partition(b".")
            return (label,) if label and parent == self.name else None
        if self.regex is not None:
            return self.regex.captures(host) if len(host) <= MAX_REGEX_HOST else None
        return self._match_labels(host.split(b"."))

    def fits(self, host: bytes) -> bool:
        """Say whether it is a host's, for less than :meth:`match` where there are groups."""
        if self.regex is not None:
            return len(host) <= MAX_REGEX_HOST and self.regex.matches(host)
        return self.match(host) is not None

    def _match_labels(self, labels: list[bytes]) -> tuple[bytes, ...] | None:
        if len(labels) != len(self.labels) or sum(map(len, labels)) > MAX_REGEX_HOST:
            return None
        captures: tuple[bytes, ...] = ()
        for label, wanted in zip(labels, self.labels, strict=True):
            if wanted is None:
                if not label:
                    return None
                captures += (label,)
            elif isinstance(wanted, bytes):
                if label != wanted:
                    return None
            else:
                found = wanted.captures(label)
                if found is None:
                    return None
                captures += found
        return captures


@dataclass(frozen=True, slots=True)
class PathPattern:
    """
    The path of a route.

    :ivar text: as in the file. :ivar form: ``prefix``, ``exact`` or ``regex``. :ivar value: prefix or path.
    :ivar groups: how many captures a match has.
    """

    text: str
    form: str
    value: bytes = b""
    regex: Regex | None = None
    groups: int = 0

    def match(self, path: bytes) -> tuple[bytes, ...] | None:
        """Return the captures (groups; what follows a prefix), or None when the path is another."""
        if self.regex is not None:
            return self.regex.captures(path) if len(path) <= MAX_REGEX_PATH else None
        if self.form == "exact":
            return _EMPTY if path == self.value else None
        return (path[len(self.value) :],) if path.startswith(self.value) else None

    def fits(self, path: bytes) -> bool:
        """Say whether it is a path's, for less than :meth:`match` where there are groups."""
        if self.regex is not None:
            return len(path) <= MAX_REGEX_PATH and self.regex.matches(path)
        return path == self.value if self.form == "exact" else path.startswith(self.value)


def compressed(host: bytes) -> bytes:
    """Return ``[IPv6]`` in its shortest form, so that one address has one text; what is no address stays as it is."""
    if len(host) < 2:
        return host
    try:
        return b"[" + str(ipaddress.IPv6Address(host[1:-1].decode())).encode() + b"]"
    except ValueError:
        return host


def _compile(text: str, longest: int) -> Regex:
    if not text.isascii():
        raise ValueError("a regular expression in ASCII: hosts and paths are")
    return Regex(text.encode(), longest, ignore_case=longest == MAX_REGEX_HOST)


def host_pattern(text: str) -> HostPattern:
    """
    Parse one host: ``*``, ``example.com``, ``[::1]``, ``*.example.com``, ``/regex/.example.com``, ``~regex``.

    :raises ValueError: with what was expected.
    """
    if text == "*":
        return HostPattern(text, "any")
    if text.startswith("~"):
        regex = _compile(text[1:], MAX_REGEX_HOST)
        return HostPattern(text, "regex", regex=regex, groups=regex.groups)
    if text.startswith("["):
        return _address(text)
    if "/" in text and "://" not in text:
        return _labels(text)
    name = text.lower().removesuffix(".").encode("ascii", "replace")
    if name.startswith(b"*."):
        _check_name(name[2:], text)
        return HostPattern(name.decode(), "wildcard", name[2:], groups=1)
    _check_name(name, text)
    return HostPattern(name.decode(), "exact", name)


def _address(text: str) -> HostPattern:
    try:
        if not text.endswith("]"):
            raise ValueError
        name = f"[{ipaddress.IPv6Address(text[1:-1])}]"
    except ValueError:
        raise ValueError(f"an IPv6 address in brackets and no port, not {text!r}") from None
    return HostPattern(name, "exact", name.encode())


def _check_name(name: bytes, text: str) -> None:
    if b"," in name:
        raise ValueError(f"one host a line, not {text!r}")
    if b"://" in name:
        raise ValueError(f"a host alone (listeners = ... says which ports and schemes), not {text!r}")
    if b":" in name:
        raise ValueError(f"a host without a port (routes hold for every port of a listener), not {text!r}")
    if b"*" in name:
        raise ValueError(f"'*' alone or as the whole first label (*.example.com), not {text!r}")
    if b"?" in name:
        raise ValueError(f"a host in ASCII (xn--... for other scripts), not {text!r}")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(b".")):
        raise ValueError(f"example.com, [::1], *.example.com, /regex/.example.com, ~regex or *, not {text!r}")


def _labels(text: str) -> HostPattern:
    labels: list[bytes | Regex | None] = []
    shown: list[str] = []
    rest = text.removesuffix(".") if not text.endswith("/.") else text[:-1]
    while rest:
        if rest.startswith("/"):
            regex, slash, rest = rest[1:].partition("/")
            if not slash or (rest and not rest.startswith(".")):
                raise ValueError(f"labels of the form /regex/ between dots, not {text!r}")
            labels.append(_compile(regex, MAX_REGEX_HOST))
            shown.append(f"/{regex}/")
        else:
            label = rest.partition(".")[0].lower()
            rest = rest[len(label) :]
            if label == "*" and not labels:
                labels.append(None)
            else:
                _check_name(label.encode("ascii", "replace"), text)
                labels.append(label.encode())
            shown.append(label)
        if rest == ".":
            raise ValueError(f"labels of the form /regex/ between dots, not {text!r}")
        rest = rest[1:]
    literal: list[bytes] = []
    while isinstance(labels[-len(literal) - 1], bytes):
        literal.insert(0, labels[-len(literal) - 1])  # type: ignore[arg-type]
    groups = sum(1 if label is None else label.groups for label in labels if not isinstance(label, bytes))
    return HostPattern(".".join(shown), "labels", b".".join(literal), tuple(labels), groups=groups)


def host_patterns(text: str) -> tuple[HostPattern, ...]:
    """
    Parse a route's ``host``: one a line. Commas separate no items here, for regular expressions have them.

    :raises ValueError: with what was expected.
    """
    patterns = tuple(host_pattern(line) for line in text.split("\n") if line)
    if not patterns:
        raise ValueError("a host; * is any")
    if len({pattern.text for pattern in patterns}) != len(patterns):
        raise ValueError("each host once")
    return patterns


def path_pattern(text: str) -> PathPattern:
    """
    Parse a route's ``path``: a prefix, ``=exact`` or ``~regex``.

    :raises ValueError: with what was expected.
    """
    if text.startswith("~"):
        regex = _compile(text[1:], MAX_REGEX_PATH)
        return PathPattern(text, "regex", regex=regex, groups=regex.groups)
    value = text.removeprefix("=").encode("ascii", "replace" if text.isascii() else "xmlcharrefreplace")
    if not text.isascii() or not _PATH.fullmatch(value) or b"#" in value or b"?" in value:
        raise ValueError("a path from its / on, without query, percent-encoded where it is not ASCII; =path or ~regex")
    if text.startswith("="):
        return PathPattern(text, "exact", value)
    if text.endswith("*"):
        # a star is allowed in paths, but whoever writes one at the end of a prefix means that anything may follow
        raise ValueError(f"a prefix without * ({text.rstrip('*')} takes what begins with it); %2A or ~regex for a star")
    return PathPattern(text, "prefix", value, groups=1)
