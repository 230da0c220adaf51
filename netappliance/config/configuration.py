"""What a configuration file says, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    What a file says, with every default filled in.

    :ivar parsed: (kind, name) -> the section's dataclass, in the order of the file.
    """

    filename: str
    parsed: dict[tuple[str, str], Any]
    _effective: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]

    def sections(self, kind: str) -> tuple[Any, ...]:
        """Return all sections of a kind, in the order of the file."""
        return tuple(section for (of, _), section in self.parsed.items() if of == kind)

    def get(self, kind: str, name: str = "") -> Any | None:
        """Return one section, or None when the file has none."""
        return self.parsed.get((kind, name))

    @property
    def appliance(self) -> Any:
        """The ``[appliance]`` section; present even when the file has none."""
        return self.parsed["appliance", ""]

    def effective(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Return (section title, ((key, text), ...)) for every section, defaults included."""
        return self._effective

    def text(self) -> str:
        """Return the effective configuration as a file that parses to the same sections."""
        out = []
        for title, options in self._effective:
            out.append(f"[{title}]")
            for key, value in options:
                first, *more = value.split("\n")
                # after white space these two would begin a comment
                if first.startswith((";", "#")):
                    out.append(f"{key} ={first}")
                elif more:
                    out.append(f"{key} =")
                    more.insert(0, first)
                else:
                    out.append(f"{key} = {first}".rstrip())
                out.extend(f"    {line}" for line in more)
            out.append("")
        return "\n".join(out)
