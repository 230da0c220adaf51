"""The kinds of request filters that come with the appliance, and how a route's filters are built."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from netappliance.http.message import Answer, Exchange, Response


class RequestFilter:
    """A filter that lets everything pass; ours override what they act on, and a chain skips the rest."""

    def request(self, exchange: Exchange) -> Answer | None:
        """Pass."""

    def response(self, exchange: Exchange, response: Response) -> None:
        """Pass."""

    def finished(self, exchange: Exchange) -> None:
        """Nothing was kept."""

    def figures(self) -> dict[str, int]:
        """Return counters of the filter's own, by a name of a closed set; they become ``http_filter_figures_total``."""
        return {}


@dataclass(frozen=True, slots=True)
class Resources:
    """What a filter may be built with; ``now`` is the monotonic time of the build in seconds."""

    rng: random.Random
    now: float


#: what ``make`` of a filter kind returns
Filter = Any
