"""The rule that makes the kernel track connections."""

from __future__ import annotations

import errno
import struct
from socket import SocketType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.conntrack import nftables
from netappliance.tracker.conntrack.enable import TrackingRule


def answer(number: int) -> bytes:
    """Return the kernel's NLMSG_ERROR with that errno."""
    return struct.pack("=IHHIIi16x", 36, 2, 0, 1, 0, -number)


class FakeSocket:
    """Answers with errnos in turn."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []
        self.closed = False

    def settimeout(self, seconds: float) -> None:
        """Nothing here waits."""

    def send(self, data: bytes) -> int:
        """Keep it."""
        self.sent.append(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        """Return the next answer, or run out of time."""
        if not self.answers:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return answer(self.answers.pop(0))

    def close(self) -> None:
        """No more."""
        self.closed = True


class TrackingRuleTests(SynchronousTestCase):
    """Made, removed, refused."""

    def rule(self, fake: FakeSocket) -> TrackingRule:
        """Return a rule that talks to a fake kernel."""

        def open_socket(groups: tuple[int, ...], size: int) -> SocketType:
            return fake  # type: ignore[return-value]  # what a rule uses of it

        self.logged: list[Any] = []
        observer: Any = self.logged.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return TrackingRule(open_socket)

    def test_an_owned_table_goes_with_its_socket(self) -> None:
        """Nothing is sent to remove it."""
        fake = FakeSocket(0)
        rule = self.rule(fake)
        rule.start()
        self.assertTrue(rule.active)
        rule.stop()
        self.assertEqual((rule.active, fake.sent, fake.closed), (False, [nftables.create_owned()], True))

    def test_an_old_kernel(self) -> None:
        """It knows no owners: the table is made anew, and removed at the end."""
        fake = FakeSocket(errno.EOPNOTSUPP, 0, 0)
        rule = self.rule(fake)
        rule.start()
        rule.stop()
        self.assertEqual(fake.sent, [nftables.create_owned(), nftables.create_anew(), nftables.delete()])

    def test_refusals_are_said_once(self) -> None:
        """Without the right, with a table of another, without an answer; a later attempt may succeed."""
        for answers, word in (((errno.EPERM,) * 2, "not permitted"), ((errno.EEXIST,) * 2, "another"), ((), "timed")):
            fake = FakeSocket(*answers)
            rule = self.rule(fake)
            rule.start()
            rule.start()
            texts = [event.get("why", "") for event in self.logged]
            self.assertEqual((rule.active, fake.closed, len(texts)), (False, True, 1))
            self.assertIn(word, texts[0].lower())
            fake.answers.append(0)
            rule.start()
            self.assertTrue(rule.active)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=80))
    def test_any_answer_gives_a_verdict_or_none(self, data: bytes) -> None:
        """Garbage raises nothing."""
        found = nftables.verdict(data)
        self.assertTrue(found is None or isinstance(found, int))
        self.assertEqual(nftables.verdict(answer(0) + answer(17) + data), 17)
