"""The service asks every backend in its turn and tells the cluster; nothing is left behind when it ends."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as ProbeTimeout
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend_section import backend_lines
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.health import HealthSpec
from netappliance.clusters.health.http_answer import CheckFailed
from netappliance.clusters.health.service import MAX_PROBES, HealthService
from netappliance.clusters.section import ClusterSection
from netappliance.clusters.state import BackendState


class FakeCheck:
    """Keeps the questions that are out, by address."""

    def __init__(self) -> None:
        self.out: dict[Any, Deferred[None]] = {}
        self.asked: list[Any] = []
        self.error: Exception | None = None

    def probe(self, family: int, sockaddr: Any, settings: Any, reactor: Any, timeout_s: float) -> Deferred[None]:
        """Ask; the test answers, unless there is an error to fail with at once."""
        self.asked.append(sockaddr)
        if self.error is not None:
            return fail(self.error)
        self.out[sockaddr] = Deferred()
        return self.out[sockaddr]

    def answer(self, *, well: bool) -> None:
        """Answer all that is asked."""
        out, self.out = self.out, {}
        for probe in out.values():
            if well:
                probe.callback(None)
            else:
                probe.errback(CheckFailed("the status is 500"))


class HealthServiceTests(SynchronousTestCase):
    """Two backends, ill after two and well after three checks, asked every ten seconds."""

    lines = "10.0.0.1:80 id=a\n10.0.0.2:80 id=b"

    def setUp(self) -> None:
        self.clock = Clock()
        self.check = FakeCheck()
        spec = HealthSpec("fake", self.check, None, 10.0, 5.0, 3, 2, 0)
        self.section = ClusterSection(name="c", backends=backend_lines(self.lines), health_check=spec)
        self.cluster = Cluster(self.section, random.Random(1))
        self.service = HealthService({"c": self.cluster}, self.clock, random.Random(1))
        self.service.startService()

    def round(self, *, well: bool) -> None:
        """Let all be asked once, and answer."""
        asked = len(self.check.asked)
        for _ in range(120):
            if len(self.check.asked) - asked >= len(self.cluster.backends):
                break
            self.clock.advance(0.1)
        self.check.answer(well=well)

    def healthy(self) -> list[bool]:
        """What the cluster holds of its backends."""
        return [backend.healthy for backend in self.cluster.backends]

    def test_ill_backends_get_no_traffic_and_well_ones_are_back(self) -> None:
        """After fall and after rise checks."""
        self.round(well=True)
        self.round(well=False)
        self.assertEqual(self.healthy(), [True, True])
        self.round(well=False)
        self.assertEqual(self.healthy(), [False, False])
        self.round(well=True)
        self.round(well=True)
        self.assertEqual(self.healthy(), [False, False])
        self.round(well=True)
        self.assertEqual(self.healthy(), [True, True])
        backend = self.cluster.backends[0]
        self.assertEqual((backend.checks_passed_total, backend.checks_failed_total), (4, 2))

    def test_each_backend_has_a_state_of_its_own(self) -> None:
        """And the other one goes on serving."""

        def probe(family: int, sockaddr: Any, settings: Any, reactor: Any, timeout_s: float) -> Deferred[None]:
            return fail(CheckFailed("no")) if sockaddr == ("10.0.0.1", 80) else succeed(None)

        self.check.probe = probe  # type: ignore[method-assign]
        self.clock.pump([0.1] * 120)
        self.assertEqual(self.healthy(), [False, True])
        chosen = {self.cluster.choose(b"", 0.0) for _ in range(6)}
        self.assertEqual([backend.id for backend in chosen if backend], ["b"])
        self.assertEqual(self.cluster.fail_open_total, 0)

    def test_when_all_are_ill_traffic_flows_all_the_same(self) -> None:
        """The checks may be wrong; counted as failing open."""
        self.round(well=False)
        self.round(well=False)
        self.assertIsNotNone(self.cluster.choose(b"", 0.0))
        self.assertEqual(self.cluster.fail_open_total, 1)

    def test_new_backends_may_have_to_wait_for_their_checks(self) -> None:
        """``initial=checking``: asked each second, they serve once ``rise`` checks have passed."""
        assert self.section.health_check is not None
        spec = dataclasses.replace(self.section.health_check, initial="checking")
        lines = self.lines + "\n10.0.0.3:80 id=n"

        def probe(family: int, sockaddr: Any, settings: Any, reactor: Any, timeout_s: float) -> Deferred[None]:
            return fail(CheckFailed("no")) if sockaddr == ("10.0.0.2", 80) else succeed(None)

        self.check.probe = probe  # type: ignore[method-assign]
        self.cluster.update(dataclasses.replace(self.section, backends=backend_lines(lines), health_check=spec))
        new = self.cluster.backends[2]
        self.assertEqual((new.state(0.0), new.healthy), (BackendState.CHECKING, False))
        self.assertEqual({backend.id for backend in self.cluster.usable(0.0)}, {"a", "b"})
        self.clock.pump([0.1] * 33)
        self.assertEqual(self.healthy(), [True, True, True])
        self.assertIs(new.state(0.0), BackendState.UP)

    def test_silence_is_a_failure(self) -> None:
        """After the timeout; the question is given up, and the next one comes an interval later."""
        cancelled = []
        self.check.probe = lambda *_: Deferred(lambda _: cancelled.append(1))  # type: ignore[method-assign]
        self.clock.pump([0.1] * 300)
        self.assertEqual(self.healthy(), [False, False])
        self.assertEqual((len(cancelled), self.service.in_flight), (4, 0))

    def test_without_health_check_all_count_as_well(self) -> None:
        """Taking the key away resets the state and ends the checks."""
        self.round(well=False)
        self.round(well=False)
        self.clock.advance(11.0)
        self.assertEqual(self.service.in_flight, 2)
        self.cluster.update(dataclasses.replace(self.section, health_check=None))
        self.assertEqual(self.healthy(), [True, True])
        self.assertEqual((self.service.in_flight, self.clock.getDelayedCalls()), (0, []))

    def test_members_that_come_are_checked_and_those_that_go_no_longer(self) -> None:
        """Draining ones are left alone; the state of those that stay is kept."""
        self.round(well=False)
        self.cluster.connect_started(self.cluster.backends[1])
        self.cluster.update(
            dataclasses.replace(self.section, backends=backend_lines("10.0.0.1:80 id=a\n10.0.0.3:80 id=n"))
        )
        self.check.asked.clear()
        self.clock.pump([0.1] * 120)
        self.assertEqual({host for host, _ in self.check.asked}, {"10.0.0.1", "10.0.0.3"})
        self.check.answer(well=False)
        self.assertEqual({backend.id: backend.healthy for backend in self.cluster.backends}["a"], False)

    def test_another_port_may_be_asked(self) -> None:
        """Of the same address."""
        assert self.section.health_check is not None
        spec = dataclasses.replace(self.section.health_check, port=81)
        self.cluster.update(dataclasses.replace(self.section, health_check=spec))
        self.clock.pump([0.1] * 11)
        self.assertEqual(sorted(self.check.asked), [("10.0.0.1", 81), ("10.0.0.2", 81)])

    def test_a_check_that_raises_is_a_failure(self) -> None:
        """A plug-in's mistake ends no loop."""

        def broken(family: int, sockaddr: Any, settings: Any, reactor: Any, timeout_s: float) -> Deferred[None]:
            raise RuntimeError("a mistake")

        self.check.probe = broken  # type: ignore[method-assign]
        self.clock.pump([0.1] * 250)
        self.assertEqual(self.healthy(), [False, False])

    def test_why_a_backend_is_ill_is_logged_once(self) -> None:
        """In words: a timeout of either kind, the check's own, the connection's, or a mistake of its author."""
        for error, words in (
            (CheckFailed("the status is 500"), "the status is 500"),
            (ConnectTimeout(), "no answer in time"),
            (ProbeTimeout(1.0, "x"), "no answer in time"),
            (ConnectionRefusedError("nobody listens"), "nobody listens"),
            (OSError("no route"), "no route"),
            (KeyError("a"), "KeyError: 'a'"),
        ):
            self.setUp()

            self.check.error = error
            with capturedLogs() as lines:
                self.clock.pump([0.1] * 350)
            told = [(line["backend"], line["cluster"], line["state"], line["why"]) for line in lines if "why" in line]
            why = f"health check fake: {words}"
            self.assertEqual(sorted(told), [("a", "c", "down", why), ("b", "c", "down", why)])
            self.service.stopService()

    def test_no_more_checks_than_the_limit_are_under_way(self) -> None:
        """The others wait, and come when there is room."""
        lines = "\n".join(f"10.0.{n // 200}.{n % 200}:80 id=n{n}" for n in range(MAX_PROBES + 5))
        self.cluster.update(dataclasses.replace(self.section, backends=backend_lines(lines)))
        self.clock.pump([0.1] * 12)
        self.assertEqual((self.service.in_flight, len(self.check.out)), (MAX_PROBES, MAX_PROBES))
        asks = [call for call in self.clock.getDelayedCalls() if getattr(call, "func", None) == self.service._begin]
        self.assertEqual(asks, [], "those that wait ask for nothing")
        self.check.answer(well=True)
        self.clock.pump([0.1] * 2)
        self.assertEqual(self.service.in_flight, 5)
        self.assertEqual(len(set(self.check.asked)), MAX_PROBES + 5)

    def test_those_that_wait_are_asked_in_their_order(self) -> None:
        """Each in its turn, also while others end and others come; who leaves waits no longer."""
        lines = [f"10.0.{n // 200}.{n % 200}:80 id=n{n}" for n in range(MAX_PROBES * 3)]
        self.cluster.update(dataclasses.replace(self.section, backends=backend_lines("\n".join(lines))))
        self.clock.pump([0.1] * 12)
        for _ in range(2):
            self.check.answer(well=True)
            self.clock.advance(0.0)
        self.assertEqual(len(set(self.check.asked)), MAX_PROBES * 3)
        self.clock.pump([0.1] * 120)
        self.cluster.update(self.section)
        self.assertLessEqual(len(self.service._waiting), 2)

    def test_a_stop_leaves_nothing_behind(self) -> None:
        """Neither calls nor questions; the backends keep their state."""
        self.round(well=False)
        self.round(well=False)
        self.clock.advance(11.0)
        self.service.stopService()
        self.assertEqual((self.service.in_flight, self.clock.getDelayedCalls()), (0, []))
        self.assertEqual((self.healthy(), self.cluster.watchers), ([False, False], []))
