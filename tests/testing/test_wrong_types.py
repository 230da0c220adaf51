"""What a plug-in hands in at run time and must not: an error that names it, and nothing else is hurt."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.balancing.policy import ThirdPartyPolicy
from netappliance.http.filters import RequestFilter
from netappliance.http.filters.chain import RequestChain
from netappliance.http.message import Answer, Exchange, Request, Response
from netappliance.sessions.session import Session
from netappliance.sessions.table import SessionTable
from netappliance.testing.backends import backend
from netappliance.testing.datagram_filters import datagram
from netappliance.testing.observers import DONE, session
from netappliance.testing.request_filters import exchange, response
from netappliance.udp.chain import FilterChain
from netappliance.udp.collector import UdpCollector
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop


def _answer(answer: Any, session: Session) -> Any:
    return answer


def _tell(told: list[str], name: str, error: BaseException) -> None:
    told.append(f"{name}: {error}")


class Unprintable:
    """Cannot be made a text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class ObserverTests(SynchronousTestCase):
    """Observers, in the table that tells them."""

    def open(self, opened: Callable[[Session], Any]) -> list[str]:
        """What an error says, after a session was told to this observer and to one that refuses."""
        wrong: Any = SimpleNamespace(name="wrong", session_opened=opened, session_closed=lambda session: None)
        right: Any = SimpleNamespace(
            name="right", session_opened=lambda session: "no", session_closed=lambda session: None
        )
        table = SessionTable(lambda: 102.0, [wrong, right])
        each = session()
        with capturedLogs() as events:
            self.assertEqual(table.open(each), "no")
        self.assertEqual(table.observer_errors, {"wrong": 1})
        self.assertEqual([event["name"] for event in events], ["wrong"])
        table.closed(each, DONE)
        self.assertEqual(len(table), 0)
        return [failure.getErrorMessage() for failure in self.flushLoggedErrors()]

    def test_an_answer_that_is_no_text_refuses_nobody(self) -> None:
        """Nor does one that cannot even be printed reach the table's owner."""
        for answer in (False, 7, b"refused", Unprintable(), ["refused"]):
            found = self.open(partial(_answer, answer))
            self.assertEqual(found, [f"session_opened returned {type(answer).__name__}, not a text or None"])

    def test_a_crash_is_the_observers(self) -> None:
        """Also one for what sessions do not have."""
        attribute = "user"
        (found,) = self.open(lambda session: getattr(session, attribute))
        self.assertIn("has no attribute 'user'", found)


class BalancerTests(SynchronousTestCase):
    """Policies, behind what looks at their choice."""

    def test_a_choice_that_is_no_backend_names_the_policy(self) -> None:
        """Whatever it is."""
        for chosen in ("b1", None, ("10.0.0.1", 7), backend):
            made = SimpleNamespace(needs_key=False, choose=lambda backends, key, now, chosen=chosen: chosen)
            error = self.assertRaises(TypeError, ThirdPartyPolicy("wrong", made).choose, (backend(1),), b"", 0.0)
            self.assertEqual(str(error), f"balance = wrong chose {type(chosen).__name__}, not a Backend")

    def test_one_without_keys_is_asked_all_the_same(self) -> None:
        """What is right goes through unchanged, members too."""
        told: list[Sequence[Backend]] = []
        members = [backend(1), backend(2)]
        made = SimpleNamespace(needs_key=1, set_members=told.append, choose=lambda backends, key, now: backends[-1])
        policy = ThirdPartyPolicy("right", made)
        policy.set_members(members)
        self.assertEqual((told, policy.needs_key), ([members], True))
        self.assertIs(policy.choose(tuple(members), b"k", random.Random(1).random()), members[1])


