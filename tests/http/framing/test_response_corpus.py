"""Backends' answers against the framing code: passed on, or the backend's fault, however the bytes come in."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.chunked import ChunkedDecoder
from netappliance.http.framing.response import ResponseFraming
from netappliance.http.message import CHUNKED, UNTIL_CLOSE, Refusal, Response
from tests.http.framing.corpus.responses import ANSWERS, CUT, PASSED, REFUSED, BackendAnswer

FRAMING = ResponseFraming()
#: judged by what was asked for and how often, which is the exchange's part
FORWARDING = ("10 000 of 103", "10 000 of 100", "101 unasked", "101 unasked, bare")
FRAMED = [answer for answer in ANSWERS if answer.name not in FORWARDING]
DRAWN = [answer for answer in FRAMED if len(answer.data) < 3000]


class FramedAnswer:
    """Feeds a backend's bytes to the framing code, up to its end."""

    def __init__(self, answer: BackendAnswer) -> None:
        self.interim: list[int] = []
        self.response: Response | None = None
        self.refusal: Refusal | None = None
        self.body = b""
        self.done = False
        self._method = answer.method
        self._pending = b""
        self._decoder = ChunkedDecoder()

    def run(self, pieces: Iterable[bytes]) -> tuple[str, int, bytes, tuple[int, ...]]:
        """Feed all pieces, then EOF: (verdict, status, body, interim statuses)."""
        for piece in pieces:
            self._pending += piece
            while self.response is None and self.refusal is None and self._head():
                pass
            if self.response is not None and self.refusal is None and not self.done:
                self._read(self.response)
        if self.response is None or self.refusal is not None:
            return REFUSED, 502, b"", ()
        complete = self.done or self.response.length == UNTIL_CLOSE
        return (PASSED if complete else CUT), self.response.status, self.body, tuple(self.interim)

    def _head(self) -> bool:
        found = FRAMING.parse(self._pending, self._method)
        if found is None:
            return False
        head, end = found
        if isinstance(head, Refusal):
            self.refusal = head
            return False
        self._pending = self._pending[end:]
        if head.status < 200:
            self.interim.append(head.status)
            return True
        self.response = head
        return False

    def _read(self, response: Response) -> None:
        if response.length == CHUNKED:
            result = self._decoder.feed(self._pending)
            self._pending = b""
            if isinstance(result, Refusal):
                self.refusal = result
                return
            self.body += b"".join(result[0])
            self.done = self._decoder.done
        elif response.length == UNTIL_CLOSE:
            self.body, self._pending = self.body + self._pending, b""
        else:
            left = response.length - len(self.body)
            self.body, self._pending = self.body + self._pending[:left], self._pending[left:]
            self.done = len(self.body) == response.length


class ResponseCorpusTests(SynchronousTestCase):
    """Every answer of the corpus."""

    def judge(self, pieces: Iterable[bytes], answer: BackendAnswer) -> str:
        """Say what is wrong; empty when it is the verdict."""
        found = FramedAnswer(answer).run(pieces)
        if answer.verdict == PASSED:
            wanted = (PASSED, answer.status, answer.body, answer.interim)
            return "" if found == wanted else f"{answer.label}: {found} instead of {wanted}"
        return "" if found[0] == answer.verdict else f"{answer.label}: {found} instead of {answer.verdict}"

    def test_every_answer_has_its_verdict(self) -> None:
        """In one piece, and byte by byte."""
        problems = [self.judge([answer.data], answer) for answer in FRAMED]
        problems += [
            self.judge((answer.data[at : at + 1] for at in range(len(answer.data))), answer) for answer in DRAWN
        ]
        found = "\n".join(filter(None, problems))
        if found:
            self.fail(found)

    def test_names_are_their_own(self) -> None:
        """So that a failure names one answer."""
        twice = [label for label, count in Counter(answer.label for answer in ANSWERS).items() if count > 1]
        self.assertEqual(twice, [])

    def test_refusals_of_answers_are_502(self) -> None:
        """The client did nothing wrong: no 400 for what a backend said in its head."""
        for answer in FRAMED:
            framed = FramedAnswer(answer)
            framed.run([answer.data])
            if framed.refusal is not None and framed.response is None:
                self.assertEqual(framed.refusal.status, 502, answer.label)

    @given(st.sampled_from(DRAWN), st.data())
    @settings(deadline=None, max_examples=200)
    def test_any_split_of_the_bytes_gives_the_same_result(self, answer: BackendAnswer, data: st.DataObject) -> None:
        """Whatever the network does."""
        cuts = sorted(data.draw(st.lists(st.integers(0, len(answer.data)), max_size=8)))
        pieces = [answer.data[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer.data)], strict=True)]
        self.assertEqual(FramedAnswer(answer).run(pieces), FramedAnswer(answer).run([answer.data]), answer.label)

    @given(st.sampled_from(DRAWN), st.integers(0, 2**32))
    @settings(deadline=None, max_examples=200)
    def test_mutations_never_raise_and_splits_agree(self, answer: BackendAnswer, seed: int) -> None:
        """Bytes changed, taken out, doubled."""
        rng = random.Random(seed)
        data = bytearray(answer.data)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data) + 1)
            if rng.random() < 0.5:
                data[at : at + rng.randrange(3)] = bytes((rng.randrange(256),))
            else:
                data[at:at] = data[at : at + rng.randrange(1, 20)]
        mutated = bytes(data)
        middle = rng.randrange(len(mutated) + 1)
        split = FramedAnswer(answer).run([mutated[:middle], mutated[middle:]])
        self.assertEqual(split, FramedAnswer(answer).run([mutated]))
