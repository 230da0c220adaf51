"""Responses to health checks: what is expected of them, whole and in pieces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.health.http_answer import (
    MAX_PATTERN,
    MAX_REGEX_TEXT,
    CheckFailed,
    Expected,
    Wanted,
    header,
    judge,
    unchunked,
    wanted,
)
from netappliance.config.regex import Regex

GOOD = frozenset({200, 204})
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def response(body: bytes, *lines: bytes) -> bytes:
    """One that is fine, with these lines and the body's length."""
    head = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines))
    return head + b"\r\n" + body


class JudgeTestCase(SynchronousTestCase):
    """Puts a judgement in a word."""

    def verdict(self, data: bytes, expected: Expected, *, ended: bool = False) -> str:
        """Well, more, or why not."""
        try:
            return "well" if judge(data, expected, ended=ended) else "more"
        except CheckFailed as error:
            return str(error)


class StatusTests(JudgeTestCase):
    """Of the final response."""

    def test_the_status_decides_as_soon_as_it_is_there(self) -> None:
        """Whatever comes behind it."""
        expected = Expected(GOOD)
        for data, verdict in (
            (b"HTTP/1.1 200 OK\r\n", "well"),
            (b"HTTP/1.0 204\r\n\r\nbody", "well"),
            (b"HTTP/1.1 200 ", "well"),
            (INTERIM * 2 + b"HTTP/1.1 200 OK\r\n", "well"),
            (INTERIM[:30], "more"),
            (INTERIM, "more"),
            (INTERIM + b"HTTP/1", "more"),
            *((data, "more") for data in (b"", b"H", b"HTTP/1", b"HTTP/1.1 ", b"HTTP/1.1 2", b"HTTP/1.1 200")),
            (INTERIM + b"HTTP/1.1 500 No\r\n", "the status is 500"),
            (b"HTTP/1.1 101 Switching\r\n\r\n", "the status is 101"),
            (b"HTTP/1.1 500 No\r\n", "the status is 500"),
            *(
                (data, "the answer is no HTTP/1")
                for data in (b"HTTP/2 200 \r\n", b"SSH-2.0", b"HTTP/1.1 2000 \r\n", b"HTTP/1.1 OK\r\n", b"\r\n")
            ),
        ):
            self.assertEqual(self.verdict(data, expected), verdict, data)
        self.assertEqual(self.verdict(INTERIM, Expected(frozenset({103}))), "well")

    def test_an_end_before_it_is_none(self) -> None:
        """It says so."""
        for data in (b"HTTP/1.1 2", INTERIM):
            self.assertEqual(self.verdict(data, Expected(GOOD), ended=True), "the answer is cut off")
        self.assertEqual(self.verdict(b"", Expected(GOOD), ended=True), "the connection was closed before the answer")

    def test_a_verdict_is_possible_at_the_octet_behind_the_third_digit(self) -> None:
        """Interim responses are passed over unless they are asked for."""
        expected = Expected(frozenset({200, 101}))
        for data, verdict in (
            (b"HTTP/1.1 200", "more"),
            (b"HTTP/1.1 200\r", "well"),
            (b"HTTP/1.1 200\n", "well"),
            (b"HTTP/1.0 200 ", "well"),
            (b"HTTP/1.1 101 X", "well"),
            (b"HTTP/1.1 100 X\r\n\r\n", "more"),
            (b"HTTP/1.1 100 X\r\n\r\nHTTP/1.1 102 X\r\n\r\nHTTP/1.1 200 X", "well"),
            (b"HTTP/1.1 199 X\r\n\r\nHTTP/1.1 404 X", "the status is 404"),
            (b"HTTP/1.1 600 X", "the answer is no HTTP/1"),
            (b"HTTP/1.2 200 X", "the answer is no HTTP/1"),
            (b"HTTP/1.1 2x", "the answer is no HTTP/1"),
        ):
            self.assertEqual(self.verdict(data, expected), verdict, data)


class HeaderTests(JudgeTestCase):
    """A field that must be there."""

    def test_it_is_there_whatever_its_case(self) -> None:
        """With any value, or with one that contains the text; one of several is enough."""
        for text, lines, verdict in (
            ("X-Ready", (b"x-ready:",), "well"),
            ("x-ready", (b"X-READY: no",), "well"),
            ("X-Ready", (b"X-Readyy: yes",), "there is no x-ready"),
            ("X-Ready:yes", (b"X-Ready: oh yes",), "well"),
            ("X-Ready:yes", (b"X-Ready: no", b"X-Ready: yes"), "well"),
            ("X-Ready:yes", (b"X-Ready: \tno ",), "x-ready is b'no'"),
            ("X-Ready:~%5eyes$", (b"X-Ready:  yes ",), "well"),
            ("X-Ready:~%5eyes$", (b"X-Ready: oh yes",), "x-ready is b'oh yes'"),
            ("Content-Length:2", (), "well"),
        ):
            expected = Expected(GOOD, *header(text))
            self.assertEqual(self.verdict(response(b"ok", *lines), expected), verdict, text)

    def test_the_whole_head_is_waited_for(self) -> None:
        """A line may be the first half of one."""
        expected = Expected(GOOD, *header("X-A:b"))
        head = b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n"
        self.assertEqual(self.verdict(head[:-1], expected), "more")
        self.assertEqual(self.verdict(head[:-1], expected, ended=True), "the answer is cut off")
        self.assertEqual(self.verdict(INTERIM + head, expected), "well")
        self.assertEqual(
            self.verdict(INTERIM.replace(b"Link", b"X-A") + head.replace(b": b", b":"), expected), "x-a is b''"
        )

    def test_texts(self) -> None:
        """A name, and something behind the colon when there is one."""
        self.assertEqual(header("X-A"), (b"x-a", None))
        self.assertEqual(header("X-A:b:c%20d"), (b"x-a", Wanted(b"b:c d")))
        for text in ("", ":", "X A", "X-A:", "ä", "x" * 129):
            self.assertRaises(ValueError, header, text)


