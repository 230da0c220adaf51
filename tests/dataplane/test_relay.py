"""Poller and relay over socket pairs; every turn is made by the test, nothing sleeps."""

from __future__ import annotations

import os
import select
import socket
import struct
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.dataplane.poller import READABLE, Poller, RoundOwner
from netappliance.dataplane.receive_buffer import BUFFER_SIZE
from netappliance.dataplane.relay import Leg


def open_descriptors() -> set[str]:
    """What this process has open, without the folder that is read to find out."""
    return {path.name for path in Path("/proc/self/fd").iterdir() if path.exists()}


class FakeReactor(Clock):
    """A clock that remembers what it watches."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def step(self) -> None:
        """One turn: what is due now, but not what that asks for in its turn."""
        due: list[Any] = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
        for call in due:
            run = call.func
            call.cancel()
            run()

    def addReader(self, reader: Any) -> None:
        """Watch."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Watch no more."""
        self.readers.remove(reader)


class PollerTestCase(SynchronousTestCase):
    """A started poller; descriptors must be back at the end."""

    def setUp(self) -> None:
        self.before = open_descriptors()
        self.addCleanup(self.check_descriptors)
        reactor: Any = FakeReactor()
        self.reactor = reactor
        self.poller = Poller(self.reactor, self.reactor.seconds)
        self.poller.start()
        self.addCleanup(self.poller.stop)

    def check_descriptors(self) -> None:
        """Nothing is left open."""
        self.assertEqual(open_descriptors() - self.before, set())

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets, the second not blocking."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        ours.setblocking(False)
        theirs.setblocking(False)
        return ours, theirs

    def turn(self, times: int = 3) -> None:
        """Let the poller run, as the reactor would."""
        for _ in range(times):
            self.poller.doRead()
            self.reactor.step()


