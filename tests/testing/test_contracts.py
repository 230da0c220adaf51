"""Each contract: kept by ours and by the examples of the documents, broken by what is wrong in one thing."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import TestResult, defaultTestLoader

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing import make_balancer
from netappliance.clusters.health.probes import HttpCheck, TcpCheck
from netappliance.config import values
from netappliance.config.schema import option
from netappliance.errors import ConfigProblem
from netappliance.http.filters import RequestFilter
from netappliance.http.message import Answer, Exchange, Response
from netappliance.interfaces import IBalancer, IBalancerFactory, IConnectionObserver
from netappliance.sessions.session import Session
from netappliance.testing.backends import backend
from netappliance.testing.balancers import BalancerContract
from netappliance.testing.datagram_filters import DatagramFilterContract
from netappliance.testing.health_checks import HealthCheckContract
from netappliance.testing.observers import ObserverContract
from netappliance.testing.request_filters import RequestFilterContract
from netappliance.testing.section_kinds import SectionKindContract
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop
from tests.config.test_loader import THIRD_PARTY
from tests.http.filters.support import build as build_request_filter
from tests.testing.support import broken, printed
from tests.udp.filters.support import build as build_datagram_filter


class ContractTests(SynchronousTestCase):
    """What contracts say of a plug-in."""

    def assertBroken(self, contract: type, made: Any, *expected: str) -> None:
        """Each expected text is in some finding, and no finding is about something else."""
        found = broken(contract, made)
        for text in expected:
            self.assertTrue(any(text in line for line in found), f"{text!r} in {found}")
        for line in found:
            self.assertTrue(any(text in line for text in expected), line)


@implementer(IPlugin, IConnectionObserver)
class Observer:
    """Allows everything; what is asked of it is a parameter."""

    name = "yours"

    def __init__(self, opened: Callable[[Session], Any] = lambda session: None, name: str = name) -> None:
        self.opened = opened
        self.name = name

    def session_opened(self, session: Session) -> Any:
        """As asked."""
        return self.opened(session)

    def session_closed(self, session: Session) -> None:
        """Nothing."""


class ObserverContractTests(ContractTests):
    """Observers."""

    def test_the_printed_example_keeps_it(self) -> None:
        """Which refuses most of the sessions; one that allows all keeps it too."""
        self.assertEqual(broken(ObserverContract, printed("OneSessionEach")), [])
        self.assertEqual(broken(ObserverContract, Observer), [])

    def test_what_breaks_it(self) -> None:
        """Wrong answers, a crash on a kind of session, changes, no name, no declaration."""

        def moved(session: Session) -> None:
            session.client = ("10.9.9.9", 1)

        def noted(session: Session) -> None:
            session.notes = {1: "one"}  # type: ignore[dict-item]

        for opened, finding in (
            (lambda session: False, "None or a text, not bool"),
            (lambda session: session.client[0][0] and None, "IndexError: string index out of range"),
            (moved, "writes nothing in a session but its notes"),
            (noted, "notes has text keys: {1: 'one'}"),
        ):
            self.assertBroken(ObserverContract, lambda opened=opened: Observer(opened), finding)
        self.assertBroken(ObserverContract, lambda: Observer(name="two words"), "name is one word, not 'two words'")
        self.assertBroken(ObserverContract, dict, "dict provides twisted.plugin.IPlugin", "AttributeError")


@implementer(IBalancer)
class Balancer:
    """Chooses by a function of backends and key."""

    needs_key = True

    def __init__(self, pick: Callable[[Sequence[Backend], bytes], Any]) -> None:
        self.pick = pick
        self.members: Sequence[Backend] = ()

    def set_members(self, members: Sequence[Backend]) -> None:
        """Remember."""
        self.members = members

    def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Any:
        """As asked."""
        return self.pick(backends, key)


@implementer(IPlugin, IBalancerFactory)
class Factory:
    """Makes what it is told to make."""

    name = "yours"

    def __init__(self, make: Callable[[random.Random], Any]) -> None:
        self.make_one = make

    def make(self, rng: random.Random) -> Any:
        """As asked."""
        return self.make_one(rng)


class BalancerContractTests(ContractTests):
    """Policies."""

    def test_all_of_ours_keep_it(self) -> None:
        """But that they need no declaration."""
        for name in ("round_robin", "random", "least_connections", "power_of_two", "rendezvous", "maglev", "peak_ewma"):
            found = broken(BalancerContract, lambda name=name: Factory(lambda rng: make_balancer(name, rng)))
            self.assertEqual(["Does not declaratively implement" in each for each in found], [True], found)

    def test_one_that_is_declared_keeps_it(self) -> None:
        """All of it."""
        self.assertEqual(broken(BalancerContract, lambda: Factory(lambda rng: Balancer(lambda all_, key: all_[0]))), [])

    def test_what_breaks_it(self) -> None:
        """Choices of what is not there, crashes, shared state, dice of its own, changed backends."""

        def pick(pick: Callable[[Sequence[Backend], bytes], Any]) -> Callable[[], Factory]:
            return lambda: Factory(lambda rng: Balancer(pick))

        def heavier(backends: Sequence[Backend], key: bytes) -> Backend:
            backends[0].weight += 1
            return backends[0]

        dice = random.Random()
        self.assertBroken(BalancerContract, pick(lambda all_, key: None), "choose returns one of ['b1'], not None")
        self.assertBroken(
            BalancerContract, pick(lambda all_, key: all_[0].id), "choose returns one of ['b1'], not 'b1'"
        )
        self.assertBroken(BalancerContract, pick(lambda all_, key: all_[key[0] % len(all_)]), "IndexError")
        self.assertBroken(BalancerContract, pick(lambda all_, key: (key.decode(), all_[0])[1]), "UnicodeDecodeError")
        self.assertBroken(BalancerContract, pick(heavier), "a policy changes no backend")
        self.assertBroken(BalancerContract, pick(lambda all_, key: dice.choice(all_)), "choose alike")
        one = Balancer(lambda all_, key: all_[0])
        self.assertBroken(BalancerContract, lambda: Factory(lambda rng: one), "make returns a new policy each time")

    def test_one_that_keeps_to_its_first_members_breaks_it(self) -> None:
        """`set_members` is not for the first time only."""

        class Stubborn(Balancer):
            def set_members(self, members: Sequence[Backend]) -> None:
                self.members = self.members or members

            def choose(self, backends: Sequence[Backend], key: bytes, now: float) -> Any:
                return next((each for each in self.members if each in backends), self.members[0])

        def made() -> Factory:
            return Factory(lambda rng: Stubborn(lambda all_, key: None))

        self.assertBroken(BalancerContract, made, "choose returns one of ['b1'], not 'b1'")


class Filter(RequestFilter):
    """What it does to requests and responses is a parameter."""

    def __init__(self, on_request: Any = None, on_response: Any = None, counted: Any = None) -> None:
        self.on_request = on_request
        self.on_response = on_response
        self.counted = counted or {}

    def request(self, exchange: Exchange) -> Any:
        """As asked."""
        return self.on_request and self.on_request(exchange)

    def response(self, exchange: Exchange, response: Response) -> None:
        """As asked."""
        if self.on_response:
            self.on_response(response)

    def figures(self) -> Any:
        """As asked."""
        return self.counted() if callable(self.counted) else self.counted


class RequestFilterContractTests(ContractTests):
    """Request filters."""

    def test_the_printed_example_keeps_it(self) -> None:
        """With keys and without."""
        self.assertEqual(broken(RequestFilterContract, printed("ApiKey")), [])
        self.assertEqual(broken(RequestFilterContract, lambda: printed("ApiKey")(keys="8f2c:alice")), [])

    def test_the_printed_tests_pass(self) -> None:
        """Those of docs/plugins.md, which inherit the contract."""
        package, module = types.ModuleType("shop"), types.ModuleType("shop.filters")
        vars(module)["ApiKey"] = printed("ApiKey")
        for each in (package, module):
            sys.modules[each.__name__] = each
            self.addCleanup(sys.modules.pop, each.__name__)
        result = TestResult()
        defaultTestLoader.loadTestsFromTestCase(printed("ApiKeyTests")).run(result)
        self.assertEqual((result.testsRun, result.failures, result.errors), (5, [], []))

    def test_some_of_ours_keep_it(self) -> None:
        """Those that answer, those that write lines and those that count exchanges."""
        for section in (
            "kind = concurrency_limit\nrequests = 1",
            "kind = request_rate_limit\nrequests = 1\nperiod = 1s",
            "kind = hsts",
            "kind = deny",
            "kind = https_redirect",
        ):
            self.assertEqual(broken(RequestFilterContract, lambda section=section: build_request_filter(section)), [])

    def test_what_breaks_it(self) -> None:
        """Wrong answers and types, ill-formed lines, a crash, figures that fall, what is not the filter's to change."""
        counts = iter(range(10**6, 0, -1))

        def changed(attribute: str, value: Any) -> Callable[[Any], None]:
            return lambda message: setattr(message, attribute, value)

        for made, finding in (
            (lambda: Filter(lambda exchange: {"status": 403}), "returned dict, not an Answer or None"),
            (lambda: Filter(lambda exchange: Answer(99)), "answered with status 99"),
            (lambda: Filter(lambda exchange: exchange.request.lines.append(b"a: b\r\nc: d")), "made the field line"),
            (lambda: Filter(lambda exchange: exchange.request.headers), "AttributeError"),
            (
                lambda: Filter(lambda exchange: changed("method", b"PUT")(exchange.request)),
                "target, authority and lines",
            ),
            (lambda: Filter(lambda exchange: exchange.notes.update({1: 2})), "notes has text keys"),
            (lambda: Filter(on_response=changed("status", 418)), "only a response's lines"),
            (
                lambda: Filter(on_response=lambda each: each.lines.append(b"Content-Length: 5")),
                "is the proxy's to write",
            ),
            (lambda: Filter(counted={"passed": "many"}), "figures() counts: {'passed': 'many'}"),
            (lambda: Filter(counted=[1]), "figures() has text keys: [1]"),
            (lambda: Filter(counted=lambda: {"left": next(counts)}), "figures() never go down"),
            (object, "it has one of request, response and finished"),
        ):
            self.assertBroken(RequestFilterContract, made, finding)


