"""What an exchange waits for, and until when. Sans-I/O."""

from __future__ import annotations

from typing import Final

from netappliance.http.exchange.to_backend import WayToBackend
from netappliance.http.frontend import Limits

#: what is waited for: a place on a backend, a connection to it, the client's body, the backend's response
PLACE: Final = 0
CONNECT: Final = 1
BODY: Final = 2
RESPONSE: Final = 3


def look(way: WayToBackend, limits: Limits, last_active: float, now: float, interim: int) -> tuple[int, float]:
    """
    Return what is waited for, and until when in monotonic seconds.

    :param last_active: when a byte moved last. :param interim: responses of 1xx so far.
    """
    stream = way.stream
    if stream is None:
        return PLACE, way.queued_at + way.target.queue_timeout_s
    if stream.is_connecting():
        return CONNECT, stream.connect_started() + way.target.connect_timeout_s
    uploading = way.trailers is None and not stream.blocked() and way.broke is None
    if not uploading or way.waits_for_100(interim):
        return RESPONSE, last_active + limits.backend_timeout_s
    lasted = now - way.uploading_since
    slow = limits.min_body_rate and way.received and lasted > limits.request_timeout_s
    if slow and way.received < limits.min_body_rate * lasted:
        return BODY, now
    return BODY, last_active + limits.client_timeout_s
