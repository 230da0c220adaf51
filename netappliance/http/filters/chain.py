"""A route's filters in order: answers, counters, and crashes that stay where they happen. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any

from netappliance.http.filters.base import RequestFilter
from netappliance.http.message import Answer, Exchange, Response

#: a filter that keeps raising is logged at most once in this time (seconds)
LOG_EVERY_S = 60.0

#: what a filter of yours does or returns may be anything
Step = Callable[..., Any]


class FilterCounters:
    """
    What one filter of one route did.

    :ivar answers: status -> how many answers it gave instead of a backend. :ivar errors: exceptions, contained.
    """

    __slots__ = ("answers", "errors", "last_logged")

    def __init__(self) -> None:
        self.answers: dict[int, int] = {}
        self.errors = 0
        self.last_logged = float("-inf")


class RequestChain:
    """
    Runs exchanges through the filters of a route.

    A method that a filter inherits from :class:`RequestFilter`, or does not have, costs nothing.

    :param filters: (name, filter) in the order of the route.
    :param on_error: told of a filter that raised (name, exception), at most once a minute for each.
    :ivar has_request: ``request`` must be called; False when no filter looks at requests or at their end.
    :ivar has_response: some filter looks at responses. :ivar has_finished: some filter wants to know of the end.
    :ivar counters: by filter name. :ivar filters: as given.
    """

    __slots__ = (
        "_finished",
        "_length",
        "_on_error",
        "_request",
        "_response",
        "counters",
        "filters",
        "has_finished",
        "has_request",
        "has_response",
    )

    def __init__(
        self, filters: Sequence[tuple[str, Any]], on_error: Callable[[str, BaseException], None] | None = None
    ) -> None:
        self.filters = tuple(filters)
        self.counters = {name: FilterCounters() for name, _ in filters}
        self._on_error = on_error
        self._length = len(self.filters)
        self._request = self._steps("request")
        self._response = self._steps("response")[::-1]
        self._finished = self._steps("finished")
        self.has_finished = bool(self._finished)
        self.has_response = bool(self._response)
        self.has_request = bool(self._request) or self.has_finished

    def _steps(self, side: str) -> tuple[tuple[int, Step], ...]:
        inherited = getattr(RequestFilter, side)
        return tuple(
            (number, getattr(made, side) if _is_ours(made) else _watched(getattr(made, side), side))
            for number, (_, made) in enumerate(self.filters)
            if getattr(type(made), side, inherited) is not inherited
        )

    def request(self, exchange: Exchange) -> Answer | None:
        """
        Run the request through the filters, first to last.

        :return: None when it may go to a backend; else the answer of the filter that ended it, with its name. A filter
            that raises, or returns what is no answer, has the answer 500.
        """
        number = 0
        answer: Any = None
        try:
            for number, step in self._request:  # noqa: B007 - named when it answers or raises
                answer = step(exchange)
                if answer is not None:
                    break
        except Exception as error:  # noqa: BLE001 - a filter's bug costs one exchange
            exchange.reached = number + 1
            return self._failed(number, error, exchange.now)
        if answer is None:
            exchange.reached = self._length
            return None
        exchange.reached = number + 1
        wrong = _wrong(answer)
        if wrong:
            return self._failed(number, TypeError(wrong), exchange.now)
        given: Answer = answer
        given.filter = name = self.filters[number][0]
        answers = self.counters[name].answers
        answers[given.status] = answers.get(given.status, 0) + 1
        return given

    def response(self, exchange: Exchange, response: Response) -> Answer | None:
        """
        Run the head of a response through the filters, last to first.

        :return: None when it may go to the client; the answer 500 to give instead when a filter raised. That one is
            given as it is, without another run.
        """
        number = 0
        try:
            for number, step in self._response:  # noqa: B007 - named when it raises
                step(exchange, response)
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed(number, error, exchange.now)
        return None

    def answered(self, exchange: Exchange, answer: Answer) -> Answer:
        """
        Run an answer of our own through the response side.

        :return: the answer to give: the same with the lines that the filters left, or 500 when one raised.
        """
        if not self._response:
            return answer
        response = Response(answer.status, b"", 1, answer.lines)
        failed = self.response(exchange, response)
        if failed is not None:
            return failed
        answer.lines = response.lines
        return answer

    def finished(self, exchange: Exchange) -> None:
        """Tell the filters that the request got to; a second call for the same exchange does nothing."""
        reached = exchange.reached
        exchange.reached = 0
        for number, step in self._finished:
            if number >= reached:
                break
            try:
                step(exchange)
            except Exception as error:  # noqa: BLE001 - the others are told all the same
                self._failed(number, error, exchange.now)

    def _failed(self, number: int, error: BaseException, now: float) -> Answer:
        name = self.filters[number][0]
        counters = self.counters[name]
        counters.errors += 1
        if now - counters.last_logged >= LOG_EVERY_S:
            counters.last_logged = now
            if self._on_error is not None:
                self._on_error(name, error)
        return Answer(500, "A filter of this route failed.", close=True, filter=name)


def _is_ours(made: Any) -> bool:
    return type(made).__module__.startswith("netappliance.http.filters.")


def _watched(step: Step, side: str) -> Step:
    """
    Return the step with a look at what it left: what splits or frames a message is not for others to write.

    Only what is new is looked at, lines that are other objects than those before: the rest was judged when it came.
    """

    def request(exchange: Exchange) -> Any:
        made = exchange.request
        lines, target, authority = list(made.lines), made.target, made.authority
        try:
            answer = step(exchange)
            if exchange.request is not made:
                raise ValueError("replaced the request")
            if made.target is not target or made.authority is not authority:
                _see_address(made)
            _see_lines(made.lines, lines, _FRAMING_REQUEST)
        except Exception:
            # the answer that its client gets looks at the request
            exchange.request = made
            made.lines, made.target, made.authority = lines, target, authority
            raise
        return answer

    def response(exchange: Exchange, response: Response) -> None:
        lines = list(response.lines)
        step(exchange, response)
        _see_lines(response.lines, lines, _FRAMING)

    watched: dict[str, Step] = {"request": request, "response": response}
    return watched.get(side, step)


#: what framing leaves out of the lines and writes itself
_FRAMING = frozenset((b"connection", b"content-length", b"transfer-encoding"))
_FRAMING_REQUEST = _FRAMING | {b"host"}
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e\x80-\xff]*|\*")
_AUTHORITY = re.compile(rb"[\x21-\x2e\x30-\x7e\x80-\xff]*")


def _see_address(made: Any) -> None:
    """Raise ValueError for a target or an authority that is none."""
    if not (isinstance(made.target, bytes) and _TARGET.fullmatch(made.target)):
        raise ValueError(f"made the target {made.target!r}")
    if not (isinstance(made.authority, bytes) and _AUTHORITY.fullmatch(made.authority)):
        raise ValueError(f"made the authority {made.authority!r}")


def _see_lines(lines: Any, before: list[bytes], names: frozenset[bytes]) -> None:
    """Raise ValueError for a line that was not there before and may not be there."""
    new: Any = lines
    if isinstance(lines, list):
        if all(map(is_, lines, before)):
            # as nearly always: nothing was done, or something at the end
            new = lines[len(before) :]
        else:
            known = set(map(id, before))
            new = [line for line in lines if id(line) not in known]
    wrong = _wrong_lines(new, names)
    if wrong:
        raise ValueError(wrong)


def _wrong(answer: Any) -> str:
    """Return what is wrong with the answer of a filter, or nothing; so that no bug splits a response."""
    if not isinstance(answer, Answer):
        return f"returned {type(answer).__name__}, not an Answer or None"
    if not isinstance(answer.status, int) or not 200 <= answer.status <= 599:
        return f"answered with status {answer.status!r}"
    why: Any = answer.why
    body: Any = answer.body
    if not isinstance(why, str) or not isinstance(body, bytes | None):
        return f"answered with why = {type(why).__name__} and body = {type(body).__name__}"
    return _wrong_lines(answer.lines)


def _wrong_lines(lines: Any, names: frozenset[bytes] = frozenset()) -> str:
    if not isinstance(lines, list):
        return f"made the field lines a {type(lines).__name__}"
    for line in lines:
        if not isinstance(line, bytes) or b"\r" in line or b"\n" in line or b"\0" in line or b":" not in line:
            return f"made the field line {line!r}"
        if names and line.partition(b":")[0].lower() in names:
            return f"made the field line {line!r}, which is the proxy's to write"
    return ""
