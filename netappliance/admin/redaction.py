"""The effective configuration as the ``/config`` page shows it: ini text without secrets. Pure."""

from __future__ import annotations

import re

HIDDEN = "(hidden)"

_SECRET_KEY = re.compile(r"(^|_)(password|passphrase|secret|token|credentials|users)$")
_SECRET_OPTION = re.compile(r"\b((?:[a-z_]*_)?(?:token|password|passphrase|secret)=)[^\s,;]+", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_KEY_LINE = re.compile(r"^([A-Za-z0-9_.-]+)(\s*[=:]\s*)(.*)$")


def redact(text: str) -> str:
    """
    Hide the values of secrets: keys named like one (``password``, ``token`` … but not ``token_file``), ``token=``
    options of backends, and user names with passwords in addresses.

    :param text: ini text, one ``key = value`` per line, further lines of a value indented.
    """
    lines = []
    hiding = False
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            lines.append(f"{_indent(line)}{HIDDEN}" if hiding and line.strip() else _hide_parts(line))
            continue
        match = _KEY_LINE.match(line)
        hiding = match is not None and _SECRET_KEY.search(match[1].lower()) is not None
        if match is not None and hiding:
            lines.append(f"{match[1]}{match[2]}{HIDDEN}" if match[3].strip() else line)
        else:
            lines.append(_hide_parts(line))
    return "".join(f"{line}\n" for line in lines)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _hide_parts(line: str) -> str:
    return _USER_INFO.sub(HIDDEN, _SECRET_OPTION.sub(rf"\1{HIDDEN}", line))
