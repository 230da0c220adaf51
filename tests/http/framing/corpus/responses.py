"""Answers of backends, good and bad: what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

#: verdicts: passed on whole; refused (502, or cut off once the head was passed on); the backend's EOF came too early
PASSED, REFUSED, CUT = "passed", "refused", "cut"

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SECOND = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"


class BackendAnswer(NamedTuple):
    """
    All that a backend sends for one request before it closes.

    :ivar verdict: PASSED, REFUSED or CUT. :ivar status: what the client gets when it is passed on, with this ``body``.
    :ivar method: of the request. :ivar interim: statuses that the client gets before, in order.
    """

    family: str
    name: str
    data: bytes
    verdict: str = REFUSED
    status: int = 200
    body: bytes = b""
    method: bytes = b"GET"
    interim: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Names the answer in failures."""
        return f"{self.family}: {self.name}"


def passed(family: str, name: str, data: bytes, body: bytes = b"hello", status: int = 200) -> BackendAnswer:
    """Return an answer that reaches the client."""
    return BackendAnswer(family, name, data, PASSED, status, body)


def status_lines() -> Iterator[BackendAnswer]:
    """Everything but ``HTTP/1.x ddd phrase`` is refused."""
    for line in (
        *(
            b"",
            b"garbage",
            b"HTTP/1.1",
            b"HTTP/1.1 ",
            b"HTTP/1.1 OK",
            b"HTTP/1.1 2",
            b"HTTP/1.1 20",
            b"HTTP/1.1 2000 OK",
        ),
        *(
            b"HTTP/1.1 099 x",
            b"HTTP/1.1 000 x",
            b"HTTP/1.1 -200 OK",
            b"HTTP/1.1 +20 OK",
        ),
        *(
            b"HTTP/1.1 2 0 OK",
            b"HTTP/1.1 20x OK",
            b"HTTP/1.1  200 OK",
            b"HTTP/1.1\t200 OK",
            b" HTTP/1.1 200 OK",
            b"200 OK",
        ),
        *(
            b"HTTP/2.0 200 OK",
            b"HTTP/2 200 OK",
            b"HTTP/0.9 200 OK",
            b"HTTP/1.2 200 OK",
            b"http/1.1 200 OK",
            b"HTTP/1.10 200 OK",
        ),
        *(
            b"HTTP/1.1 200 O\x00K",
            b"HTTP/1.1 200 O\rK",
            b"HTTP/1.1 200 O\x1bK",
            b"HTTP/1.1 \xb2\xb0\xb0 OK",
            b"HTTP/ 1.1 200 OK",
        ),
        *(
            b"ICY 200 OK",
            b"SSH-2.0-OpenSSH_9.2",
            b"220 mail.example ESMTP",
            b"\x16\x03\x01\x02\x00",
            b"HTTP/1.1 0x200 OK",
            b"HTTPS/1.1 200 OK",
        ),
        *(
            b"HTTP/1.1 2.0 OK",
            b"HTTP/1.1 200\x0bOK",
            b"HTTP/1.1\x00200 OK",
            b"<html><body>hello</body></html>",
            b'{"status": 200}',
        ),
    ):
        yield BackendAnswer("status_line", f"{line!r}", line + b"\r\n" + LENGTH + b"\r\nhello")
    for line in (
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 Very  Fine\tIndeed",
        b"HTTP/1.1 200 D\xe9j\xe0 vu",
    ):
        yield passed("status_line", f"good {line!r}", line + b"\r\n" + LENGTH + b"\r\nhello")
    for status in (200, 201, 206, 299, 300, 301, 399, 400, 404, 418, 451, 499, 500, 503, 599, 600, 999):
        yield passed("status_line", f"{status}", b"HTTP/1.1 %d X\r\n" % status + LENGTH + b"\r\nhello", status=status)
    yield BackendAnswer("status_line", "nothing", b"")
    yield BackendAnswer("status_line", "half a status line", b"HTTP/1.1 20")
    yield BackendAnswer("status_line", "half a head", OK + b"Content-Le")
    yield BackendAnswer("status_line", "bytes before it", b"\r\n\r\n\r\n" + OK + LENGTH + b"\r\nhello")


