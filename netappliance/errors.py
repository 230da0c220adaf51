"""The errors that end a start: what is wrong, where, and what was expected."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """
    One thing wrong with the configuration.

    :ivar section: what stands in the brackets (``tcp echo``), or empty when the problem is of the file.
    :ivar line: the line's number from 1, or 0 when the problem has no line.
    """

    section: str
    key: str
    why: str
    got: str | None = None
    expected: str | None = None
    line: int = 0

    def render(self, filename: str) -> str:
        """
        Return ``file: [section] key: why (got ...; expected ...; line N)`` in one line, without what is not known.

        Control characters are escaped.
        """
        place = f"{filename}:"
        if self.section:
            place += f" [{self.section}]"
        if self.key:
            place += f" {self.key}:"
        details = []
        if self.got is not None:
            details.append(f"got {_shorten(self.got)!r}")
        if self.expected:
            details.append(f"expected {self.expected}")
        if self.line:
            details.append(f"line {self.line}")
        text = f"{place} {self.why}" + (f" ({'; '.join(details)})" if details else "")
        return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _shorten(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[:limit] + "..."


class ConfigErrors(Exception):
    """All problems of a configuration file at once."""

    def __init__(self, filename: str, problems: Iterable[ConfigProblem]) -> None:
        self.filename = filename
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.render(filename) for problem in self.problems))


class StartError(Exception):
    """The appliance cannot start; the message says what it could not have, and why."""


def cannot_listen(label: str, endpoint: str, error: OSError) -> StartError:
    """
    Say that an address cannot be had.

    :param label: the section in its brackets. :param endpoint: as written in the file.
    """
    why = os.strerror(error.errno) if error.errno else str(error)
    return StartError(f"{label} listen: cannot listen on {endpoint}: {why}")
