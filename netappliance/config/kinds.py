"""Section kinds: those that are installed, by their word; ours are imported when they are first needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from twisted.plugin import IPlugin, getPlugins
from zope.interface import implementer

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


class _Lazy:
    """Stands for an object named ``module:attribute`` that is imported when it is first needed."""

    def __init__(self, kind: str, dotted: str, *, named: bool, always: bool = False) -> None:
        self.kind = kind
        self.named = named
        self.always = always
        self._dotted = dotted
        self._loaded: Any = None

    def _load(self) -> Any:
        if self._loaded is None:
            module, _, attribute = self._dotted.partition(":")
            self._loaded = getattr(import_module(module), attribute)()
        return self._loaded

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        return getattr(self._load(), attribute)


@implementer(IPlugin, ISectionKind)
class LazySection(_Lazy):
    """A section kind of ours that only holds values."""


@implementer(IPlugin, IServiceKind)
class LazyService(_Lazy):
    """A section kind of ours that runs something; its code is imported only when the file has such a section."""