def response_fields() -> Iterator[BackendAnswer]:
    """Field lines are judged as in requests."""
    for lines in (
        *(
            b"no colon\r\n",
            b": x\r\n",
            b"X : 1\r\n",
            b" X: 1\r\n",
            b"X: 1\r\n folded\r\n",
            b"X: 1\n",
            b"X: a\rb\r\n",
            b"X: \x00\r\n",
        ),
        *(
            b"X\x00: 1\r\n",
            b"X: \x1b[2J\r\n",
            b"X: \x7f\r\n",
            b"X Y: 1\r\n",
            b"X: 1\r\r\n",
            b"(X): 1\r\n",
            b"X\xe9: 1\r\n",
            b"X\r\n: 1\r\n",
        ),
        *(b"Set-Cookie: a=b\x00\r\n", b"Location: /\r\x0b\r\n", b"X: a\nSet-Cookie: evil=1\r\n"),
    ):
        yield BackendAnswer("field", f"{lines!r}", OK + lines + LENGTH + b"\r\nhello")
    for lines in (
        b"X:\r\n",
        b"X: caf\xe9\r\n",
        b"X: a\tb\r\n",
        b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n",
        b"X_Y: 1\r\n",
    ):
        yield passed("field", f"good {lines!r}", OK + lines + LENGTH + b"\r\nhello")
    yield BackendAnswer("field", "256 KiB", OK + b"X: " + b"a" * 262144 + b"\r\n" + LENGTH + b"\r\nhello")
    yield BackendAnswer("field", "20 000 of them", OK + b"X: 1\r\n" * 20000 + LENGTH + b"\r\nhello")
    yield passed("field", "8 KiB cookie", OK + b"Set-Cookie: a=" + b"b" * 8000 + b"\r\n" + LENGTH + b"\r\nhello")
    for named in (b"Content-Length", b"Transfer-Encoding", b"Host", b"a b"):
        data = OK + b"Connection: " + named + b"\r\n" + LENGTH + b"\r\nhello"
        yield BackendAnswer("field", f"Connection names {named!r}", data)


