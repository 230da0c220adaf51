"""Smuggling and malformed requests against the framing code: the verdict, however the bytes come in."""

from __future__ import annotations

import random
import time
from collections import Counter

import h11
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.chunked import encode
from netappliance.http.message import CHUNKED, Request
from tests.http.framing.corpus import CASES
from tests.http.framing.corpus.case import FORWARDED, Case
from tests.http.framing.corpus.choices import LET_PASS
from tests.http.framing.framed import FramedConnection

#: those whose verdict is not max_body_size's
FRAMED = [case for case in CASES if not case.small]
#: what hypothesis draws from: enormous ones would be cut into a hundred thousand pieces
DRAWN = [case for case in FRAMED if len(case.data) < 3000]


def problem(case: Case, connection: FramedConnection) -> str:
    """Say what is wrong with the outcome; empty when it is the verdict."""
    status, seen = connection.outcome
    expected = case.requests if status == FORWARDED or FORWARDED not in case.verdicts else ()
    if status not in case.verdicts:
        return f"{case.label}: {status} for {case.verdicts}, forwarded {seen}"
    if seen != expected:
        return f"{case.label}: {status}, forwarded {seen} instead of {expected}"
    return ""


def written(request: Request, body: bytes, trailers: list[bytes]) -> bytes:
    """Write a request anew from what was parsed."""
    lines = [b"%b %b HTTP/1.1" % (request.method, request.target), b"Host: " + request.authority, *request.lines]
    if request.length == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
        body = b"".join(encode([body] if body else [], len(body), trailers)[0])
    elif request.declared:
        lines.append(b"Content-Length: %d" % request.length)
    return b"\r\n".join([*lines, b"", body])


