"""``kind = python``: a filter that is a class of the operator's, named in the configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from netappliance.config import values
from netappliance.config.schema import option


def dotted(text: str) -> str:
    """``package.module:Class``."""
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", text, re.ASCII):
        raise ValueError("package.module:Class")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSection:
    """
    A class of yours, made with the options of this section: for [udp] with read(datagram) and write(datagram), for
    [route] with any of request(exchange), response(exchange, response) and finished(exchange).
    """

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="python", example="python")
    factory: str = option(
        dotted, required=True, key="class", unit="dotted name", doc="package.module:Class.", example="game.filters:Xor"
    )
    options: tuple[str, ...] = option(values.lines, unit="lines", doc="Lines of name=value, given to it as keywords.")


def made_from(section: PythonSection, methods: Sequence[str]) -> tuple[Any, list[str]]:
    """
    Import and make it.

    :return: the object, and which of ``methods`` it has.
    :raises ValueError: it cannot be imported or made.
    """
    module, _, name = section.factory.partition(":")
    keywords = dict(line.partition("=")[::2] for line in section.options)
    try:
        made = getattr(import_module(module), name)(**{key.strip(): value.strip() for key, value in keywords.items()})
    except Exception as error:  # noqa: BLE001 - whatever their code raises is told to the operator
        raise ValueError(f"class: {section.factory} cannot be made: {type(error).__name__}: {error}") from None
    return made, [method for method in methods if callable(getattr(made, method, None))]
