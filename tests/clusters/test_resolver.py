"""Names become backends, and stay while nothing better is known."""

from __future__ import annotations

import dataclasses
import random
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.cluster import Cluster
from netappliance.clusters.resolver import ResolverService
from tests.clusters.test_cluster import section


class FakeResolver:
    """Answers from a table."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[str] = []
        self.hangs = False
        self.waiting: list[Any] = []

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, addressTypes: Any = None) -> Any:
        """Answer at once."""
        self.asked.append(hostName)
        if self.hangs:
            self.waiting.append(receiver)
            return receiver
        for address in self.answers.get(hostName, []):
            receiver.addressResolved(address)
        receiver.resolutionComplete()
        return receiver


class ResolverTests(SynchronousTestCase):
    """Names become backends."""

    def setUp(self) -> None:
        clock: Any = Clock()
        self.clock = clock
        clock.nameResolver = self.resolver = FakeResolver()
        self.cluster = Cluster(section("app.test:80 id=app\n1.1.1.1:1 id=a"), random.Random(1))
        self.service = ResolverService({"c": self.cluster}, self.clock)
        self.addCleanup(self.check_clock)

    def check_clock(self) -> None:
        """No timer is left."""
        if self.service.running:
            self.service.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def found(self) -> list[str]:
        """Ids of the cluster."""
        return [backend.id for backend in self.cluster.backends]

    def test_each_address_is_a_backend_and_the_last_good_answer_stays(self) -> None:
        """Both families; a failure is counted and changes nothing; a changed answer is taken over."""
        self.resolver.answers["app.test"] = [IPv4Address("TCP", "2.2.2.2", 80), IPv6Address("TCP", "2001:db8::2", 80)]
        self.service.startService()
        self.assertEqual(self.found(), ["app@2.2.2.2", "app@2001:db8::2", "a"])
        self.assertEqual(self.cluster.backends[1].family, socket.AF_INET6)
        self.resolver.answers["app.test"] = []
        self.clock.advance(30)
        self.assertEqual((len(self.found()), self.cluster.resolve_failures_total), (3, 1))
        self.resolver.answers["app.test"] = [IPv4Address("TCP", "3.3.3.3", 80)]
        self.clock.advance(30)
        self.assertEqual(self.found(), ["app@3.3.3.3", "a"])
        self.assertEqual(self.resolver.asked, ["app.test"] * 3)

    def test_a_name_with_too_many_addresses_is_cut(self) -> None:
        """resolve_max."""
        self.cluster.update(dataclasses.replace(self.cluster.section, resolve_max=2))
        self.resolver.answers["app.test"] = [IPv4Address("TCP", f"2.2.2.{number}", 80) for number in range(9)]
        self.service.startService()
        self.assertEqual(self.found(), ["app@2.2.2.0", "app@2.2.2.1", "a"])

    def test_names_are_asked_for_by_host_and_port_once(self) -> None:
        """Addresses are not asked for at all, nor clusters without names."""
        lines = "app.test:80 id=x\napp.test:80 id=y\napp.test:81 id=z\n1.1.1.1:1 id=a"
        named = Cluster(section(lines), random.Random(1))
        plain = Cluster(dataclasses.replace(section("1.1.1.1:1"), name="p"), random.Random(1))
        self.resolver.answers["app.test"] = [IPv4Address("TCP", "2.2.2.2", 1)]
        service = ResolverService({"c": named, "p": plain}, self.clock)
        service.startService()
        self.assertEqual(self.resolver.asked, ["app.test", "app.test"])
        found = [(backend.id, backend.sockaddr) for backend in named.backends]
        at_80, at_81 = ("2.2.2.2", 80), ("2.2.2.2", 81)
        expected = [("x@2.2.2.2", at_80), ("y@2.2.2.2", at_80), ("z@2.2.2.2", at_81), ("a", ("1.1.1.1", 1))]
        self.assertEqual(found, expected)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(29.9)
        self.assertEqual(len(self.resolver.asked), 2)
        self.clock.advance(0.1)
        self.assertEqual(len(self.resolver.asked), 4)
        service.stopService()

    def test_a_failure_is_logged_once_until_the_next_success(self) -> None:
        """And counted each time; the order of an answer, and what is said twice, do not matter."""
        address = IPv4Address("TCP", "2.2.2.2", 80)
        other = IPv4Address("TCP", "3.3.3.3", 80)
        told: list[int] = []
        self.cluster.watchers.append(lambda cluster: told.append(len(cluster.backends)))
        with capturedLogs() as lines:
            self.service.startService()
            for answer in ([], [address, other], [other, address, address], [], []):
                self.resolver.answers["app.test"] = answer
                self.clock.advance(30)
        self.assertEqual((self.cluster.resolve_failures_total, [line["host"] for line in lines]), (4, ["app.test"] * 2))
        self.assertEqual(told, [3])

    def test_an_answer_after_the_end_is_ignored(self) -> None:
        """Stopped is stopped."""
        self.service.startService()
        self.service.stopService()
        self.service.resolved(self.cluster, "app.test", 80, [(socket.AF_INET, ("9.9.9.9", 80))])
        self.assertEqual(self.found(), ["a"])

    def test_a_hanging_name_service_gets_one_question_at_a_time(self) -> None:
        """It is asked again when it has answered, or after two minutes; an answer that late counts for nothing."""
        self.resolver.hangs = True
        self.service.startService()
        self.clock.pump([30.0] * 3)
        self.assertEqual(self.resolver.asked, ["app.test"])
        self.clock.advance(30)
        self.assertEqual(self.resolver.asked, ["app.test"] * 2)
        given_up, current = self.resolver.waiting
        given_up.addressResolved(IPv4Address("TCP", "8.8.8.8", 80))
        given_up.resolutionComplete()
        self.assertEqual(self.found(), ["a"])
        current.addressResolved(IPv4Address("TCP", "2.2.2.2", 80))
        current.resolutionComplete()
        self.assertEqual(self.found(), ["app@2.2.2.2", "a"])
        self.clock.advance(30)
        self.assertEqual(self.resolver.asked, ["app.test"] * 3)
