"""Section kinds whose code is imported when a configuration names them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from netappliance.interfaces import ISectionKind, IServiceKind


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
