"""The text of a configuration file, as sections of raw options with line numbers; every error at once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from netappliance.errors import ConfigProblem

#: bytes of a whole file; ten thousand routes fit many times
MAX_FILE = 16 * 1024 * 1024
#: characters of one line
MAX_LINE = 64 * 1024

_HEADER = re.compile(r"\[\s*([A-Za-z_][A-Za-z0-9_]*)(?:\s+([^\[\]\s][^\[\]]*?))?\s*\]\s*$")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)$", re.DOTALL)
_COMMENT = re.compile(r"(?:^|(?<=\s))[;#].*$", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*$")


@dataclass(slots=True)
class RawOption:
    """One ``key = value``; ``lines`` are the value's lines, stripped, without comments and empty ones."""

    key: str
    lines: list[str]
    line: int

    @property
    def text(self) -> str:
        """The value as one text, its lines joined by newlines."""
        return "\n".join(self.lines)


@dataclass(slots=True)
class RawSection:
    """One ``[kind name]`` and its options in order; ``name`` is empty for ``[kind]``."""

    kind: str
    name: str
    line: int
    options: dict[str, RawOption] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What stands between the brackets."""
        return f"{self.kind} {self.name}" if self.name else self.kind


def decode(data: bytes) -> tuple[str, list[ConfigProblem]]:
    """Turn the bytes of a file into text; one that is too large, binary or not UTF-8 gives a problem, and none."""
    if len(data) > MAX_FILE:
        return "", [ConfigProblem("", "", f"the file has {len(data)} bytes", expected=f"at most {MAX_FILE}")]
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        return "", [ConfigProblem("", "", "a NUL byte: this is no text file", line=line)]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return "", [ConfigProblem("", "", f"byte 0x{data[error.start]:02x} is not UTF-8", line=line)]


def parse(text: str) -> tuple[list[RawSection], list[ConfigProblem]]:
    """
    Split the text of a file into its sections.

    Comments begin with ``;`` or ``#`` at the start of a line or after white space. An indented line continues the
    value above it. A section or key that comes twice is a problem; the first one counts.
    """
    reader = _Reader()
    for number, line in enumerate(_lines(text), 1):
        reader.feed(number, line)
    if not reader.sections and not reader.problems:
        reader.problems.append(ConfigProblem("", "", "the file has no section", expected="[kind] or [kind name]"))
    return reader.sections, reader.problems


def _lines(text: str) -> Iterator[str]:
    # not splitlines(): that also splits at form feeds and the like
    for line in text.split("\n"):
        yield line.removesuffix("\r")


class _Reader:
    """What is known while reading from top to bottom."""

    def __init__(self) -> None:
        self.sections: list[RawSection] = []
        self.problems: list[ConfigProblem] = []
        self._seen: dict[str, int] = {}
        self._section: RawSection | None = None
        self._option: RawOption | None = None
        self._skipping = False

    def feed(self, number: int, line: str) -> None:
        if len(line) > MAX_LINE:
            self._problem(number, f"the line has {len(line)} characters", expected=f"at most {MAX_LINE}")
            return
        indented = line[:1] in (" ", "\t")
        content = _COMMENT.sub("", line).strip()
        if not content:
            return
        bad = next((char for char in content if not char.isprintable() and char != "\t"), None)
        if bad is not None:
            self._problem(number, f"control character 0x{ord(bad):02x}")
            return
        if indented and self._option is not None:
            self._option.lines.append(content)
        elif content.startswith("["):
            self._open(number, content)
        else:
            self._set(number, content)

    def _open(self, number: int, content: str) -> None:
        self._option = None
        match = _HEADER.match(content)
        if match is None:
            self._section, self._skipping = None, True
            self._problem(number, "not a section", got=content, expected="[kind] or [kind name]")
            return
        kind, name = match.group(1).lower(), match.group(2) or ""
        section = RawSection(kind, name, number)
        self._section = section
        if name and not _NAME.match(name):
            self.problems.append(
                ConfigProblem(section.title, "", "a bad name", name, "letters, digits, '_', '-', '.' and ':'", number)
            )
        first = self._seen.setdefault(section.title, number)
        if first != number:
            self.problems.append(
                ConfigProblem(section.title, "", f"the section is there already, in line {first}", line=number)
            )
            return
        self.sections.append(section)

    def _set(self, number: int, content: str) -> None:
        self._option = None
        match = _KEY.match(content)
        if match is None:
            self._problem(number, "neither a section nor a key", got=content, expected="[kind name] or key = value")
            return
        if self._section is None:
            if not self._skipping:
                self._problem(number, "a key before the first section", got=content, expected="[kind name] above it")
            return
        key, value = match.group(1), match.group(2).strip()
        option = RawOption(key, [value] if value else [], number)
        self._option = option
        first = self._section.options.setdefault(key, option)
        if first is not option:
            self.problems.append(
                ConfigProblem(self._section.title, key, f"the key is there already, in line {first.line}", line=number)
            )

    def _problem(self, number: int, why: str, got: str | None = None, expected: str | None = None) -> None:
        title = self._section.title if self._section is not None else ""
        self.problems.append(ConfigProblem(title, "", why, got, expected, number))
