"""Sections as frozen dataclasses whose fields carry their key, converter, default, unit and meaning."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netappliance.config.ini import RawSection
from netappliance.errors import ConfigProblem

_METADATA = "netappliance"
_GROUP = "netappliance.group"


@dataclass(frozen=True, slots=True)
class Option:
    """
    What the schema knows about one key; ``default`` is text as in the file, so that file, docs and code agree.

    :ivar group: the section's field that holds it, when it is one of several keys that kinds have in common.
    """

    field: str
    key: str
    convert: Callable[[str], Any]
    default: str
    required: bool
    unit: str
    doc: str
    example: str
    secret: bool
    group: str = ""


def option(
    convert: Callable[[str], Any],
    default: str = "",
    *,
    key: str = "",
    required: bool = False,
    unit: str = "",
    doc: str,
    example: str = "",
    secret: bool = False,
) -> Any:
    """
    Declare a field of a section.

    :param convert: from :mod:`netappliance.config.values`, or any function of the text that raises ValueError with
        what it expects.
    :param default: the default as text, converted like a value of the file.
    :param key: the key in the file; the field's name unless given.
    :param secret: a bad value is not repeated in the error, and the converter's message must not tell it either.
    """
    metadata = {"convert": convert, "default": default, "key": key, "required": required, "unit": unit}
    metadata |= {"doc": doc, "example": example, "secret": secret}
    if required:
        return dataclasses.field(metadata={_METADATA: metadata})
    return dataclasses.field(default_factory=lambda: convert(default), metadata={_METADATA: metadata})


def group(schema: type) -> Any:
    """
    Declare a field that holds keys which several kinds have in common; in the file they are keys like the others.

    :param schema: a dataclass of options like a section's, each with a default.
    """
    return dataclasses.field(default_factory=schema, metadata={_GROUP: schema})


def options_of(schema: type) -> Iterator[Option]:
    """Yield the options of a section's dataclass in the order of its fields (``name`` is none)."""
    for item in dataclasses.fields(schema):
        declared = item.metadata.get(_METADATA)
        if declared is not None:
            yield Option(field=item.name, **{**declared, "key": declared["key"] or item.name})
        elif _GROUP in item.metadata:
            yield from (dataclasses.replace(each, group=item.name) for each in options_of(item.metadata[_GROUP]))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` for a near miss, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def parse_section(schema: type, raw: RawSection, problems: list[ConfigProblem]) -> Any:
    """
    Build the dataclass of one section.

    :param problems: every unknown key, bad value and missing key is added here.
    :return: the instance, or None when there was a problem.
    """
    known = {item.key: item for item in options_of(schema)}
    before = len(problems)
    for key, given in raw.options.items():
        if key not in known:
            expected = "a key of this section: " + ", ".join(known)
            problems.append(
                ConfigProblem(raw.title, key, f"unknown key{suggestion(key, known)}", None, expected, given.line)
            )
    values: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for item in known.values():
        entry = raw.options.get(item.key)
        if entry is None:
            if item.required:
                expected = item.unit or item.doc
                problems.append(ConfigProblem(raw.title, item.key, "the key is missing", None, expected, raw.line))
            continue
        try:
            (groups.setdefault(item.group, {}) if item.group else values)[item.field] = item.convert(entry.text)
        except ValueError as error:
            got = None if item.secret else entry.text
            problems.append(ConfigProblem(raw.title, item.key, "a bad value", got, str(error), entry.line))
    if len(problems) > before:
        return None
    for field in dataclasses.fields(schema):
        if field.name == "name":
            values["name"] = raw.name
        elif field.name in groups:
            values[field.name] = field.metadata[_GROUP](**groups[field.name])
    return schema(**values)


def effective_options(schema: type, raw: RawSection | None) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of every option as it is in force: the file's text, or the default's."""
    for item in options_of(schema):
        given = raw.options.get(item.key) if raw is not None else None
        yield item.key, given.text if given is not None else item.default