def read_by_h11(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Return the requests that h11 sees as a server; raises for what it refuses."""
    seen: list[tuple[bytes, bytes, bytes]] = []
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    body = b""
    while True:
        event = server.next_event()
        if isinstance(event, h11.Request):
            seen.append((event.method, event.target, b""))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            seen[-1] = (seen[-1][0], seen[-1][1], body)
            body = b""
            server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            server.send(h11.EndOfMessage())
            if server.our_state is not h11.DONE:
                break
            server.start_next_cycle()
        else:
            break
    return seen if not server.trailing_data[0] else [*seen, (b"left over", b"", server.trailing_data[0])]


class CorpusTests(SynchronousTestCase):
    """The corpus itself, and each of its cases."""

    def none(self, problems: list[str]) -> None:
        """Fail with all of them."""
        found = "\n".join(filter(None, problems))
        if found:
            self.fail(found)

    def test_corpus_is_large_and_its_cases_have_names_of_their_own(self) -> None:
        """At least 200, in every family that the issue names."""
        twice = [label for label, count in Counter(case.label for case in CASES).items() if count > 1]
        self.assertEqual(twice, [])
        self.assertGreater(len(CASES), 900)
        self.assertGreater(min(Counter(case.family for case in CASES).values()), 5)

    def test_every_case_has_its_verdict_in_one_piece(self) -> None:
        """Refused with the right status, or forwarded as exactly these requests."""
        problems = [problem(case, FramedConnection().feed_all([case.data])) for case in FRAMED]
        self.none(problems)

    def test_every_case_has_its_verdict_byte_by_byte(self) -> None:
        """And the reason of the refusal is the same as in one piece."""
        problems = []
        for case in DRAWN:
            whole = FramedConnection().feed_all([case.data])
            single = FramedConnection().feed_all(case.data[at : at + 1] for at in range(len(case.data)))
            problems.append(problem(case, single))
            if whole.refusal != single.refusal:
                problems.append(f"{case.label}: {whole.refusal} in one piece, {single.refusal} byte by byte")
        self.none(problems)

    def test_what_the_rfcs_leave_open_is_decided_as_written_down(self) -> None:
        """Strictness does not change unnoticed, in either direction."""
        free = [case for case in FRAMED if len(case.verdicts) > 1 and FORWARDED in case.verdicts]
        passed = {case.label for case in free if not FramedConnection().feed_all([case.data]).outcome[0]}
        self.assertEqual(passed ^ LET_PASS, set())

    def test_every_refusal_comes_with_the_bytes_that_deserve_it(self) -> None:
        """A refused case is refused without a byte beyond its data, so that nobody waits for more."""
        for case in FRAMED:
            if FORWARDED not in case.verdicts:
                self.assertIsNotNone(FramedConnection().feed_all([case.data]).refusal, case.label)

    def test_what_is_written_anew_is_the_same_requests_for_h11(self) -> None:
        """Same methods, targets and bodies, nothing left over, and no field that was to be left out."""
        forwarded = 0
        for case in FRAMED:
            connection = FramedConnection().feed_all([case.data])
            for request, body, trailers in connection.complete:
                data = written(request, body, trailers)
                expected = [(request.method, request.target, body)]
                self.assertEqual(
                    read_by_h11(data if request.authority else data.replace(b"Host: ", b"Host: x")), expected
                )
                self.assertEqual([name for name in case.absent if name in data.lower()], [], case.label)
                forwarded += 1
        self.assertGreater(forwarded, 150)

    def test_requests_behind_each_other_are_the_same_for_h11(self) -> None:
        """All that one connection forwards, written into one stream, is again these requests."""
        for case in FRAMED:
            connection = FramedConnection().feed_all([case.data])
            if len(connection.complete) > 1:
                data = b"".join(written(*each) for each in connection.complete)
                self.assertEqual(tuple(read_by_h11(data)), connection.outcome[1], case.label)


class CostTests(SynchronousTestCase):
    """What a client can make the framing code work for a few bytes."""

    def test_heads_and_trailers_that_come_octet_by_octet_stay_cheap(self) -> None:
        """16 KiB in as many reads, each of which looks at all that came before: under a second for each."""
        chunked = b"POST /t HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        for name, data in (
            ("fields", b"GET /t HTTP/1.1\r\n" + b"X: 1\r\n" * 120 + b"Y: " + b"a" * 15000),
            ("target", b"GET /" + b"a" * 16000),
            ("trailer", chunked + b"X: " + b"a" * 16000),
        ):
            started = time.process_time()
            connection = FramedConnection().feed_all(data[at : at + 1] for at in range(len(data)))
            self.assertIsNone(connection.refusal, name)
            self.assertLess(time.process_time() - started, 1.5, name)


class SplitTests(SynchronousTestCase):
    """Hypothesis chooses cuts and mutations."""

    @given(st.sampled_from(DRAWN), st.data())
    @settings(deadline=None, max_examples=200)
    def test_any_split_of_the_bytes_gives_the_same_result(self, case: Case, data: st.DataObject) -> None:
        """Whatever the network does, the verdict is that of the whole."""
        cuts = sorted(data.draw(st.lists(st.integers(0, len(case.data)), max_size=8)))
        pieces = [case.data[start:end] for start, end in zip([0, *cuts], [*cuts, len(case.data)], strict=True)]
        whole, split = FramedConnection().feed_all([case.data]), FramedConnection().feed_all(pieces)
        self.assertEqual((split.outcome, split.refusal), (whole.outcome, whole.refusal), case.label)

    @given(st.sampled_from(DRAWN), st.integers(0, 2**32), st.integers(1, 6))
    @settings(deadline=None, max_examples=200)
    def test_mutations_are_judged_and_never_raise(self, case: Case, seed: int, count: int) -> None:
        """Bytes changed, taken out, doubled; what is still forwarded, h11 reads as the same requests."""
        rng = random.Random(seed)
        data = bytearray(case.data)
        for _ in range(count):
            at = rng.randrange(len(data)) if data else 0
            change = rng.randrange(4)
            if change == 0:
                data[at : at + 1] = bytes((rng.randrange(256),))
            elif change == 1:
                del data[at : at + rng.randrange(1, 5)]
            elif change == 2:
                data[at:at] = data[at : at + rng.randrange(1, 20)]
            else:
                data[at:at] = rng.choice((b"\r", b"\n", b"\r\n", b":", b" ", b"\x00", b",", b";", b"0", b"\t", b"\xff"))
        mutated = bytes(data)
        whole = FramedConnection().feed_all([mutated])
        middle = rng.randrange(len(mutated) + 1)
        split = FramedConnection().feed_all([mutated[:middle], mutated[middle:]])
        self.assertEqual((split.outcome, split.refusal), (whole.outcome, whole.refusal))
        for request, body, trailers in whole.complete:
            if request.authority:
                seen = read_by_h11(written(request, body, trailers))
                self.assertEqual(seen, [(request.method, request.target, body)])
