"""What several contracts ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from twisted.plugin import IPlugin
from zope.interface import Interface
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

#: what the configuration can name
_NAME = re.compile(r"[^\s,=#;]+")


def promise(kept: bool, what: str) -> None:
    """
    Say what is promised.

    :raises AssertionError: it is not kept.
    """
    if not kept:
        raise AssertionError(what)


def promise_interface(made: Any, interface: type[Interface]) -> None:
    """
    An object declares the interface and has what it asks for, with signatures that fit.

    :raises AssertionError: naming what is missing.
    """
    try:
        verifyObject(interface, made)
    except Invalid as error:
        raise AssertionError(str(error)) from None


def promise_plugin(made: Any, interface: type[Interface]) -> None:
    """
    An object is found by :mod:`twisted.plugin` and can be named in the configuration.

    :raises AssertionError: naming what is missing.
    """
    promise(IPlugin.providedBy(made), f"{type(made).__name__} provides twisted.plugin.IPlugin")
    promise_interface(made, interface)
    promise(isinstance(made.name, str) and bool(_NAME.fullmatch(made.name)), f"name is one word, not {made.name!r}")


def promise_names(found: Any, what: str) -> None:
    """Keys are text in a dict."""
    promise(isinstance(found, dict) and all(isinstance(key, str) for key in found), f"{what} has text keys: {found!r}")


def figures(made: Any) -> Mapping[str, int]:
    """
    Return the figures of a filter; none where it has no such method.

    :raises AssertionError: they are no counts by name.
    """
    found: Any = getattr(made, "figures", dict)()
    promise_names(found, "figures()")
    promise(all(isinstance(count, int) and count >= 0 for count in found.values()), f"figures() counts: {found!r}")
    return dict(found)


def promise_counters(before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """What a filter counts becomes Prometheus counters, which never go down."""
    fell = {name: (count, after.get(name)) for name, count in before.items() if after.get(name, -1) < count}
    promise(not fell, f"figures() never go down: {fell}")


def come_through(_: str, error: BaseException) -> NoReturn:
    """Be a chain's ``on_error``: what the appliance would contain and log is raised."""
    raise error
