"""``[filter NAME]``: the options of a filter, of datagrams or of requests; which there are depends on its ``kind``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from netappliance.config import values
from netappliance.config.ini import RawSection
from netappliance.config.schema import option, suggestion
from netappliance.errors import ConfigProblem
from netappliance.interfaces import ISectionKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyFilterSection:
    """What every filter has; the rest is chosen by its kind."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="The kind of filter.", example="capture")


def filter_kind(name: str) -> Any:
    """
    Return the kind of filter with this name or alias, of datagrams or of requests.

    :raises ValueError: lists the known ones of both.
    """
    # imported here: the two families are loaded only by files that have filters
    from netappliance.http import filters as request_filters
    from netappliance.udp import filters as datagram_filters

    for family in (datagram_filters, request_filters):
        try:
            return family.filter_kind(name)
        except ValueError:
            pass
    datagrams, requests = " | ".join(datagram_filters.filter_names()), " | ".join(request_filters.filter_names())
    raise ValueError(f"for [udp]: {datagrams}; for [route]: {requests}")


def filter_names() -> list[str]:
    """Return the names of all filters, those of datagrams first."""
    from netappliance.http import filters as request_filters
    from netappliance.udp import filters as datagram_filters

    return [*datagram_filters.filter_names(), *request_filters.filter_names()]


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
        from netappliance.http import filters as request_filters
        from netappliance.udp import filters as datagram_filters

        yield from datagram_filters.kinds()
        seen = {selector for selector, _ in datagram_filters.kinds()}
        # python is the one kind that both families have, with the same options
        yield from (each for each in request_filters.kinds() if each[0] not in seen)

    def check(self, section: Any, configuration: Configuration) -> Iterable[ConfigProblem]:
        """The services and routes that use it build it, and say what is wrong."""
        return ()