class Datagrams(DatagramFilter):
    """What it does on the read side is a parameter."""

    def __init__(self, on_read: Callable[[Datagram], Any], counted: Any = None) -> None:
        self.on_read = on_read
        self.counted = counted or {}

    def read(self, datagram: Datagram) -> Any:
        """As asked."""
        return self.on_read(datagram)

    def figures(self) -> Any:
        """As asked."""
        return self.counted


class DatagramFilterContractTests(ContractTests):
    """Datagram filters."""

    def test_some_of_ours_keep_it(self) -> None:
        """Those that drop, rewrite, route and compress."""
        for section in (
            "kind = capture\nsize = 3",
            "kind = token_router",
            "kind = compress\non_read = compress\non_write = decompress",
            "kind = concatenate\non_read = append\nbytes = MQ==",
            "kind = drop",
        ):
            self.assertEqual(broken(DatagramFilterContract, lambda section=section: build_datagram_filter(section)), [])

    def test_one_without_our_base_class_keeps_it(self) -> None:
        """An object with both methods is enough."""

        class Plain:
            def read(self, datagram: Datagram) -> Drop | None:
                datagram.payload = datagram.payload[::-1]
                return None if datagram.payload else Drop.BAD_PAYLOAD

            def write(self, datagram: Datagram) -> None:
                datagram.metadata["seen"] = True

        self.assertEqual(broken(DatagramFilterContract, Plain), [])

    def test_what_breaks_it(self) -> None:
        """Wrong answers and types, a crash on an empty payload, foreign destinations, figures that are none."""

        def changed(attribute: str, value: Any) -> Callable[[Datagram], None]:
            return lambda datagram: setattr(datagram, attribute, value)

        for on_read, finding in (
            (lambda datagram: True, "returned bool, not a Drop or None"),
            (lambda datagram: datagram.payload[0] and None, "IndexError"),
            (changed("payload", "text"), "str"),
            (changed("destinations", (backend(1),)), "destinations are some of backends"),
            (changed("metadata", {b"k": 1}), "metadata has text keys"),
            (changed("now", 0.0), "client and now stay as they are"),
        ):
            self.assertBroken(DatagramFilterContract, lambda on_read=on_read: Datagrams(on_read), finding)
        self.assertBroken(
            DatagramFilterContract,
            lambda: Datagrams(lambda datagram: None, {"dropped": -1}),
            "figures() counts: {'dropped': -1}",
        )


