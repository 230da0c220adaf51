"""Finds plug-ins by name: ours and those of any distribution that adds to ``netappliance.plugins``."""

from __future__ import annotations

from typing import Any

from twisted.plugin import getPlugins

from netappliance import plugins


def find(interface: Any, name: str) -> Any:
    """
    Return the installed plug-in of an interface with this name.

    :raises ValueError: names the known ones when there is none, or says that there are several.
    """
    known = {}
    for provider in getPlugins(interface, plugins):
        if provider.name == name and name in known:
            raise ValueError(f"one plug-in named {name!r}, but two distributions bring one")
        known[provider.name] = provider
    if name not in known:
        raise ValueError(" | ".join(sorted(known)) or "the name of an installed plug-in")
    return known[name]


def names(interface: Any) -> list[str]:
    """Return the names of all installed plug-ins of an interface, sorted."""
    return sorted(provider.name for provider in getPlugins(interface, plugins))
