"""The pages of the host's connections over an in-memory connection."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.site import AdminSite
from netappliance.tracker.listing.connection_pages import MAX_SEARCHES, connection_pages
from netappliance.tracker.listing.query import Filter
from tests.admin.test_site import Wire


class FakeDirectory:
    """Searches in as many steps as it is told, and ends what it is told to."""

    def __init__(self) -> None:
        self.steps = 0
        self.wanted: list[Filter] = []
        self.ended: list[tuple[str, str]] = []
        self.problem: Exception | None = None

    def search(self, wanted: Filter) -> Iterator[dict[str, Any] | None]:
        """Yield None for each step, then an answer."""
        self.wanted.append(wanted)
        for _ in range(self.steps):
            yield None
        if self.problem is not None:
            raise self.problem
        yield {"matched": 7}

    def within(self, namespace: str) -> FakeDirectory:
        """Know one namespace."""
        if namespace != "blue":
            raise LookupError("no such namespace")
        return self

    def end(self, ident: str, who: str) -> str:
        """Remember it."""
        if self.problem is not None:
            raise self.problem
        self.ended.append((ident, who))
        return "ended"


class PageTests(SynchronousTestCase):
    """What a client gets."""

    def setUp(self) -> None:
        """Serve the pages."""
        self.clock = Clock()
        self.directory = FakeDirectory()
        self.allowed = True
        self.now = 0.0
        self.site = AdminSite(reactor=self.clock)
        self.site.doStart()
        for path, make in connection_pages(cast("Any", self.directory), self.clock, self.tick).items():
            self.site.add_page(path, make(lambda _request: self.allowed))
        self.addCleanup(self.site.doStop)

    def tick(self) -> float:
        """Every look at the clock is 6 ms later."""
        self.now += 0.006
        return self.now

    def wire(self) -> Wire:
        """Connect."""
        channel = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 40000))
        assert channel is not None
        return Wire(channel)

    def ask(self, target: str, method: str = "GET", turns: int = 1) -> tuple[int, Any]:
        """Ask and wait: status, and the decoded body where it is JSON."""
        wire = self.wire()
        wire.receive(f"{method} /api/v1/connections{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        for _ in range(turns):
            self.clock.advance(0)
        head, _, body = wire.value().partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body) if body[:1] == b"{" else body.decode()

    def test_a_search_takes_as_many_turns_as_it_needs(self) -> None:
        """The terms are the filter; the answer is JSON."""
        self.directory.steps = 10
        self.assertEqual(self.ask("?port=443&state=open&limit=5"), (200, {"matched": 7}))
        self.assertEqual(self.directory.wanted, [Filter(port=443, state="open", limit=5)])

    def test_mistakes_are_told(self) -> None:
        """Unknown terms, bad values, terms that are given twice, unknown namespaces, other methods."""
        for target, status in (("?x=1", 400), ("?port=a", 400), ("?port=1&port=2", 400), ("?namespace=red", 404)):
            self.assertEqual(self.ask(target)[0], status)
        self.assertEqual((self.ask("", "POST")[0], self.ask("/s1", "GET")[0]), (405, 405))
        self.assertEqual(self.ask("?namespace=blue"), (200, {"matched": 7}))

    def test_searches_at_once_are_bounded(self) -> None:
        """A client that leaves gives its place back."""
        self.directory.steps = 10**9
        wires = [self.wire() for _ in range(MAX_SEARCHES)]
        for wire in wires:
            wire.receive(b"GET /api/v1/connections HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(self.ask("", turns=0)[0], 503)
        for wire in wires:
            wire.abortConnection()
        self.directory.steps = 0
        self.assertEqual(self.ask("")[0], 200)

    def test_a_search_that_fails_is_an_error_of_ours(self) -> None:
        """500, and a traceback in the log."""
        self.directory.problem = RuntimeError("broken")
        self.assertEqual(self.ask("")[0], 500)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_an_end_needs_the_right_to_change(self) -> None:
        """Who did it goes along."""
        self.allowed = False
        self.assertEqual(self.ask("/s1", "DELETE")[0], 401)
        self.allowed = True
        self.assertEqual(self.ask("/s1", "DELETE"), (200, {"id": "s1", "done": "ended"}))
        self.assertEqual(self.directory.ended, [("s1", "the admin endpoint (192.168.1.1)")])

    def test_an_end_that_fails_says_why(self) -> None:
        """Bad id, unknown connection, no right, a kernel that cannot."""
        for problem, status in (
            (ValueError("expected the id"), 400),
            (LookupError("no such connection"), 404),
            (PermissionError(errno.EPERM, "Operation not permitted"), 403),
            (OSError(errno.EOPNOTSUPP, "Operation not supported"), 502),
        ):
            self.directory.problem = problem
            self.assertEqual(self.ask("/s1", "DELETE")[0], status)
        self.assertEqual(self.ask("/s1?colour=red", "DELETE")[0], 400)