@implementer(IPlugin)
class Tcp(TcpCheck):
    """Ours, as a plug-in; what it makes of options and how it probes are parameters."""

    def __init__(self, configure: Any = None, probe: Any = None) -> None:
        self.configure = configure or self.configure  # type: ignore[method-assign]
        self.probe = probe or self.probe  # type: ignore[method-assign]


@implementer(IPlugin)
class Http(HttpCheck):
    """Ours, as a plug-in."""


class Hasty(Tcp):
    """Has an option that every check has."""

    options: tuple[str, ...] = ("send", "timeout")  # type: ignore[assignment]


class HealthCheckContractTests(ContractTests):
    """Health checks."""

    def test_ours_keep_it(self) -> None:
        """With options that they cannot do without."""

        class UriContract(HealthCheckContract):
            def good_options(self) -> dict[str, str]:
                return {"uri": "/healthz"}

        self.assertEqual(broken(HealthCheckContract, Tcp), [])
        self.assertEqual(broken(UriContract, Http), [])

    def test_what_breaks_it(self) -> None:
        """Settings that never are equal, other errors than ValueError, no Deferred, what a cancelled probe leaves."""

        def timed(family: int, sockaddr: Any, settings: Any, reactor: Any, timeout_s: float) -> Deferred[None]:
            reactor.callLater(timeout_s, int)
            return Deferred()

        for made, finding in (
            (lambda: Tcp(lambda options: object(), lambda *_: Deferred()), "settings compare by =="),
            (
                lambda: Tcp(lambda options: options.get("send", "") and options["sent"], lambda *_: Deferred()),
                "KeyError",
            ),
            (lambda: Tcp(probe=lambda *_: True), "probe returns a Deferred, not bool"),
            (lambda: Tcp(probe=timed), "a cancelled probe leaves no timer"),
            (Hasty, "are the appliance's"),
        ):
            self.assertBroken(HealthCheckContract, made, finding)


