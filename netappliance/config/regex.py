"""
Regular expressions of the operator that meet what strangers send: RE2 matches them in time linear in the text.

The text of a peer never makes one take long: an expression's program times the bytes it is tried on is at most
:data:`MAX_STEPS`, and what needs to go back in the text (look-around, back-references) is refused. Both are bytes: a
``.`` is one byte. Syntax: https://github.com/google/re2/wiki/Syntax, which is Python's but for what is refused,
``$`` (the very end, never before a last line feed) and ``\\s`` (without vertical tab). Sans-I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, final

import re2

#: instructions times bytes that one text may cost at worst, a few milliseconds (RE2 looks at each for each)
MAX_STEPS = 2**18
#: bytes of memory of one expression, and of many in one pass; what is found out about texts is forgotten beyond it
MAX_MEMORY = 2**20
MAX_SET_MEMORY = 2**23
#: instructions that are matched in one pass, and bytes of the longest text: many expressions at once may need a state
#: for each byte, where each by itself needs few
MAX_SET_PROGRAM = 4096
MAX_SET_TEXT = 256
#: bytes of what a text must begin with that are looked at before RE2 is asked
MAX_BEGINNING = 32

#: how RE2's messages about what it cannot do begin, and what to tell
_REASONS = (
    (rb"invalid perl operator: \(\?<?[=!]", "look-ahead and look-behind need more than linear time"),
    (rb"invalid escape sequence: \\[1-9]|invalid perl operator: \(\?P", "back-references need more than linear time"),
    (rb"invalid perl operator: \(\?\(", "conditions on groups need more than linear time"),
    (
        rb"invalid perl operator: \(\?>|bad repetition operator: [*+?}]\+",
        "nothing ever goes back: no ++ and no (?>",
    ),
    (rb"invalid escape sequence: \\Z", r"\z is the end of the text, not \Z"),
    (rb"pattern too large", "too large"),
)
#: repetitions in Python's syntax that RE2 would take literally
_LITERAL_IN_RE2 = re.compile(rb"(?<!\\)(?:\\\\)*\{(?:,\d+|\d*,?\d{5,})")


@final
class Regex:
    """
    One expression over bytes.

    :ivar text: as given. :ivar groups: how many it has. :ivar size: instructions of its program.
    :ivar reach: bytes of the longest text that it may be tried on; callers see to it.
    """

    __slots__ = ("_anywhere", "_flags", "_matcher", "_whole", "groups", "reach", "size", "text")

    def __init__(self, text: bytes, longest: int, *, ignore_case: bool = False, dot_all: bool = False) -> None:
        """
        Compile it.

        :param longest: bytes of text that it must be able to take. :param dot_all: ``.`` takes a line feed too.
        :raises ValueError: with what is wrong: not the syntax, not linear, or too large for such texts.
        """
        if not text:
            raise ValueError("a regular expression, not an empty one")
        if _LITERAL_IN_RE2.search(text):
            raise ValueError("a regular expression: {0,n} in place of {,n}, and at most 1000 repetitions")
        self.text = text
        self._flags = (ignore_case, dot_all)
        try:
            self._matcher: Any = re2.compile(text, options=_options(self._flags, MAX_MEMORY))
            self.size: int = self._matcher.programsize
            self._whole = _compiled(re2.Set.FullMatchSet(_options(self._flags, MAX_MEMORY)), (text,))
            self._anywhere = _compiled(re2.Set.SearchSet(_options(self._flags, MAX_MEMORY)), (text,))
        except re2.error as error:
            raise ValueError(f"a regular expression: {_reason(error)}") from None
        if self.size * longest > MAX_STEPS:
            raise ValueError(
                f"a regular expression of at most {MAX_STEPS // longest} instructions of RE2, not {self.size}: "
                "repetitions such as {1,100} multiply them"
            )
        self.groups: int = self._matcher.groups
        self.reach = MAX_STEPS // self.size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regex) and (self.text, self._flags) == (other.text, other._flags)

    def __hash__(self) -> int:
        return hash((self.text, self._flags))

    def matches(self, text: bytes) -> bool:
        """Say whether it matches the whole text; several times faster than to ask for groups."""
        return self._whole.Match(text) is not None

    def occurs_in(self, text: bytes) -> bool:
        """Say whether it matches somewhere in a text."""
        return self._anywhere.Match(text) is not None

    def captures(self, text: bytes) -> tuple[bytes, ...] | None:
        """Return the groups, empty where one took no part, or None when it does not match the whole text."""
        if self._whole.Match(text) is None:
            return None
        if not self.groups:
            return ()
        found: tuple[bytes, ...] = self._matcher.fullmatch(text).groups(b"")
        return found

    def span(self, text: bytes) -> tuple[int, int] | None:
        """
        Return where the first match begins and ends, or its first group where the expression has one; None without a
        match or where the group took no part in it.
        """
        found = self._matcher.search(text)
        if found is None:
            return None
        start, end = found.span(1 if self.groups else 0)
        return (start, end) if start >= 0 else None

    def beside(self, other: Regex) -> bool:
        """Say whether both may be in one :class:`RegexSet`."""
        return self._flags == other._flags

    def beginning(self) -> bytes:
        """Return what all texts that it matches whole begin with, up to MAX_BEGINNING bytes, as far as RE2 knows."""
        try:
            found: tuple[bytes, bytes] = self._matcher.possiblematchrange(MAX_BEGINNING)
        except re2.error:
            return b""
        lowest, highest = found
        same = 0
        for low, high in zip(lowest[:MAX_BEGINNING], highest, strict=False):
            if low != high:
                break
            same += 1
        return lowest[:same]

    def options(self, memory: int) -> Any:
        """Return how RE2 is told to compile it."""
        return _options(self._flags, memory)


@final
class RegexSet:
    """
    Many expressions, of which those that match a text are found in one pass; a text that begins like none of them is
    not looked at further.
    """

    __slots__ = ("_beginnings", "_compared", "_regexes", "_sets")

    def __init__(self, regexes: Sequence[Regex]) -> None:
        """
        Compile them.

        :raises ValueError: they differ in their options.
        """
        self._regexes = list(regexes)
        #: (number of the first in it, RE2's set)
        self._sets: list[tuple[int, Any]] = []
        beginnings = [each.beginning() for each in self._regexes]
        self._compared = min(map(len, beginnings), default=0)
        self._beginnings = frozenset(each[: self._compared] for each in beginnings)
        first = size = 0
        for number, each in enumerate(self._regexes):
            if not each.beside(self._regexes[0]):
                raise ValueError("expressions with the same options")
            if number > first and size + each.size > MAX_SET_PROGRAM:
                self._add(first, number)
                first, size = number, 0
            size += each.size
        if self._regexes:
            self._add(first, len(self._regexes))

    def _add(self, first: int, end: int) -> None:
        regexes = self._regexes[first:end]
        made = re2.Set.FullMatchSet(regexes[0].options(MAX_SET_MEMORY))
        self._sets.append((first, _compiled(made, [each.text for each in regexes])))

    def matching(self, text: bytes) -> list[int]:
        """Return the numbers of those that match the whole text, in their order."""
        if text[: self._compared] not in self._beginnings:
            return []
        if len(text) > MAX_SET_TEXT:
            return [number for number, each in enumerate(self._regexes) if each.matches(text)]
        found: list[int] = []
        for first, each in self._sets:
            numbers = each.Match(text)
            if numbers is not None:
                found += sorted([first + number for number in numbers])
        return found


def _options(flags: tuple[bool, bool], memory: int) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = memory
    options.log_errors = False
    options.case_sensitive = not flags[0]
    options.dot_nl = flags[1]
    return options


def _compiled(made: Any, texts: Sequence[bytes]) -> Any:
    for text in texts:
        made.Add(text)
    made.Compile()
    return made


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else b""
    message: bytes = said if isinstance(said, bytes) else str(said).encode("latin-1", "replace")
    for begins, reason in _REASONS:
        if re.match(begins, message):
            return reason
    return message.decode("latin-1")
