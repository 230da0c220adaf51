"""What every request filter derives from, and what it may be built with. Sans-I/O."""

from __future__ import annotations

import os.path
import random
from collections.abc import Callable
from dataclasses import dataclass

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
    """
    What a filter may be built with.

    :ivar rng: for jitter and the like, no secrets. :ivar now: the monotonic time of the build in seconds.
    :ivar exists: whether there is a file of this path (a switch that an operator puts there); filters call it seldom.
    """

    rng: random.Random
    now: float
    exists: Callable[[str], bool] = os.path.exists