class PollerTests(PollerTestCase):
    """Who is called, and what a crash does."""

    def test_an_owner_that_raises_is_told_and_the_others_go_on(self) -> None:
        """One session's bug is one session's end."""

        class Owner:
            def __init__(self, action: Callable[[], object]) -> None:
                self.action = action
                self.crashes = 0

            def on_ready(self, mask: int) -> None:
                self.action()

            def crashed(self) -> None:
                self.crashes += 1

        good: list[int] = []
        owners = [Owner(lambda: 1 / 0), Owner(lambda: good.append(1))]
        for owner in owners:
            ours, theirs = self.pair()
            self.poller.add(ours.fileno(), owner.on_ready)
            theirs.send(b"x")
        self.turn(1)
        self.assertEqual((owners[0].crashes, bool(good), self.poller.crashes_total), (1, True, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_descriptor_number_given_out_again_in_a_round_gets_no_old_events(self) -> None:
        """Closing waits for the end of the round."""
        first, first_peer = self.pair()
        second, second_peer = self.pair()
        seen: list[str] = []
        raw = socket.socket.detach(second)
        second_raw = socket.SocketType(socket.AF_UNIX, socket.SOCK_STREAM, 0, raw)

        def on_first(mask: int) -> None:
            if mask & READABLE and not seen:
                seen.append("first")
                self.poller.close(second_raw)
                fresh, _ = self.pair()
                self.poller.add(fresh.fileno(), lambda mask: seen.append(f"fresh {mask & READABLE}"))

        self.poller.add(first.fileno(), on_first)
        self.poller.add(raw, lambda mask: seen.append("second") if mask & READABLE else None)
        first_peer.send(b"x")
        second_peer.send(b"x")
        self.turn()
        self.assertIn(seen, (["first", "fresh 0"], ["second", "first", "fresh 0"]))

    def test_later_runs_on_the_next_turn_only(self) -> None:
        """The rest of a budget waits for the others."""
        calls: list[int] = []
        self.poller.later(lambda: calls.append(1))
        self.assertEqual(calls, [])
        self.reactor.step()
        self.assertEqual(calls, [1])

    def test_what_waits_for_the_end_of_a_round_comes_after_all_its_events(self) -> None:
        """Once each, also when one raises; at once where there is no round."""
        seen: list[str] = []

        class Owner(RoundOwner):
            def __init__(self, name: str) -> None:
                self.name = name

            def round_ended(self) -> None:
                seen.append(f"{self.name} ended")
                if self.name == "bad":
                    raise ZeroDivisionError

            def crashed(self) -> None:
                seen.append(f"{self.name} crashed")

        for name in ("bad", "good"):
            ours, theirs = self.pair()
            owner = Owner(name)

            def on_ready(mask: int, owner: Owner = owner) -> None:
                if mask & READABLE:
                    seen.append(f"{owner.name} event")
                    self.poller.at_round_end(owner)

            self.poller.add(ours.fileno(), on_ready)
            theirs.send(b"x")
        self.turn()
        self.assertEqual(seen, ["bad event", "good event", "bad ended", "bad crashed", "good ended"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.poller.at_round_end(Owner("now"))
        self.assertEqual(seen[-1], "now ended")


class RelayOwner:
    """Two legs and what they told."""

    def __init__(self, poller: Poller, left: socket.socket, right: socket.socket) -> None:
        self.told: list[str] = []
        self.left = Leg(left, self, poller)
        self.right = Leg(right, self, poller)
        self.left.peer, self.right.peer = self.right, self.left
        self.left.pending = self.right.pending = None
        poller.add(left.fileno(), self.left.on_ready)
        poller.add(right.fileno(), self.right.on_ready)

    def name(self, leg: Leg) -> str:
        """Which one."""
        return "left" if leg is self.left else "right"

    def leg_failed(self, leg: Leg, error: OSError, *, sending: bool) -> None:
        """Remember."""
        self.told.append(f"{self.name(leg)} failed")

    def relay_done(self, first: Leg) -> None:
        """Remember."""
        self.told.append(f"done, {self.name(first)} first")

    def crashed(self) -> None:
        """Remember."""
        self.told.append("crashed")


class RelayTests(PollerTestCase):
    """client -- left | right -- backend."""

    def setUp(self) -> None:
        super().setUp()
        left, self.client = self.pair()
        right, self.backend = self.pair()
        self.owner = RelayOwner(self.poller, left, right)

    def read(self, sock: socket.socket) -> bytes:
        """All that is there now."""
        parts = []
        try:
            while data := sock.recv(1 << 20):
                parts.append(data)
        except BlockingIOError:
            pass
        return b"".join(parts)

    def test_fin_travels_behind_the_data_and_both_fins_are_the_end(self) -> None:
        """First the client, then the backend."""
        self.client.send(b"question")
        self.client.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual((self.backend.recv(100), self.backend.recv(100)), (b"question", b""))
        self.assertEqual(self.owner.told, [])
        self.backend.send(b"answer")
        self.backend.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(self.owner.told, ["done, left first"])
        self.assertEqual(self.client.recv(100), b"answer")
        self.assertEqual((self.owner.right.sent, self.owner.right.received), (8, 6))

    def test_two_fins_in_a_row_are_the_end_and_neither_is_passed_on(self) -> None:
        """Closing says it to both."""
        self.client.shutdown(socket.SHUT_WR)
        self.backend.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertIn(self.owner.told, (["done, left first"], ["done, right first"]))
        for peer in (self.client, self.backend):
            self.assertRaises(BlockingIOError, peer.recv, 1)

    def test_a_short_message_leaves_at_the_end_of_its_round(self) -> None:
        """And at once where there is none."""
        ours, theirs = self.pair()
        seen: list[bytes] = []

        def on_ready(mask: int) -> None:
            if mask & READABLE:
                self.client.send(b"short")
                self.owner.left.pump()
                seen.append(self.read(self.backend))

        self.turn()
        self.poller.add(ours.fileno(), on_ready)
        theirs.send(b"x")
        self.turn(1)
        self.assertEqual((seen, self.read(self.backend)), ([b""], b"short"))
        self.client.send(b"again")
        self.owner.left.pump()
        self.assertEqual(self.read(self.backend), b"again")

    def test_a_released_leg_refers_to_nobody_and_does_nothing(self) -> None:
        """So that both are freed at once, without a collection."""
        ours, theirs = self.pair()
        owner = RelayOwner(self.poller, ours, theirs)
        for sock in (ours, theirs):
            self.poller.redirect(sock.fileno(), lambda mask: None)
        left, told, gone = owner.left, owner.told, weakref.ref(owner)
        for leg in (owner.left, owner.right):
            leg.release()
        del owner, leg
        self.assertIsNone(gone())
        left.on_ready(READABLE)
        left.round_ended()
        left.crashed()
        self.assertEqual((told, left.pending, left.received), ([], None, 0))

    def test_a_side_that_does_not_read_stops_the_other_within_one_buffer(self) -> None:
        """Back-pressure: what we hold is at most one read; then all arrives, in order, and FIN behind it."""
        block = os.urandom(65536)
        sent = 0
        while True:
            try:
                sent += self.client.send(block)
            except BlockingIOError:
                held = self.owner.right.pending
                before = len(held) if held is not None else 0
                self.turn(1)
                after = self.owner.right.pending
                if after is not None and len(after) == before:
                    break
        assert self.owner.right.pending is not None
        self.assertLessEqual(len(self.owner.right.pending), BUFFER_SIZE)
        self.client.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            self.turn(1)
            data = self.read(self.backend)
            got += data
            if not data and self.owner.right.shut:
                break
        self.assertEqual(len(got), sent)
        self.assertEqual(got[: len(block)], block)

    def test_a_loud_side_gives_way_after_its_budget(self) -> None:
        """The rest waits for the next turn, and comes then."""
        self.owner.left.recv_into = Endless().recv_into
        sink = Endless()
        self.owner.right.send = sink.send
        self.owner.left.pump()
        self.assertEqual(sink.calls, Leg.BUDGET)
        self.owner.left.pump()
        self.reactor.step()
        self.assertEqual(sink.calls, 3 * Leg.BUDGET)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

    def test_a_reset_is_told_with_its_side(self) -> None:
        """TCP, because a unix socket has no RST."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        self.addCleanup(server.close)
        server.setblocking(False)
        right, backend = self.pair()
        owner = RelayOwner(self.poller, server, right)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        select.select([server], [], [], 5)
        self.turn()
        self.assertEqual(owner.told[:1], ["left failed"])
        self.assertEqual(self.read(backend), b"")

    @settings(deadline=None, max_examples=30)
    @given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=5000)), max_size=30))
    def test_any_interleaving_arrives_in_order_each_way(self, script: list[tuple[bool, bytes]]) -> None:
        """What one side says is what the other hears."""
        said = {True: b"", False: b""}
        heard = {True: b"", False: b""}
        for from_client, data in script:
            (self.client if from_client else self.backend).send(data)
            said[from_client] += data
            self.turn(1)
            heard[True] += self.read(self.backend)
            heard[False] += self.read(self.client)
        self.turn()
        heard[True] += self.read(self.backend)
        heard[False] += self.read(self.client)
        self.assertEqual(heard, said)


class Endless:
    """Always has a full buffer to give, always takes all."""

    def __init__(self) -> None:
        self.calls = 0

    def recv_into(self, buffer: bytearray, size: int) -> int:
        """A full read."""
        return size

    def send(self, data: memoryview) -> int:
        """A full write."""
        self.calls += 1
        return len(data)
