"""What an exchange waits for, and until when."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.exchange.deadlines import BODY, CONNECT, PLACE, RESPONSE, look
from netappliance.process.build import this_build
from netappliance.sessions.reasons import Cause


class Stream:
    """As much of a backend's stream as is looked at."""

    def __init__(self, *, connecting: bool = False, blocked: bool = False) -> None:
        self._connecting, self._blocked = connecting, blocked

    def is_connecting(self) -> bool:
        """No edge has come yet."""
        return self._connecting

    def blocked(self) -> bool:
        """Bytes wait."""
        return self._blocked

    def connect_started(self) -> float:
        """Monotonic seconds."""
        return 7.0


class Target:
    """Its timeouts."""

    queue_timeout_s = 5.0
    connect_timeout_s = 3.0


class Limits:
    """Those of a listener."""

    backend_timeout_s = 30.0
    client_timeout_s = 60.0
    request_timeout_s = 10.0

    def __init__(self, rate: int = 0) -> None:
        self.min_body_rate = rate


class Way:
    """A request's way to its backend."""

    target = Target()
    queued_at = 2.0
    uploading_since = 100.0

    def __init__(
        self,
        stream: Stream | None,
        *,
        trailers: list[bytes] | None = None,
        broke: Cause | None = None,
        received: int = 0,
        waits: bool = False,
    ) -> None:
        self.stream, self.trailers, self.broke, self.received, self._waits = stream, trailers, broke, received, waits

    def waits_for_100(self, interim: int) -> bool:
        """Until an interim response came."""
        return self._waits and not interim


class DeadlineTests(SynchronousTestCase):
    """Each state of the way."""

    skip = "compiled code takes no stand-ins" if this_build().compiled else None

    def waited(self, way: Way, now: float = 101.0, rate: int = 0, interim: int = 0) -> tuple[int, float]:
        """Look; a byte moved at 90."""
        looked: Any = look
        found: tuple[int, float] = looked(way, Limits(rate), 90.0, now, interim)
        return found

    def test_a_place_and_a_connection(self) -> None:
        """From when they were asked for."""
        self.assertEqual(self.waited(Way(None)), (PLACE, 7.0))
        self.assertEqual(self.waited(Way(Stream(connecting=True))), (CONNECT, 10.0))

    def test_the_response(self) -> None:
        """When the body is over, cannot be sent on, or waits for a word of the backend; from the last byte on."""
        for way in (
            Way(Stream(), trailers=[]),
            Way(Stream(blocked=True)),
            Way(Stream(), broke=Cause.RST),
            Way(Stream(), waits=True),
        ):
            self.assertEqual(self.waited(way), (RESPONSE, 120.0))
        self.assertEqual(self.waited(Way(Stream(), waits=True), interim=1), (BODY, 150.0))

    def test_the_body(self) -> None:
        """From the last byte on; where a rate is asked for, it is too slow below it after request_timeout."""
        self.assertEqual(self.waited(Way(Stream())), (BODY, 150.0))
        for received, now, rate, slow in (
            (6399, 200.0, 64, True),
            (6400, 200.0, 64, False),
            (6399, 200.0, 0, False),
            (0, 200.0, 64, False),
            (1, 110.0, 64, False),
            (1, 110.1, 64, True),
        ):
            found = self.waited(Way(Stream(), received=received), now, rate)
            self.assertEqual(found, (BODY, now if slow else 150.0), (received, now, rate))
