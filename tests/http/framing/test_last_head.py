"""Fields that a connection repeats are judged once, and make no other difference."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.request import LastHead, RequestFraming
from netappliance.http.message import Refusal, Request
from tests.attributes import attribute_names

LINES = (
    b"GET / HTTP/1.1",
    b"GET /other?x=1 HTTP/1.1",
    b"POST /form HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"GET / HTTP/1.0",
    b"CONNECT /x HTTP/1.1",
    b"GET http://a.example/ HTTP/1.1",
    b"GET http://a.example/ HTTP/1.0",
    b"GET /frag#ment HTTP/1.1",
    b"GET /tab\there HTTP/1.1",
    b"GET /two  HTTP/1.1",
    b"GET /\xe4 HTTP/1.1",
    b"get /lower HTTP/1.1",
    b"G\0T / HTTP/1.1",
    b"GET /" + b"x" * 300 + b" HTTP/1.1",
    b"GET / HTTP/1.1\r\nX-Before: 1",
    b"GET / HTTP/1.1\r\nHost: other.example",
    b"GET /\r\n HTTP/1.1",
    b"",
)
MORE_LINES = (
    b"GET Xyz HTTP/1.1",
    b"GET * HTTP/1.1",
    b"GET /X HTTP/1.1",
    b"GET /" + b"x" * 199 + b" HTTP/1.1",
    b"GET /" + b"x" * 200 + b" HTTP/1.1",
    b"G(T / HTTP/1.1",
    b" / HTTP/1.1",
    b"GET / HTTP/1.2",
    b"GET / ",
    b"GET /",
    b"X" * 64 + b" / HTTP/1.1",
    b"X" * 65 + b" / HTTP/1.1",
)
FIELDS = (
    b"Host: a.example\r\nAccept: */*",
    b"Host: a.example\r\nConnection: close\r\nCookie: a=b",
    b"Host: a.example\r\nX-Forwarded-For: 1.2.3.4",
    b"Host: a.example\r\nContent-Length: 0",
    b"Host: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Gone\r\nX-Gone: 1",
    b"Host: b.example:81\r\nExpect: 100-continue",
    b"Host: a b",
    b"Accept: */*",
)


ATTRIBUTES = attribute_names(Request)


def values(found: tuple[Request | Refusal, int] | None) -> object:
    """All that a parse says, for comparison."""
    if found is None or isinstance(found[0], Refusal):
        return found
    return [getattr(found[0], name) for name in ATTRIBUTES], found[1]


class LastHeadTests(SynchronousTestCase):
    """With and without the memory."""

    @given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(FIELDS)), min_size=1, max_size=30))
    @settings(deadline=None, max_examples=200)
    def test_it_makes_no_difference(self, heads: list[tuple[bytes, bytes]]) -> None:
        """Any sequence of requests is judged as it is without."""
        framing = RequestFraming(max_target=200)
        last = LastHead()
        for line, fields in heads:
            data = line + b"\r\n" + fields + b"\r\n\r\n"
            self.assertEqual(values(framing.parse(data, 0, last)), values(framing.parse(data)), data)

    def test_it_makes_no_difference_to_any_line(self) -> None:
        """Behind every kind of fields, remembered in either version, with a target at the limit and above it."""
        framing = RequestFraming(max_target=200)
        for fields in FIELDS:
            for first in (b"GET / HTTP/1.1", b"GET / HTTP/1.0"):
                for line in (*LINES, *MORE_LINES):
                    last = LastHead()
                    for each in (first, line):
                        data = each + b"\r\n" + fields + b"\r\n\r\n"
                        self.assertEqual(values(framing.parse(data, 0, last)), values(framing.parse(data)), data)

    def test_what_is_forgotten_is_gone(self) -> None:
        """An idle connection keeps nothing."""
        framing, last = RequestFraming(), LastHead()
        framing.parse(b"GET / HTTP/1.1\r\n" + FIELDS[0] + b"\r\n\r\n", 0, last)
        self.assertEqual(last.fields, b"\r\n" + FIELDS[0] + b"\r\n\r\n")
        last.forget()
        self.assertEqual(last.fields, b"")

    def test_requests_share_no_lines(self) -> None:
        """A filter that changes the lines of one request changes no other."""
        framing, last = RequestFraming(), LastHead()
        data = b"GET / HTTP/1.1\r\n" + FIELDS[0] + b"\r\n\r\n"
        for _ in range(3):
            found = framing.parse(data, 0, last)
            assert found is not None and isinstance(found[0], Request)
            self.assertEqual(found[0].lines, [b"Accept: */*"])
            found[0].lines.append(b"X: changed")

    def test_it_gives_up_on_a_client_that_never_repeats_itself_and_tries_again(self) -> None:
        """Remembering costs time too: after eight that were all different it rests for the others of 256."""
        framing, last = RequestFraming(), LastHead()

        def remembered(number: int) -> bool:
            framing.parse(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %d\r\n\r\n" % number, 0, last)
            return bool(last.fields)

        self.assertEqual([remembered(number) for number in range(260)], [True] * 8 + [False] * 247 + [True] * 5)
        self.assertTrue(remembered(259))
        self.assertEqual([remembered(number) for number in range(300, 310)], [True] * 8 + [False] * 2)
