"""Section kinds: those that are installed, by their word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from twisted.plugin import getPlugins

from netappliance import plugins
from netappliance.config.configuration import Configuration
from netappliance.errors import ConfigProblem
from netappliance.interfaces import ISectionKind, IServiceKind


class Kinds(Mapping[str, Any]):
    """Section kinds by their word; ``problems`` has those that two plug-ins claim."""

    def __init__(self, providers: Iterable[Any]) -> None:
        self._kinds: dict[str, Any] = {}
        self.problems: list[ConfigProblem] = []
        for provider in providers:
            if provider.kind in self._kinds:
                why = "two plug-ins provide this section kind; remove one of the distributions"
                self.problems.append(ConfigProblem(provider.kind, "", why))
            self._kinds.setdefault(provider.kind, provider)

    def __getitem__(self, kind: str) -> Any:
        return self._kinds[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def services(self, configuration: Configuration) -> Iterator[Any]:
        """Yield the kinds that run something and that the configuration uses."""
        for kind, provider in self._kinds.items():
            if IServiceKind.providedBy(provider) and configuration.sections(kind):
                yield provider


def section_kinds() -> Kinds:
    """Return every section kind that is installed."""
    return Kinds(sorted(getPlugins(ISectionKind, plugins), key=lambda provider: provider.kind))
