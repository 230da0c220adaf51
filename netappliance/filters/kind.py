"""``[filter NAME]``: the options of a filter, of datagrams or of requests; which there are depends on its ``kind``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from netappliance.config import values
from netappliance.config.ini import RawSection
from netappliance.config.schema import option, suggestion
from netappliance.errors import ConfigProblem
from netappliance.filters.family import FilterFamily
from netappliance.interfaces import ISectionKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyFilterSection:
    """What every filter has; the rest is chosen by its kind."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="The kind of filter.", example="capture")


#: where the families are; loaded only by files that have filters
FAMILIES = ("netappliance.udp.filters", "netappliance.http.filters")


def _families() -> list[FilterFamily]:
    return [import_module(package).FAMILY for package in FAMILIES]


def filter_kind(name: str) -> Any:
    """
    Return the kind of filter with this name or alias, of datagrams or of requests.

    :raises ValueError: lists the known ones of both.
    """
    families = _families()
    for family in families:
        try:
            return family.filter_kind(name)
        except ValueError:
            pass
    raise ValueError("; ".join(f"for {family.where}: {' | '.join(family.filter_names())}" for family in families))


def filter_names() -> list[str]:
    """Return the names of all filters, those of datagrams first."""
    return [name for family in _families() for name in family.filter_names()]


@implementer(ISectionKind)
class FilterKind:
    """A filter's options."""

    kind = "filter"
    named = True
    schema = AnyFilterSection

    def schema_for(self, raw: RawSection) -> type | ConfigProblem:
        """Choose the schema by the section's ``kind``."""
        given = raw.options.get("kind")
        if given is None:
            return ConfigProblem(raw.title, "kind", "the key is missing", None, "the kind of filter", raw.line)
        try:
            schema: type = filter_kind(given.text).schema
        except ValueError as error:
            why = f"unknown filter{suggestion(given.text, filter_names())}"
            return ConfigProblem(raw.title, "kind", why, given.text, str(error), given.line)
        return schema

    def variants(self) -> Iterator[tuple[str, type]]:
        """Yield every kind of filter, for the documentation."""
        # python is the one kind that both families have, with the same options
        variants: dict[str, type] = {}
        for family in _families():
            variants |= family.kinds()
        yield from variants.items()

    def check(self, section: Any, configuration: Configuration) -> Iterable[ConfigProblem]:
        """The services and routes that use it build it, and say what is wrong."""
        return ()
