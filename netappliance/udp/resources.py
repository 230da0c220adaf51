"""What datagram filters are built with."""

from __future__ import annotations

import time
from typing import Any

from twisted.logger import Logger

from netappliance.udp.datagram import Resources
from netappliance.udp.filters import build_filters
from netappliance.udp.foreign import guarded

_log = Logger()


def make_resources(configuration: Any, rng: Any, depth: int = 0) -> Resources:
    """Return what filters are built with; branches of match may nest, but not without end."""

    def build(name: str) -> Any:
        if depth >= 8:
            raise ValueError(f"filters that do not contain each other ({name})")
        return guarded(build_filters([name], configuration, make_resources(configuration, rng, depth + 1))[0][1])

    return Resources(rng=rng, wall=time.time, build=build, log=lambda text: _log.info("{text}", text=text))