class RequestFilterTests(SynchronousTestCase):
    """Request filters, in a route's chain."""

    def failed(self, made: Any, run: Callable[[RequestChain], Answer | None]) -> str:
        """What a chain tells of a filter that fails one exchange."""
        told: list[str] = []
        chain = RequestChain([("wrong", made)], partial(_tell, told))
        answer = run(chain)
        assert answer is not None
        self.assertEqual((answer.status, answer.close, answer.filter), (500, True, "wrong"))
        self.assertEqual(chain.counters["wrong"].errors, 1)
        (found,) = told
        return found

    def test_requests(self) -> None:
        """Wrong attributes are refused where they are set, or looked at afterwards; the error names the type."""

        def leave(attribute: str, value: Any) -> Callable[[Exchange], Any]:
            return lambda exchange: setattr(exchange.request, attribute, value)

        for act, named in (
            (leave("lines", (b"A: b",)), "tuple"),
            (leave("lines", None), "None"),
            (leave("target", "/text"), "/text|str"),
            (leave("authority", 80), "80|int"),
            (lambda exchange: exchange.request.lines.append("A: b"), "'A: b'"),
            (lambda exchange: {"status": 403}, "dict, not an Answer"),
            (lambda exchange: Answer("403"), "'403'|str"),  # type: ignore[arg-type]
            (lambda exchange: Answer(403, b"why"), "bytes"),  # type: ignore[arg-type]
            (lambda exchange: Answer(403, body="text"), "str"),  # type: ignore[arg-type]
            (lambda exchange: Answer(403, lines=(b"A: b",)), "tuple"),  # type: ignore[arg-type]
        ):
            made = type("Made", (RequestFilter,), {"request": lambda self, exchange, act=act: act(exchange)})()
            self.assertRegex(self.failed(made, lambda chain: chain.request(exchange())), f"^wrong: .*({named})")

    def test_what_a_filter_that_failed_changed_is_as_it_was(self) -> None:
        """The page about the error looks at the request; so do the filters that are told of its end."""

        class Wrong(RequestFilter):
            def request(self, exchange: Exchange) -> Answer | None:
                exchange.request.lines.clear()
                exchange.request.target = b"/other"
                exchange.request.authority = b"other"
                exchange.request.lines.append(b"no line")
                return None

        class Replacing(RequestFilter):
            def request(self, exchange: Exchange) -> Answer | None:
                exchange.request = None  # type: ignore[assignment]
                raise RuntimeError("broken")

        for made in (Wrong(), Replacing()):
            seen = exchange(b"/", b"A: b")
            request = seen.request
            self.failed(made, lambda chain, seen=seen: chain.request(seen))  # type: ignore[misc]
            self.assertIs(seen.request, request)
            left = request.target, request.authority, request.lines
            self.assertEqual(left, (b"/", b"www.example.org", [b"A: b"]))

    def test_another_request_is_not_taken(self) -> None:
        """The one that there is may be changed."""

        class Replacing(RequestFilter):
            def request(self, exchange: Exchange) -> Answer | None:
                exchange.request = Request(b"GET", b"/", 1, [])
                return None

        found = self.failed(Replacing(), lambda chain: chain.request(exchange()))
        self.assertEqual(found, "wrong: replaced the request")

    def test_responses(self) -> None:
        """The same on the way back."""
        for lines, named in (((b"A: b",), "tuple"), (None, "None"), ([b"A: b", "C: d"], "'C: d'")):

            class Made(RequestFilter):
                def response(self, exchange: Exchange, response: Response, lines: Any = lines) -> None:
                    response.lines = lines

            found = self.failed(Made(), lambda chain: chain.response(exchange(), response()))
            self.assertRegex(found, f"^wrong: .*{named}")


class DatagramFilterTests(SynchronousTestCase):
    """Datagram filters, in a service's chain and on its page of metrics."""

    def test_datagrams(self) -> None:
        """What is wrong drops that datagram; the error names the type."""

        def leave(attribute: str, value: Any) -> Callable[[Datagram], Any]:
            return lambda datagram: setattr(datagram, attribute, value)

        for act, named in (
            (leave("payload", "text"), "str"),
            (leave("payload", bytearray(b"x")), "bytearray"),
            (leave("metadata", [("a", 1)]), "list"),
            (leave("destinations", ("10.0.0.1",)), "str among destinations"),
            (leave("destinations", 7), "int as destinations"),
            (leave("destinations", iter([backend(1)])), "list_iterator as destinations"),
            (lambda datagram: True, "bool, not a Drop"),
            (lambda datagram: "filtered", "str, not a Drop"),
        ):
            made = type("Made", (), {"read": staticmethod(act), "write": staticmethod(act)})()
            told: list[str] = []
            chain = FilterChain([("wrong", made)], None, partial(_tell, told))
            self.assertEqual((chain.read(datagram(b"x")), chain.write(datagram(b"x"))), (Drop.FILTER_ERROR,) * 2)
            self.assertEqual([counters.errors for counters in chain.counters.values()], [1, 1])
            for found in told:
                self.assertRegex(found, f"^wrong: .*{named}")
            self.assertEqual(len(told), 2)

    def test_figures(self) -> None:
        """Wrong ones cost the filter its own, not the page; they are counted as its errors."""

        class Counting(DatagramFilter):
            def __init__(self, own: Any) -> None:
                self.own = own

            def read(self, datagram: Datagram) -> Drop | None:
                return None

            def figures(self) -> Any:
                return self.own

        filters = [
            ("list", Counting([1])),
            ("text", Counting({"a": "many"})),
            ("none", Counting(None)),
            ("right", Counting({"a": 3})),
        ]
        proxy = SimpleNamespace(
            name="front", totals=SimpleNamespace(drops={}), chain=FilterChain(filters), filters=filters
        )
        service: Any = SimpleNamespace(proxy=proxy, listeners=[])
        (figures,) = [family for family in UdpCollector(service).collect() if family.name.endswith("filter_figures")]
        self.assertEqual([(each.labels["filter"], each.value) for each in figures.samples], [("right", 3)])
        errors = {name: counters.errors for (name, _), counters in proxy.chain.counters.items()}
        self.assertEqual(errors, {"list": 1, "text": 1, "none": 1, "right": 0})
