"""What a filter sees and what it may answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mypy_extensions import mypyc_attr

from netappliance.clusters.backend import Backend
from netappliance.sessions.session import Address

#: largest payload of a UDP datagram over IPv4 (65 535 less the headers of IP and UDP)
MAX_PAYLOAD = 65507


class Drop(str, Enum):
    """Why a datagram was dropped: the closed set of the label ``reason``."""

    FILTERED = "filtered"
    CAPTURE_FAILED = "capture_failed"
    NO_TOKEN = "no_token"  # noqa: S105 - a routing token is no secret
    NO_MATCH = "no_match"
    DENIED = "denied"
    RATE_LIMITED = "rate_limited"
    BAD_PAYLOAD = "bad_payload"
    TOO_LARGE = "too_large"
    FILTER_ERROR = "filter_error"
    NO_BACKEND = "no_backend"
    SESSION_LIMIT = "session_limit"
    CLIENT_LIMIT = "client_limit"
    DRAINING = "draining"
    AMPLIFICATION = "amplification"
    SEND_BUFFER_FULL = "send_buffer_full"
    SOCKET_ERROR = "socket_error"


class Datagram:
    """
    One datagram on its way through a chain; the service uses one object for all, so keep no reference to it.

    :ivar payload: may be replaced. :ivar source: where it came from (the client on read, the backend on write).
    :ivar client: the client's address in both directions. :ivar metadata: on read fresh for each datagram; on write
        what the session's last read left behind.
    :ivar destinations: None until a filter chooses; several = a copy to each. :ivar backends: those of the cluster
        that may be chosen.
    :ivar by_token: token -> backends that have it. :ivar now: monotonic seconds.
    """

    __slots__ = ("backends", "by_token", "client", "destinations", "metadata", "now", "payload", "source")

    def __init__(self) -> None:
        self.payload = b""
        self.source: Address = ("", 0)
        self.client: Address = ("", 0)
        self.metadata: dict[str, Any] = {}
        self.destinations: Sequence[Backend] | None = None
        self.backends: Sequence[Backend] = ()
        self.by_token: Mapping[bytes, Sequence[Backend]] = {}
        self.now = 0.0


@mypyc_attr(allow_interpreted_subclasses=True)
class DatagramFilter:
    """A filter that passes everything; ours override the side they act on, and a chain skips the other."""

    def read(self, datagram: Datagram) -> Drop | None:
        """Pass."""
        return None

    def write(self, datagram: Datagram) -> Drop | None:
        """Pass."""
        return None

    def figures(self) -> dict[str, int]:
        """Return counters of the filter's own, by a name of a closed set; they become ``filter_figures_total``."""
        return {}


@dataclass(frozen=True, slots=True)
class Resources:
    """
    What a filter may be built with.

    :ivar wall: seconds since the epoch, for filters that compare with a peer's clock. :ivar build: makes the filter
        of another section or kind by name; raises ValueError.
    :ivar log: called with a short text, for filters whose purpose is to log.
    """

    rng: random.Random
    wall: Callable[[], float]
    build: Callable[[str], Any]
    log: Callable[[str], None]
