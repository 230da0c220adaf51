"""TLS connections that are passed on as they are, once their ClientHello has been looked at. Pure."""

from __future__ import annotations

from typing import Final

from netappliance.tls import alerts, handshakes
from netappliance.tls.client_hello import REFUSALS, HelloRefusal

NO_SECTION: Final = HelloRefusal(
    "no_section", "no section for this server name", alerts.fatal_alert(alerts.UNRECOGNIZED_NAME)
)

#: every value of the label ``result``
RESULTS: Final = (
    *(handshakes.OK, handshakes.CLOSED, handshakes.TIMEOUT),
    *(refusal.reason for refusal in (NO_SECTION, *REFUSALS)),
)


class Passing:
    """
    How long clients may take to say hello, and what became of them.

    :ivar timeout_s: seconds. :ivar counts: result -> number.
    """

    __slots__ = ("counts", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.counts = dict.fromkeys(RESULTS, 0)

    def count(self, result: str) -> None:
        """Count one; ``result`` is of :data:`RESULTS`."""
        self.counts[result] += 1
