"""The attributes that a class declares, in both builds."""

from __future__ import annotations

import inspect


def attribute_names(declaring: type) -> list[str]:
    """Return the names in ``__slots__``, which a compiled class does not have: it has the same kind of attributes."""
    return [
        name
        for name, attribute in vars(declaring).items()
        if inspect.isdatadescriptor(attribute) and not isinstance(attribute, property)
    ]
