"""
Every datagram filter by name: ours, and those of plug-ins.

``kind`` takes the short names, and Quilkin's own (``quilkin.filters.capture.v1alpha1.Capture``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from zope.interface import implementer

from netappliance.config.ini import RawOption, RawSection
from netappliance.config.schema import parse_section
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IDatagramFilterKind
from netappliance.registry import find, names
from netappliance.udp.datagram import Resources


@implementer(IDatagramFilterKind)
@dataclass(frozen=True, slots=True)
class BuiltinFilter:
    """A filter of ours; its module is imported when a configuration names it."""

    name: str
    module: str
    section: str
    maker: str = "make"
    aliases: tuple[str, ...] = ()

    def _attribute(self, name: str) -> Any:
        return getattr(import_module(f"netappliance.udp.filters.{self.module}"), name)

    @property
    def schema(self) -> type:
        """The section's dataclass."""
        schema: type = self._attribute(self.section)
        return schema

    def make(self, section: Any, resources: Resources) -> Any:
        """Build the filter."""
        build: Callable[[Any, Resources], Any] = self._attribute(self.maker)
        return build(section, resources)


def _quilkin(module: str, name: str) -> str:
    return f"quilkin.filters.{module}.v1alpha1.{name}"


BUILTIN = (
    BuiltinFilter("capture", "capture", "CaptureSection", aliases=(_quilkin("capture", "Capture"),)),
    BuiltinFilter(
        "token_router",
        "routing",
        "TokenRouterSection",
        "make_token_router",
        (_quilkin("token_router", "TokenRouter"),),
    ),
    BuiltinFilter(
        "hashed_token_router",
        "routing",
        "TokenRouterSection",
        "make_token_router",
        (_quilkin("token_router", "HashedTokenRouter"),),
    ),
    BuiltinFilter(
        "load_balancer",
        "routing",
        "LoadBalancerSection",
        "make_load_balancer",
        (_quilkin("load_balancer", "LoadBalancer"),),
    ),
    BuiltinFilter("firewall", "firewall", "FirewallSection", aliases=(_quilkin("firewall", "Firewall"),)),
    BuiltinFilter(
        "rate_limit", "rate_limit", "RateLimitSection", aliases=(_quilkin("local_rate_limit", "LocalRateLimit"),)
    ),
    BuiltinFilter(
        "concatenate", "concatenate", "ConcatenateSection", aliases=(_quilkin("concatenate", "Concatenate"),)
    ),
    BuiltinFilter("compress", "compress", "CompressSection", aliases=(_quilkin("compress", "Compress"),)),
    BuiltinFilter("match", "match", "MatchSection", aliases=(_quilkin("matches", "Match"), _quilkin("match", "Match"))),
    BuiltinFilter("timestamp", "simple", "TimestampSection", "make_timestamp", (_quilkin("timestamp", "Timestamp"),)),
    BuiltinFilter("debug", "simple", "DebugSection", "make_debug", (_quilkin("debug", "Debug"),)),
    BuiltinFilter("drop", "simple", "DropSection", "make_drop", (_quilkin("drop", "Drop"),)),
    BuiltinFilter("pass", "simple", "PassSection", "make_pass", (_quilkin("pass", "Pass"),)),
    BuiltinFilter("decryptor", "decryptor", "DecryptorSection", aliases=(_quilkin("decryptor", "Decryptor"),)),
    BuiltinFilter("python", "simple", "PythonSection", "make_python"),
)
_BY_NAME = {word: kind for kind in BUILTIN for word in (kind.name, *kind.aliases)}


def filter_kind(name: str) -> Any:
    """
    Return the kind with this name or alias.

    :raises ValueError: lists the known ones.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    try:
        return find(IDatagramFilterKind, name)
    except ValueError:
        raise ValueError(" | ".join(filter_names())) from None


def filter_names() -> list[str]:
    """Return the names of all filters, ours first."""
    return [kind.name for kind in BUILTIN] + names(IDatagramFilterKind)


def kinds() -> Iterator[tuple[str, type]]:
    """Yield (name, schema) of every filter of ours, for the documentation."""
    for kind in BUILTIN:
        yield f"kind = {kind.name}", kind.schema


def section_without_options(name: str) -> Any:
    """
    Return the section of a kind that is named in ``filters`` without a section of its own.

    :raises ValueError: no such kind, or one that needs options.
    """
    raw = RawSection("filter", name, 0, {"kind": RawOption("kind", [name], 0)})
    problems: list[ConfigProblem] = []
    section = parse_section(filter_kind(name).schema, raw, problems)
    if problems:
        raise ValueError(
            f"a [filter NAME] section: kind = {name} needs {', '.join(problem.key for problem in problems)}"
        )
    return section
