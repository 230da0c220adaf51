"""Samples of one family that several parts of the appliance show under the same labels. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.samples import Sample

#: the end of a family's name whose values are points in time, of which the first one counts
TIMESTAMP = "_timestamp_seconds"


def added_up(samples: Iterable[Sample]) -> list[Sample]:
    """
    Return each series once, in the order in which they first come.

    Sections of different kinds may have one name, and thereby the same ``listener``: what they count is added up, of
    points in time the earliest is shown.
    """
    found: dict[tuple[str, ...], Sample] = {}
    for sample in samples:
        key = (sample.name, *sample.labels.values())
        other = found.setdefault(key, sample)
        if other is not sample:
            both = (other.value, sample.value)
            found[key] = other._replace(value=min(both) if sample.name.endswith(TIMESTAMP) else sum(both))
    return list(found.values())
