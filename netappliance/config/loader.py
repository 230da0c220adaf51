"""A whole configuration file: parsed, and checked across sections."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netappliance.config import ini
from netappliance.config.configuration import Configuration
from netappliance.config.ini import RawSection
from netappliance.config.kinds import Kinds
from netappliance.config.schema import effective_options, options_of, parse_section, suggestion
from netappliance.config.values import Endpoint
from netappliance.errors import ConfigErrors, ConfigProblem


def read(path: Path, kinds: Kinds) -> Configuration:
    """
    Read and check a file.

    :raises ConfigErrors: also when the file is missing, unreadable, too large or no text.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(ini.MAX_FILE + 1)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigErrors(name, [ConfigProblem("", "", f"cannot read the file: {why}")]) from None
    text, problems = ini.decode(data)
    if problems:
        raise ConfigErrors(name, problems)
    return load(text, name, kinds)


def load(text: str, filename: str, kinds: Kinds) -> Configuration:
    """
    Check the text of a file.

    :raises ConfigErrors: with every problem of the file, in the order of its lines.
    """
    raws, problems = ini.parse(text)
    problems.extend(kinds.problems)
    parsed: dict[tuple[str, str], Any] = {}
    effective = []
    for raw in [*raws, *_implied(raws, kinds)]:
        schema = _schema(raw, kinds, problems)
        if schema is None:
            continue
        section = parse_section(schema, raw, problems)
        if section is not None:
            parsed[raw.kind, raw.name] = section
            effective.append((raw.title, tuple(effective_options(schema, raw))))
    configuration = Configuration(filename, parsed, tuple(effective))
    # cross references of a file with broken sections would only repeat what is said already
    if not problems:
        problems.extend(_duplicate_addresses(configuration))
        for (kind, _), section in parsed.items():
            problems.extend(kinds[kind].check(section, configuration))
    if problems:
        lines = {raw.title: raw.line for raw in raws}
        options = {(raw.title, option.key): option.line for raw in raws for option in raw.options.values()}
        placed = [_placed(problem, lines, options) for problem in problems]
        raise ConfigErrors(filename, sorted(placed, key=lambda problem: problem.line))
    return configuration


def _placed(problem: ConfigProblem, sections: dict[str, int], options: dict[tuple[str, str], int]) -> ConfigProblem:
    """Add the line to a problem that a check found by section and key."""
    if problem.line:
        return problem
    line = options.get((problem.section, problem.key)) or sections.get(problem.section, 0)
    return dataclasses.replace(problem, line=line)


def _implied(raws: list[RawSection], kinds: Kinds) -> Iterator[RawSection]:
    present = {raw.kind for raw in raws}
    for kind in kinds:
        if kind not in present and getattr(kinds[kind], "always", False):
            yield RawSection(kind, "", 0)


def _schema(raw: RawSection, kinds: Kinds, problems: list[ConfigProblem]) -> type | None:
    if raw.kind not in kinds:
        known = ", ".join(f"[{kind}{' NAME' if kinds[kind].named else ''}]" for kind in sorted(kinds))
        why = f"unknown section{suggestion(raw.kind, kinds)}"
        problems.append(ConfigProblem(raw.title, "", why, None, known, raw.line))
        return None
    kind = kinds[raw.kind]
    if kind.named != bool(raw.name):
        expected = f"[{raw.kind} NAME]" if kind.named else f"[{raw.kind}]"
        why = "the section needs a name" if kind.named else "the section has no name"
        problems.append(ConfigProblem(raw.title, "", why, None, expected, raw.line))
        return None
    schema_for = getattr(kind, "schema_for", None)
    if schema_for is None:
        schema: type = kind.schema
        return schema
    found = schema_for(raw)
    if isinstance(found, ConfigProblem):
        problems.append(found)
        return None
    chosen: type = found
    return chosen


def endpoints_of(section: Any) -> Iterator[tuple[str, Endpoint]]:
    """Yield (key, endpoint) of every endpoint that a section listens on."""
    keys = {option.field: option.key for option in options_of(type(section))}
    for item in dataclasses.fields(section):
        value = getattr(section, item.name)
        for endpoint in value if isinstance(value, tuple) else (value,):
            if isinstance(endpoint, Endpoint):
                yield keys.get(item.name, item.name), endpoint


def _duplicate_addresses(configuration: Configuration) -> Iterator[ConfigProblem]:
    seen: dict[object, list[tuple[str, Any, Endpoint]]] = {}
    for (kind, name), section in configuration.parsed.items():
        title = f"{kind} {name}" if name else kind
        for key, endpoint in endpoints_of(section):
            same_port = seen.setdefault(endpoint.path or endpoint.port, [])
            for other_title, other_section, other in same_port:
                if endpoint.collides(other) and not (endpoint == other and _share(section, other_section)):
                    why = f"the address is used by [{other_title}] already"
                    yield ConfigProblem(title, key, why, endpoint.text, _instead(section, other_section))
                    break
            same_port.append((title, section, endpoint))


def _sharing_key(section: Any, other: Any) -> str:
    """Return the key that lets sections of this kind share an address; empty when there is none."""
    key: str = getattr(section, "shares_addresses_by", "") if type(section) is type(other) else ""
    return key


def _share(section: Any, other: Any) -> bool:
    key = _sharing_key(section, other)
    return bool(key) and section is not other and bool(getattr(section, key) and getattr(other, key))


def _instead(section: Any, other: Any) -> str:
    key = _sharing_key(section, other)
    if not key or section is other:
        return "an address of its own"
    return f"an address of its own, or the same address with {key} in both sections"
