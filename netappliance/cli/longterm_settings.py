"""Settings of ``twistd longterm``: flags, environment variables and a file, as tcp_established_exporter takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: name -> default, as text; the names are flags, keys of the file and, in capitals, environment variables
DEFAULTS = {"simple": "false", "tcpv6": "true", "port": "-1", "listen": "", "duration": "6", "config": ""}
BOOLEANS = ("simple", "tcpv6")
#: without a setting both are served: the original documents the first and listens on the second
LISTEN = (9690, 9669)

_LINE = re.compile(r"([^\s=]+)(?:\s*=\s*|\s+|$)(.*)")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True, slots=True)
class LongTermSettings:
    """
    What the exporter does.

    :ivar port: the only local port to count, 0 for every one that listens. :ivar listen: ports of the metrics page.
    :ivar duration_s: the least age of a connection that counts.
    """

    simple: bool
    tcpv6: bool
    port: int
    listen: tuple[int, ...]
    duration_s: int


def normalized(arguments: Sequence[str]) -> list[str]:
    """Return flags as getopt takes them: ``-port 80`` as ``--port 80``, a bare ``--simple`` as ``--simple=true``."""
    result = []
    for argument in arguments:
        name = argument.lstrip("-").partition("=")[0]
        if argument.startswith("-") and name in DEFAULTS:
            argument = "--" + argument.lstrip("-")
            if name in BOOLEANS and "=" not in argument:
                argument += "=true"
        result.append(argument)
    return result


def parse_file(text: str) -> dict[str, str]:
    """
    Read lines ``key value`` or ``key=value``; ``#`` begins a comment, a key alone is ``true``.

    :raises ValueError: an unknown key.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None or match[1] not in DEFAULTS:
            key = match[1] if match else line
            raise ValueError(f"line {number}: unknown key {key!r} (known: {', '.join(DEFAULTS)})")
        found[match[1]] = match[2] or "true"
    return found


def settings(flags: Mapping[str, str], environment: Mapping[str, str], file: Mapping[str, str]) -> LongTermSettings:
    """
    Put the sources together: a flag wins over an environment variable, that over the file.

    :raises ValueError: with what is wrong about which setting, and where it came from.
    """
    chosen = {}
    for name, default in DEFAULTS.items():
        if name in flags:
            chosen[name] = (flags[name], f"--{name}")
        elif environment.get(name.upper()):
            chosen[name] = (environment[name.upper()], name.upper())
        else:
            chosen[name] = (file.get(name, default), f"key {name}")
    port = _whole(*chosen["port"], -1, 65535)
    listen = (_whole(*chosen["listen"], 1, 65535),) if chosen["listen"][0] else LISTEN
    return LongTermSettings(
        simple=_boolean(*chosen["simple"]),
        tcpv6=_boolean(*chosen["tcpv6"]),
        port=max(port, 0),
        listen=listen,
        duration_s=_whole(*chosen["duration"], 0, 315_360_000),
    )


def _boolean(value: str, where: str) -> bool:
    if value not in _TRUE + _FALSE:
        raise ValueError(f"{where}: {value!r} is neither true nor false")
    return value in _TRUE


def _whole(value: str, where: str, low: int, high: int) -> int:
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19) or not low <= int(value) <= high:
        raise ValueError(f"{where}: {value!r} is no whole number from {low} to {high}")
    return int(value)