class SectionKindContractTests(ContractTests):
    """Section kinds."""

    def kind(self, **changed: Any) -> Any:
        """The beacon of another distribution, with other attributes."""
        module = types.ModuleType("beacon_plugin")
        sys.modules[module.__name__] = module
        self.addCleanup(sys.modules.pop, module.__name__, None)
        exec(THIRD_PARTY, vars(module))
        for name, value in changed.items():
            setattr(module.beacon, name, value)
        return module.beacon

    def test_one_of_another_distribution_keeps_it(self) -> None:
        """As written in docs/plugins.md."""
        made = self.kind()
        self.assertEqual(broken(SectionKindContract, lambda: made), [])

    def test_what_breaks_it(self) -> None:
        """A word that cannot be written, no stage, sections that differ or change, a check that finds fault."""

        @dataclass
        class Loose:
            name: str
            every_s: float = option(values.duration, "5s", key="every", unit="duration", doc="How often.")

        @dataclass(frozen=True)
        class Bad:
            name: str
            every_s: float = option(values.duration, "often", key="every", unit="duration", doc="How often.")

        problem = ConfigProblem("beacon one", "every", "is never right")
        for changed, finding in (
            ({"stage": "first"}, "stage is known, not 'first'"),
            ({"named": 1}, "named is a bool, not 1"),
            ({"schema": Loose}, "Loose is a frozen dataclass"),
            ({"schema": Bad}, "ValueError: a number and its unit"),
            ({"check": lambda section, configuration: [problem]}, "is never right"),
        ):
            made = self.kind(**changed)
            self.assertBroken(SectionKindContract, lambda made=made: made, finding)
