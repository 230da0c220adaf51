"""The request filters that fit on a page together: a class of yours."""

from __future__ import annotations

from typing import Any

from netappliance.filters.python import PythonSection, made_from
from netappliance.http.filters.base import Resources

METHODS = ("request", "response", "finished")


def make_python(section: PythonSection, resources: Resources) -> Any:
    """
    Import and make a class of the operator's.

    :raises ValueError: it cannot be imported or made, or has none of the methods of a request filter.
    """
    made, has = made_from(section, METHODS)
    if not has:
        raise ValueError(f"class: {section.factory} has none of request, response and finished")
    return made
