"""What was remembered of other messages makes no difference to any."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.request import RequestFraming
from netappliance.http.framing.response import ResponseFraming
from netappliance.http.message import Refusal

#: lines that come again and again
LINES = (
    *(
        b"Host: a",
        b"Host: b",
        b"Content-Length: 5",
        b"Content-Length: 6",
        b"Content-Length: x",
        b"Content-Length: 5, 5",
    ),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close", b"Connection: Upgrade"),
    *(b"Connection: X-A", b"Connection: host", b"Upgrade: websocket", b"Upgrade: h2c", b"Upgrade: chat", b"X-A: 1"),
    *(b"Accept: */*", b"X-Forwarded-For: 1", b"Authorization: NTLM x", b"Expect: 100-continue", b"Expect: x"),
    *(b"bad line", b"bad name : x", b"X: \x01", b"TE: x", b"Keep-Alive: 1"),
)
#: and those that never do
FRESH = (
    *(b"Content-Length: %d", b"Content-Length: z%d", b"Upgrade: websocket, x%d", b"Connection: X-A, Upgrade, y%d"),
    *(b"Connection: cookie, y%d", b"Host: h%d", b"Host: a b%d", b"Expect: q%d", b"Transfer-Encoding: t%d", b"X-B: %d"),
)


def values(found: Any) -> object:
    """All that a parse says, for comparison."""
    message, after = found
    if isinstance(message, Refusal):
        return message
    names = [name for name in dir(message) if not name.startswith("_")]
    return {name: getattr(message, name) for name in names}, after


class MemoryTests(SynchronousTestCase):
    """One framing that has seen everything, and one for each message that has seen nothing."""

    def heads(self, firsts: tuple[bytes, ...]) -> list[bytes]:
        """Heads of known and of new lines, in any order."""
        rng = random.Random(7)
        made = []
        for _ in range(6000):
            lines = [
                rng.choice(LINES) if rng.random() < 0.6 else rng.choice(FRESH) % rng.randrange(10**9)
                for _ in range(rng.randrange(6))
            ]
            if rng.random() < 0.8:
                lines.insert(rng.randrange(len(lines) + 1), b"Host: a")
            made.append(rng.choice(firsts) + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
        return made

    def test_requests(self) -> None:
        """Verdicts with their reasons, and every attribute."""

        def framing() -> RequestFraming:
            return RequestFraming(upgrades=frozenset((b"websocket", b"chat")))

        knowing = framing()
        for head in self.heads((b"GET / HTTP/1.1", b"POST /x HTTP/1.0")):
            self.assertEqual(values(knowing.parse(head)), values(framing().parse(head)), head)

    def test_responses(self) -> None:
        """Likewise."""
        knowing = ResponseFraming()
        for head in self.heads((b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 X", b"HTTP/1.1 101 X")):
            for method in (b"GET", b"HEAD"):
                fresh = ResponseFraming()
                self.assertEqual(values(knowing.parse(head, method)), values(fresh.parse(head, method)), head)
