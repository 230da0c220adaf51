"""
What a corpus case is, and the pieces that families build their cases from (RFC 9110, RFC 9112).

A case is all that a client sends on a fresh connection. Its verdict is judged twice: by the framing code alone
(tests.http.framing.test_request_corpus) and through a running proxy in front of a recording backend and of nginx
(tests.integration.test_http_corpus).
"""

from __future__ import annotations

from typing import NamedTuple

#: verdict: nothing was refused
FORWARDED = 0
HOST = b"a.example"
#: stands where a backend that frames the message otherwise would see a second request
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"
#: of the listener that a case with ``small`` speaks to, in bytes
SMALL_BODY = 64
#: of every listener, in bytes
MAX_HEADER = 16384

#: (method, target, body)
Seen = tuple[bytes, bytes, bytes]


class Case(NamedTuple):
    """
    One connection's bytes and what must become of them.

    :ivar verdicts: statuses of refusal that are right, FORWARDED when nothing is to be refused; more than one only
        where the RFC leaves the choice. :ivar requests: what reaches the backend complete, in order (before the
        refusal, if FORWARDED is no verdict). :ivar absent: lower-case bytes that the forwarded messages do not hold.
    :ivar small: for the listener whose max_body_size is SMALL_BODY. :ivar stall: the data ends inside a message.
    """

    family: str
    name: str
    data: bytes
    verdicts: tuple[int, ...] = (400,)
    requests: tuple[Seen, ...] = ()
    absent: tuple[bytes, ...] = ()
    small: bool = False
    stall: bool = False

    @property
    def label(self) -> str:
        """Names the case in failures."""
        return f"{self.family}: {self.name}"


def head(lines: bytes = b"", method: bytes = b"GET", target: bytes = b"/t", version: bytes = b"HTTP/1.1") -> bytes:
    """Return a head with Host and these further lines."""
    return method + b" " + target + b" " + version + b"\r\nHost: a.example\r\n" + lines + b"\r\n"


def post(lines: bytes, body: bytes = b"") -> bytes:
    """Return a POST with these further lines, and body."""
    return head(lines, b"POST") + body


def got(body: bytes = b"", target: bytes = b"/t", method: bytes = b"POST") -> tuple[Seen, ...]:
    """Return what one forwarded request looks like."""
    return ((method, target, body),)


GET = got(method=b"GET")
EITHER = (FORWARDED, 400)
CODING = (400, 501)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
