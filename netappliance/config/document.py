"""
``docs/configuration.md``, written from the schemas: ``python -m netappliance.config.document > docs/configuration.md``.

Also the check that a shipped file names every key of its sections.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from netappliance.config import ini
from netappliance.config.kinds import Kinds, section_kinds
from netappliance.config.schema import Option, options_of

HEAD = """# Configuration

Written by `make docs` from the schemas in the code; a test holds the two together.

One file of sections, `[kind]` or `[kind name]`, each with `key = value` lines. A value goes on in indented lines below
it; lists are one item per line or separated by commas. `;` and `#` begin a comment at the start of a line or after
white space. Durations are a number and a unit (`500ms`, `30s`, `10m`, `1h`, `1d`; `0` = off), sizes are bytes with or
without a unit (`512`, `64KiB`, `1MiB`), switches are `yes` or `no`. Listeners are Twisted endpoint descriptions:
`tcp:PORT[:interface=ADDRESS][:backlog=N]`, `tcp6:...`, `unix:PATH[:mode=660]`, and `udp:PORT[:interface=ADDRESS]`;
colons inside an IPv6 address are written `\\:`.

Unknown sections, keys, names and values are errors. All errors of a file are reported at once, each as
`file: [section] key: why (got ...; expected ...; line N)`, and the process ends with status 1 before anything is
touched.
`twistd proxy --check --config FILE` prints them, or the effective configuration with every default.
"""


def document(kinds: Kinds) -> str:
    """Return the page."""
    return HEAD + "".join(_section(kinds[kind]) for kind in sorted(kinds))


def schema_of(kind: Any, raw: ini.RawSection) -> type:
    """Return the schema of one section of a good file."""
    schema_for = getattr(kind, "schema_for", None)
    schema: type = schema_for(raw) if schema_for is not None else kind.schema
    return schema


def schemas_of(kind: Any) -> Iterator[tuple[str, type]]:
    """Yield (what selects it, schema) of a kind: one, or as many as its ``variants()`` has."""
    variants = getattr(kind, "variants", None)
    if variants is None:
        yield "", kind.schema
    else:
        yield from variants()


def _section(kind: Any) -> str:
    out = [f"\n## [{kind.kind}{' NAME' if kind.named else ''}]\n"]
    for selector, schema in schemas_of(kind):
        if selector:
            out.append(f"\n### {selector}\n")
        out.append(f"\n{' '.join((schema.__doc__ or '').split())}\n\n")
        out.append("| key | default | unit | meaning |\n|---|---|---|---|\n")
        out.extend(_row(option) for option in options_of(schema))
    return "".join(out)


def _row(option: Option) -> str:
    default = "**required**" if option.required else _code(option.default)
    example = f" For example {_code(option.example)}." if option.example else ""
    meaning = f"{option.doc}{example}".replace("|", "\\|")
    return f"| `{option.key}` | {default} | {option.unit.replace('|', chr(92) + '|')} | {meaning} |\n"


def _code(text: str) -> str:
    shown = text.replace("\n", ", ").replace("|", "\\|")
    return f"`{shown}`" if shown else ""


def missing_keys(text: str, kinds: Kinds) -> list[str]:
    """Return ``[section] key`` for every key that a section of this file could have and does not show."""
    raws, _ = ini.parse(text)
    missing: list[str] = []
    for raw in raws:
        schema = schema_of(kinds[raw.kind], raw)
        missing.extend(f"[{raw.title}] {option.key}" for option in options_of(schema) if option.key not in raw.options)
    return missing


if __name__ == "__main__":
    sys.stdout.write(document(section_kinds()))