class BodyTests(JudgeTestCase):
    """A text in the body."""

    def test_it_is_in_the_body(self) -> None:
        """However that is framed; known as soon as it is there."""
        expected = Expected(GOOD, body=wanted("all%20well"))
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        closing = b"HTTP/1.0 200 OK\r\n\r\n"
        for data in (
            response(b"now all well."),
            chunked + b"3;a=b\r\nall\r\n6\r\n well.\r\n",
            closing + b"all well",
        ):
            self.assertEqual(self.verdict(data, expected), "well", data)
        missing = "what is expected is not in the body, which begins with b'all ill'"
        for data, ended in (
            (response(b"all ill"), False),
            (chunked + b"7\r\nall ill\r\n0\r\n\r\n", False),
            (closing + b"all ill", True),
        ):
            self.assertEqual(self.verdict(data, expected, ended=ended), missing, data)
        self.assertEqual(self.verdict(closing + b"all ill", expected), "more")

    def test_what_is_behind_the_body_or_before_it_does_not_count(self) -> None:
        """Head, chunk sizes, and bytes that nobody asked for."""
        expected = Expected(GOOD, body=wanted("7"))
        self.assertIn("not in the body", self.verdict(response(b"xxxxxx", b"X-A: 7") + b"7", expected))
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nxxxxxxx\r\n0\r\n7: 7\r\n\r\n"
        self.assertIn("not in the body", self.verdict(chunked, expected))

    def test_a_regular_expression_sees_the_whole_text_or_its_first_2_kib(self) -> None:
        """Where it ends may decide."""
        expected = Expected(GOOD, body=wanted("~^o.k$"))
        closing = b"HTTP/1.1 200 OK\r\n\r\n"
        self.assertEqual(self.verdict(response(b"o-k"), expected), "well")
        self.assertEqual(self.verdict(closing + b"o-k", expected), "more")
        self.assertEqual(self.verdict(closing + b"o-k", expected, ended=True), "well")
        self.assertIn("not in the body", self.verdict(response(b"o-ko"), expected))
        late = Expected(GOOD, body=wanted("~ok"))
        text = b"." * (MAX_REGEX_TEXT - 2)
        self.assertEqual(self.verdict(closing + text + b"ok", late), "well")
        self.assertEqual(self.verdict(closing + text + b"o", late), "more")
        self.assertIn("not in the body", self.verdict(closing + text + b".ok", late))

    def test_texts(self) -> None:
        """Percent-encoded, bounded."""
        self.assertEqual(wanted("a%20%7e"), Wanted(b"a ~"))
        self.assertEqual(wanted("~a+"), Wanted(b"~a+", Regex(b"a+", MAX_REGEX_TEXT)))
        wanted("x" * MAX_PATTERN)
        for text in ("", "~", "x" * (MAX_PATTERN + 1), "~(", "~a{99999999999999999999}"):
            self.assertRaises(ValueError, wanted, text)


class PiecesTests(JudgeTestCase):
    """However the bytes are cut."""

    CASES = (
        Expected(GOOD),
        Expected(GOOD, *header("X-A:b")),
        Expected(GOOD, body=wanted("ok")),
        Expected(GOOD, b"x-a", None, wanted("~o+k")),
    )

    @settings(deadline=None, max_examples=200)
    @given(st.sampled_from(CASES), st.integers(0, 90), st.integers(0, 90), st.binary(max_size=40), st.booleans())
    def test_more_bytes_never_change_a_verdict(
        self, expected: Expected, cut: int, at: int, noise: bytes, chunked: bool
    ) -> None:
        """And one that has ended always gets one."""
        if chunked:
            data = b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        else:
            data = response(b"so ok it is", b"X-A: b")
        data = data[:at] + noise + data[at:]
        before, after = self.verdict(data[:cut], expected), self.verdict(data, expected)
        if before != "more":
            self.assertEqual(before.split("begins")[0], after.split("begins")[0])
        self.assertNotEqual(self.verdict(data, expected, ended=True), "more")

    def test_chunks(self) -> None:
        """As far as they have come."""
        whole = b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n"
        for cut, content in ((0, b""), (2, b""), (5, b"ab"), (8, b"abc"), (12, b"abc"), (16, b"abcde"), (18, b"abcde")):
            self.assertEqual(unchunked(whole[:cut]), (content, False, False), cut)
        self.assertEqual(unchunked(whole), (b"abcde", True, False))
        for wrong in (b"x\r\n", b"\r\n", b"3\nabc", b"123456789\r\n", b"1" * 300):
            self.assertEqual(unchunked(b"1\r\na\r\n" + wrong), (b"a", False, True), wrong)
