"""A route's filters: order, what is skipped, and a filter's bug that costs one exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.filters.base import RequestFilter
from netappliance.http.filters.chain import LOG_EVERY_S, RequestChain
from netappliance.http.message import Answer, Exchange, Request, Response


def exchange(**changed: Any) -> Exchange:
    """``GET /`` from 192.0.2.1 at second 100."""
    fields: dict[str, Any] = {
        "request": Request(b"GET", b"/", 1, []),
        "client": "192.0.2.1",
        "listener": "web",
        "port": 8080,
        "secure": False,
        "route": "default",
        "cluster": "web",
        "captures": (),
        "now": 100.0,
        "request_id": b"r1",
    }
    return Exchange(**{**fields, **changed})


class Noting(RequestFilter):
    """Writes what it is asked to a list."""

    def __init__(self, name: str, notes: list[str], answer: Any = None) -> None:
        self.name = name
        self.notes = notes
        self.answer = answer

    def request(self, exchange: Exchange) -> Any:
        """Answer as told."""
        self.notes.append(f"request {self.name}")
        return self.answer

    def response(self, exchange: Exchange, response: Response) -> None:
        """Note."""
        self.notes.append(f"response {self.name}")

    def finished(self, exchange: Exchange) -> None:
        """Note."""
        self.notes.append(f"finished {self.name}")


class Raising(RequestFilter):
    """Raises in one of its methods."""

    def request(self, exchange: Exchange) -> Answer | None:
        """Raise."""
        raise RuntimeError("broken")


class RaisingLate(RequestFilter):
    """Raises in the others."""

    def response(self, exchange: Exchange, response: Response) -> None:
        """Raise."""
        raise RuntimeError("broken")

    def finished(self, exchange: Exchange) -> None:
        """Raise."""
        raise RuntimeError("broken")


class OnlyResponse:
    """No base class, one method."""

    def response(self, exchange: Exchange, response: Response) -> None:
        """Add."""
        response.lines.append(b"X-Seen: yes")


class ChainTests(SynchronousTestCase):
    """Order and containment."""

    def setUp(self) -> None:
        """Collect what filters and the chain tell."""
        self.notes: list[str] = []
        self.errors: list[tuple[str, str]] = []

    def chain(self, *filters: Any) -> RequestChain:
        """Filters named a, b, c ..."""
        named = [(chr(ord("a") + number), made) for number, made in enumerate(filters)]
        return RequestChain(named, lambda name, error: self.errors.append((name, str(error))))

    def test_requests_run_forward_and_responses_backward(self) -> None:
        """And each is told of the end."""
        chain = self.chain(Noting("a", self.notes), Noting("b", self.notes))
        seen = exchange()
        self.assertIsNone(chain.request(seen))
        self.assertIsNone(chain.response(seen, Response(200, b"OK", 1, [])))
        chain.finished(seen)
        self.assertEqual(self.notes, ["request a", "request b", "response b", "response a", "finished a", "finished b"])

    def test_an_answer_ends_it_and_names_its_filter(self) -> None:
        """Later filters do not see the request, nor its end; but all see the response."""
        chain = self.chain(Noting("a", self.notes, Answer(403)), Noting("b", self.notes))
        seen = exchange()
        answer = chain.request(seen)
        assert answer is not None
        self.assertEqual((answer.status, answer.filter), (403, "a"))
        self.assertIs(chain.answered(seen, answer), answer)
        chain.finished(seen)
        self.assertEqual(self.notes, ["request a", "response b", "response a", "finished a"])
        self.assertEqual(chain.counters["a"].answers, {403: 1})

    def test_the_end_is_told_once_and_not_without_a_beginning(self) -> None:
        """However often the caller says so."""
        chain = self.chain(Noting("a", self.notes))
        seen = exchange()
        chain.finished(seen)
        self.assertEqual(self.notes, [])
        chain.request(seen)
        chain.finished(seen)
        chain.finished(seen)
        self.assertEqual(self.notes, ["request a", "finished a"])

    def test_a_filter_that_raises_costs_one_exchange(self) -> None:
        """500 and close, counted each time, told once a minute."""
        chain = self.chain(Raising(), Noting("b", self.notes))
        for now in (100.0, 100.0 + LOG_EVERY_S - 1, 100.0 + LOG_EVERY_S):
            answer = chain.request(exchange(now=now))
            assert answer is not None
            self.assertEqual((answer.status, answer.close, answer.filter), (500, True, "a"))
        self.assertEqual(self.errors, [("a", "broken")] * 2)
        self.assertEqual((chain.counters["a"].errors, self.notes), (3, []))

    def test_one_that_raises_at_the_end_does_not_keep_it_from_the_others(self) -> None:
        """They may have something to give back."""
        chain = self.chain(RaisingLate(), Noting("b", self.notes))
        seen = exchange()
        self.assertIsNone(chain.request(seen))
        failed = chain.response(seen, Response(200, b"OK", 1, []))
        assert failed is not None
        self.assertEqual(failed.status, 500)
        chain.finished(seen)
        self.assertEqual(self.notes, ["request b", "response b", "finished b"])
        self.assertEqual(chain.counters["a"].errors, 2)

    def test_our_own_answer_becomes_500_when_the_response_side_raises(self) -> None:
        """It is not given half edited."""
        self.assertEqual(self.chain(RaisingLate()).answered(exchange(), Answer(404)).status, 500)

    def test_a_wrong_answer_is_the_filter_s_error(self) -> None:
        """No line of it reaches the client; what has a wrong type fails where it is made, or where it is looked at."""

        class Answering(RequestFilter):
            """Makes its answer when it is asked."""

            def __init__(self, make: Callable[[], Any]) -> None:
                self.make = make

            def request(self, exchange: Exchange) -> Answer | None:
                """Answer."""
                made: Answer | None = self.make()
                return made

        makers: tuple[Callable[[], Any], ...] = (
            lambda: "yes",
            lambda: Answer(100),
            lambda: Answer(700),
            lambda: Answer(302, lines=[b"Location: /\r\nX: y"]),
            lambda: Answer(302, lines=["Location: /"]),  # type: ignore[list-item]
            lambda: Answer(302, lines=[b"no colon"]),
            lambda: Answer(302, lines=None),  # type: ignore[arg-type]
            lambda: Answer(403, b"bytes"),  # type: ignore[arg-type]
            lambda: Answer(200, body="text"),  # type: ignore[arg-type]
        )
        for make in makers:
            chain = self.chain(Answering(make))
            answer = chain.request(exchange())
            assert answer is not None
            self.assertEqual((answer.status, answer.lines, chain.counters["a"].errors), (500, [], 1))

    def test_what_somebody_s_filter_leaves_behind_splits_nothing(self) -> None:
        """500, whatever it wrote; what is the proxy's to write counts as well."""

        class Writing(RequestFilter):
            """Writes what it is told."""

            def __init__(self, **changed: Any) -> None:
                self.changed = changed

            def request(self, exchange: Exchange) -> Answer | None:
                """Change the request."""
                for name, value in self.changed.items():
                    setattr(exchange.request, name, value)
                return None

            def response(self, exchange: Exchange, response: Response) -> None:
                """Change the response."""
                response.lines = self.changed["lines"]

        for line in (
            b"A: 1\r\nB: 2",
            b"A: 1\n",
            b"no colon",
            "A: 1",
            b"Content-Length: 5",
            b"transfer-encoding: chunked",
        ):
            chain = RequestChain([("w", Writing(lines=[line]))])
            for answer in (
                chain.request(exchange()),
                chain.response(exchange(), Response(200, b"", 1, [])),
                chain.answered(exchange(), Answer(404)),
            ):
                assert answer is not None
                self.assertEqual(answer.status, 500, line)
        wrong: list[dict[str, Any]] = [{"target": b"/a b"}, {"target": b"//x\r\n"}, {"target": "/a"}, {"target": b"a"}]
        wrong += [{"authority": b"a\r\nb"}, {"authority": b"a b"}, {"lines": None}, {"lines": [b"Host: x"]}]
        for changed in wrong:
            answer = RequestChain([("w", Writing(**changed))]).request(exchange())
            assert answer is not None
            self.assertEqual(answer.status, 500, changed)
        fine = Writing(target=b"/a?b", authority=b"[::1]:80", lines=[b"Trailer: x"])
        self.assertIsNone(RequestChain([("w", fine)]).request(exchange()))

    def test_lines_that_were_there_before_may_move_and_go(self) -> None:
        """Whatever they are; only what a filter made is looked at, wherever it put it."""

        class Moving(RequestFilter):
            """Turns the lines around and puts one between."""

            def __init__(self, line: bytes) -> None:
                self.line = line

            def request(self, exchange: Exchange) -> Answer | None:
                """Change the request."""
                lines = exchange.request.lines
                lines[:] = [*lines[:0:-1], self.line]
                return None

            def response(self, exchange: Exchange, response: Response) -> None:
                """Change the response."""
                response.lines = [self.line, *response.lines[:0:-1]]

        for line, status in ((b"X: y", 0), (b"X: y\n", 500), (b"Content-Length: 1", 500)):
            chain = RequestChain([("m", Moving(line))])
            seen, response = exchange(), Response(200, b"", 1, [b"A: 1", b"B: 2", b"C: 3"])
            seen.request.lines = [b"A: 1", b"B: 2", b"C: 3"]
            for answer in (chain.request(seen), chain.response(seen, response)):
                self.assertEqual(answer.status if answer is not None else 0, status, line)
            if not status:
                self.assertEqual(seen.request.lines, [b"C: 3", b"B: 2", b"X: y"])
                self.assertEqual(response.lines, [b"X: y", b"C: 3", b"B: 2"])

    def test_captures_are_those_of_the_target_that_the_client_sent(self) -> None:
        """Though they are found when they are asked for, after a filter changed the target; and only once."""
        asked: list[tuple[bytes, bytes]] = []

        def captures(host: bytes, path: bytes) -> tuple[bytes, ...]:
            asked.append((host, path))
            return (b"1",)

        request = Request(b"GET", b"/a?b", 1, [])
        request.host = b"h"
        seen = Exchange(request, "", "web", 0, False, "", "", captures, 0.0, b"1")
        self.assertEqual(asked, [])
        request.target = b"/other"
        self.assertEqual((seen.captures, seen.captures, asked), ((b"1",), (b"1",), [(b"h", b"/a")]))

    def test_what_is_not_overridden_is_skipped(self) -> None:
        """So that the service need not even call."""
        idle = self.chain(RequestFilter(), RequestFilter())
        self.assertEqual((idle.has_request, idle.has_response, idle.has_finished), (False, False, False))
        late = self.chain(RequestFilter(), OnlyResponse())
        self.assertEqual((late.has_request, late.has_response, late.has_finished), (False, True, False))
        answer = late.answered(exchange(), Answer(404))
        self.assertEqual(answer.lines, [b"X-Seen: yes"])
        self.assertTrue(self.chain(RaisingLate()).has_request)

    def test_a_filter_named_twice_runs_twice(self) -> None:
        """And its counters are those of the name."""
        chain = RequestChain([("a", Noting("1", self.notes)), ("a", Noting("2", self.notes, Answer(403)))])
        chain.request(exchange())
        self.assertEqual((self.notes, chain.counters["a"].answers), (["request 1", "request 2"], {403: 1}))
