"""The two families of filters, of datagrams and of requests: kinds by name, sections, building."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from netappliance.config.ini import RawOption, RawSection
from netappliance.config.plugins import find, names
from netappliance.config.schema import parse_section
from netappliance.errors import ConfigProblem


@dataclass(frozen=True, slots=True)
class BuiltinFilter:
    """
    A filter of ours; its module is imported when a configuration names it.

    :ivar package: dotted name of the family's folder. :ivar section, maker: names of the dataclass and of
        ``make(section, resources)`` in the module.
    """

    package: ClassVar[str]

    name: str
    module: str
    section: str
    maker: str = "make"
    aliases: tuple[str, ...] = ()

    def _attribute(self, name: str) -> Any:
        return getattr(import_module(f"{self.package}.{self.module}"), name)

    @property
    def schema(self) -> type:
        """The section's dataclass."""
        schema: type = self._attribute(self.section)
        return schema

    def make(self, section: Any, resources: Any) -> Any:
        """Build the filter."""
        build: Callable[[Any, Any], Any] = self._attribute(self.maker)
        return build(section, resources)


class FilterFamily:
    """
    The filters of one family: ours, and those of plug-ins.

    :param interface: what plug-ins of the family provide. :ivar where: the section that uses them, in its brackets.
    """

    def __init__(self, interface: Any, where: str, builtin: Sequence[BuiltinFilter]) -> None:
        self._interface = interface
        self.where = where
        self._builtin = builtin
        self._by_name = {word: kind for kind in builtin for word in (kind.name, *kind.aliases)}

    def filter_kind(self, name: str) -> Any:
        """
        Return the kind with this name or alias.

        :raises ValueError: lists the known ones.
        """
        if name in self._by_name:
            return self._by_name[name]
        try:
            return find(self._interface, name)
        except ValueError:
            raise ValueError(" | ".join(self.filter_names())) from None

    def filter_names(self) -> list[str]:
        """Return the names of all filters, ours first."""
        return [kind.name for kind in self._builtin] + names(self._interface)

    def kinds(self) -> Iterator[tuple[str, type]]:
        """Yield (selector, schema) of every filter of ours, for the documentation."""
        for kind in self._builtin:
            yield f"kind = {kind.name}", kind.schema

    def section_without_options(self, name: str) -> Any:
        """
        Return the section of a kind that is named in ``filters`` without a section of its own.

        :raises ValueError: no such kind, or one that needs options.
        """
        raw = RawSection("filter", name, 0, {"kind": RawOption("kind", [name], 0)})
        problems: list[ConfigProblem] = []
        section = parse_section(self.filter_kind(name).schema, raw, problems)
        if problems:
            raise ValueError(
                f"a [filter NAME] section: kind = {name} needs {', '.join(problem.key for problem in problems)}"
            )
        return section

    def build(self, chosen: Sequence[str], configuration: Any, resources: Any) -> list[tuple[str, Any]]:
        """
        Build filters, in order.

        :param chosen: [filter NAME] sections, or kinds that need no options.
        :raises ValueError: which one cannot be built, and why.
        """
        built = []
        for name in chosen:
            section = configuration.get("filter", name)
            if section is None:
                section = self.section_without_options(name)
            try:
                kind = self.filter_kind(section.kind)
            except ValueError as error:
                raise ValueError(f"a filter for {self.where}, which kind = {section.kind} is not: {error}") from None
            built.append((name, kind.make(section, resources)))
        return built