def response_lengths() -> Iterator[BackendAnswer]:
    """Content-Length and Transfer-Encoding that differ are the backend's fault."""
    for lines in (
        *(
            LENGTH + CHUNKED,
            CHUNKED + LENGTH,
            LENGTH + b"Content-Length: 6\r\n",
            b"Content-Length: 5, 6\r\n",
            b"Content-Length: +5\r\n",
        ),
        *(
            b"Content-Length: -5\r\n",
            b"Content-Length: 0x5\r\n",
            b"Content-Length:\r\n",
            b"Content-Length: 5x\r\n",
            b"Content-Length: 5 5\r\n",
        ),
        *(
            b"Content-Length: 18446744073709551621\r\n",
            b"Content-Length: " + b"9" * 400 + b"\r\n",
            b"Content-Length: \xd9\xa5\r\n",
        ),
        *(
            b"Transfer-Encoding: xchunked\r\n",
            b"Transfer-Encoding: chunked, identity\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Transfer-Encoding:\r\n",
        ),
        *(
            b"Transfer-Encoding: gzip, chunked\r\n",
            CHUNKED + CHUNKED,
            b"Transfer-Encoding: chunked\x0b\r\n",
            b"Transfer-Encoding : chunked\r\n",
        ),
        *(
            b"Transfer-Encoding: identity\r\n" + LENGTH,
            b"Content-Length : 5\r\n",
            b" Content-Length: 5\r\n",
            b"Content-Length: 5\r\n 6\r\n",
        ),
    ):
        body = HELLO if b"hunked" in lines else b"hello"
        yield BackendAnswer("length", f"{lines[:60]!r}", OK + lines + b"\r\n" + body)
    yield passed("length", "five", OK + LENGTH + b"\r\nhello")
    yield passed("length", "zero", OK + b"Content-Length: 0\r\n\r\n", b"")
    yield passed("length", "twice the same", OK + LENGTH + LENGTH + b"\r\nhello")
    yield passed("length", "none: until close", OK + b"\r\nhello")
    yield passed("length", "none, with keep-alive", OK + b"Connection: keep-alive\r\n\r\nhello")
    yield passed("length", "none and nothing", OK + b"\r\n", b"")
    yield passed("length", "looks like another response", OK + b"\r\n" + SECOND, SECOND)
    yield passed("length", "1.0 until close", b"HTTP/1.0 200 OK\r\n\r\nhello")
    yield passed("length", "1.0 with length", b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\nhello")
    yield passed("length", "1.0 kept alive", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + LENGTH + b"\r\nhello")
    yield BackendAnswer("length", "1.0 in chunks", b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n" + HELLO)
    yield BackendAnswer("length", "too few bytes", OK + b"Content-Length: 10\r\n\r\nhello", CUT)
    yield BackendAnswer("length", "no bytes", OK + LENGTH + b"\r\n", CUT)


def response_chunks() -> Iterator[BackendAnswer]:
    """Chunks are judged as in requests; the head is on its way by then, so the client is cut off."""
    for body in (
        *(
            b"x\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
        ),
        *(
            b"5\nhello\n0\n\n",
            b"5\r\nhello world\r\n0\r\n\r\n",
            b"5\r\nhell\r\n0\r\n\r\n",
            b"ffffffffffffffffff\r\nhello",
            b"5;\x00\r\nhello\r\n0\r\n\r\n",
        ),
        *(
            b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
            b"5\r\nhello\r\n0\r\n X: 1\r\n\r\n",
            b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
            b"hello",
        ),
        *(
            b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
            b"5;" + b"a" * 9000 + b"\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n\r\n0\r\n\r\n",
        ),
    ):
        yield BackendAnswer("chunk", f"{body[:30]!r} of {len(body)}", OK + CHUNKED + b"\r\n" + body)
    for body in (
        b"",
        b"5",
        b"5\r\n",
        b"5\r\nhel",
        b"5\r\nhello",
        b"5\r\nhello\r\n",
        b"5\r\nhello\r\n0",
        b"5\r\nhello\r\n0\r\n",
        b"5\r\nhello\r\n0\r\nX: 1\r\n",
    ):
        yield BackendAnswer("chunk", f"cut after {body!r}", OK + CHUNKED + b"\r\n" + body, CUT)
    for body, text in (
        *(
            (HELLO, b"hello"),
            (b"0\r\n\r\n", b""),
            (b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", b"hello"),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        ),
        *(
            (b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", b"hello"),
            (b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello"),
            (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
        ),
    ):
        yield passed("chunk", f"good {body!r}", OK + CHUNKED + b"\r\n" + body, text)


def bodiless() -> Iterator[BackendAnswer]:
    """HEAD, 1xx, 204 and 304 end with their head, whatever it says."""
    for name, lines in (("length", b"Content-Length: 500\r\n"), ("chunked", CHUNKED), ("nothing", b"")):
        yield BackendAnswer("bodiless", f"HEAD with {name}", OK + lines + b"\r\n", PASSED, method=b"HEAD")
        yield BackendAnswer(
            "bodiless", f"304 with {name}", b"HTTP/1.1 304 Not Modified\r\n" + lines + b"\r\n", PASSED, 304
        )
    yield BackendAnswer(
        "bodiless", "HEAD with 404", b"HTTP/1.1 404 X\r\nContent-Length: 9\r\n\r\n", PASSED, 404, method=b"HEAD"
    )
    yield BackendAnswer("bodiless", "204", b"HTTP/1.1 204 No Content\r\n\r\n", PASSED, 204)
    yield BackendAnswer(
        "bodiless", "204 with length 0", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", PASSED, 204
    )
    yield BackendAnswer("bodiless", "204 with length 5", b"HTTP/1.1 204 No Content\r\n" + LENGTH + b"\r\nhello")
    yield BackendAnswer("bodiless", "204 in chunks", b"HTTP/1.1 204 No Content\r\n" + CHUNKED + b"\r\n" + HELLO)
    yield BackendAnswer("bodiless", "HEAD with malformed length", OK + b"Content-Length: x\r\n\r\n", method=b"HEAD")
    # bytes that nobody asked for: the answer passes, its connection is not used again
    yield BackendAnswer("unasked", "body after HEAD", OK + LENGTH + b"\r\nhello", PASSED, method=b"HEAD")
    yield BackendAnswer("unasked", "body after 204", b"HTTP/1.1 204 No Content\r\n\r\nhello", PASSED, 204)
    yield BackendAnswer(
        "unasked", "body after 304", b"HTTP/1.1 304 Not Modified\r\n" + LENGTH + b"\r\nhello", PASSED, 304
    )
    yield passed("unasked", "a second response", OK + LENGTH + b"\r\nhello" + SECOND)
    yield passed("unasked", "a second response in chunks", OK + CHUNKED + b"\r\n" + HELLO + SECOND)
    yield passed("unasked", "garbage", OK + LENGTH + b"\r\nhelloworld")


def interim() -> Iterator[BackendAnswer]:
    """100 and 103 pass, 101 only when asked for; too many are too many."""
    final = OK + LENGTH + b"\r\nhello"
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    yield BackendAnswer("interim", "103", hint + final, PASSED, 200, b"hello", interim=(103,))
    yield BackendAnswer("interim", "two 103", hint + hint + final, PASSED, 200, b"hello", interim=(103, 103))
    yield BackendAnswer("interim", "199", b"HTTP/1.1 199 X\r\n\r\n" + final, PASSED, 200, b"hello", interim=(199,))
    yield BackendAnswer("interim", "102", b"HTTP/1.1 102 X\r\n\r\n" + final, PASSED, 200, b"hello", interim=(102,))
    yield BackendAnswer("interim", "100 unasked", go_on + final, PASSED, 200, b"hello", interim=(100,))
    yield BackendAnswer(
        "interim", "101 unasked", b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + SECOND
    )
    yield BackendAnswer("interim", "101 unasked, bare", b"HTTP/1.1 101 X\r\n\r\n")
    yield BackendAnswer("interim", "nothing after 103", hint)
    yield BackendAnswer("interim", "garbage after 103", hint + b"garbage\r\n\r\n")
    yield BackendAnswer("interim", "103 with a length", b"HTTP/1.1 103 X\r\n" + LENGTH + b"\r\nhello" + final)
    yield BackendAnswer("interim", "103 in chunks", b"HTTP/1.1 103 X\r\n" + CHUNKED + b"\r\n" + HELLO + final)
    yield BackendAnswer("interim", "10 000 of 103", hint * 10000 + final)
    yield BackendAnswer("interim", "10 000 of 100", go_on * 10000 + final)


ANSWERS: list[BackendAnswer] = [
    answer
    for family in (status_lines, response_fields, response_lengths, response_chunks, bodiless, interim)
    for answer in family()
]
