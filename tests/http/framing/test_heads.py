"""Heads as they are sent: lines in their order, and which are added."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.heads import WrittenLines, interim_head, request_head, response_head
from netappliance.http.identity import ClientIdentity, IdentityRules
from netappliance.http.message import CHUNKED, UNTIL_CLOSE, Request, Response

IDENTITY = ClientIdentity(
    IdentityRules(("x-real-ip", "x-request-id"), b"", ()), ("192.0.2.7", 5), ("10.0.0.1", 80), b"1"
)


class RequestHeadTests(SynchronousTestCase):
    """What a backend gets."""

    def head(self, **values: object) -> list[bytes]:
        """The lines of a request with these attributes, the empty one taken off."""
        request = Request(b"POST", b"/t?x", 0, [b"Accept: a", b"Cookie: b"])
        request.authority = b"a.example:81"
        for name, value in values.items():
            setattr(request, name, value)
        written = request_head(request, IDENTITY, b"id-1")
        self.assertTrue(written.endswith(b"\r\n\r\n"))
        return written[:-4].split(b"\r\n")

    def test_the_lines(self) -> None:
        """Always HTTP/1.1; the client's fields, then what is said about the client."""
        lines = [b"POST /t?x HTTP/1.1", b"Host: a.example:81", b"Accept: a", b"Cookie: b"]
        lines += [b"X-Real-IP: 192.0.2.7", b"X-Request-Id: id-1"]
        self.assertEqual(self.head(), lines)
        for values, added in (
            ({"length": 7, "declared": True}, [b"Content-Length: 7"]),
            ({"length": 0, "declared": True}, [b"Content-Length: 0"]),
            ({"length": CHUNKED, "declared": True}, [b"Transfer-Encoding: chunked"]),
            ({"expect_continue": True}, [b"Expect: 100-continue"]),
            ({"upgrade": b"websocket"}, [b"Connection: Upgrade", b"Upgrade: websocket"]),
            ({"takes_trailers": True}, [b"Connection: TE", b"TE: trailers"]),
            ({"takes_trailers": True, "upgrade": b"x"}, [b"Connection: Upgrade", b"Upgrade: x"]),
            (
                {"length": 1, "declared": True, "expect_continue": True},
                [b"Content-Length: 1", b"Expect: 100-continue"],
            ),
        ):
            self.assertEqual(self.head(**values), lines + added, values)


class ResponseHeadTests(SynchronousTestCase):
    """What a client gets."""

    def head(self, minor: int = 1, status: int = 200, *, keep_alive: bool = True, **values: Any) -> list[bytes]:
        """The lines of a response with these attributes, the empty one taken off."""
        response = Response(status, b"", 0, [b"Server: x"])
        for name, value in values.items():
            setattr(response, name, value)
        written = response_head(response, minor, keep_alive=keep_alive)
        self.assertTrue(written.endswith(b"\r\n\r\n"))
        return written[:-4].split(b"\r\n")

    def test_the_status_line(self) -> None:
        """Always HTTP/1.1; the backend's phrase, or the usual one where it has none and we know it."""
        self.assertEqual(self.head(reason=b"Fine"), [b"HTTP/1.1 200 Fine", b"Server: x"])
        for status, phrase in (
            (200, b"OK"),
            (204, b"No Content"),
            (301, b"Moved Permanently"),
            (302, b"Found"),
            (304, b"Not Modified"),
            (404, b"Not Found"),
            (599, b""),
        ):
            self.assertEqual(self.head(status=status)[0], b"HTTP/1.1 %d %b" % (status, phrase))

    def test_how_the_body_ends(self) -> None:
        """Chunks for a length that is not known, but not for HTTP/1.0; a length that was said is said again."""
        cases: tuple[tuple[dict[str, Any], int, list[bytes]], ...] = (
            ({"length": 5, "declared": 5}, 1, [b"Content-Length: 5"]),
            ({"length": 0, "declared": 0}, 1, [b"Content-Length: 0"]),
            ({"length": 0, "declared": 9}, 1, [b"Content-Length: 9"]),
            ({"length": 0}, 1, []),
            ({"length": CHUNKED}, 1, [b"Transfer-Encoding: chunked"]),
            ({"length": UNTIL_CLOSE}, 1, [b"Transfer-Encoding: chunked"]),
            ({"length": CHUNKED}, 0, []),
            ({"length": UNTIL_CLOSE}, 0, []),
        )
        for values, minor, added in cases:
            lines = self.head(minor, **values)
            self.assertEqual([line for line in lines[2:] if b"keep-alive" not in line], added, (values, minor))

    def test_what_is_said_of_the_connection(self) -> None:
        """Only what the client's version does not take for granted."""
        for minor, keep_alive, added in (
            (1, True, []),
            (1, False, [b"Connection: close"]),
            (0, True, [b"Connection: keep-alive"]),
            (0, False, [b"Connection: close"]),
        ):
            self.assertEqual(self.head(minor, keep_alive=keep_alive)[2:], added)

    def test_interim_responses(self) -> None:
        """101 says what to; others nothing of it."""
        response = Response(103, b"Early Hints", 1, [b"Link: </a>"])
        response.upgrade = b"websocket"
        self.assertEqual(interim_head(response), b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        response.status = 101
        switching = b"HTTP/1.1 101 Early Hints\r\nLink: </a>\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        self.assertEqual(interim_head(response), switching)


class WrittenLinesTests(SynchronousTestCase):
    """Lines with numbers in them."""

    def test_they_are_remembered_up_to_a_limit(self) -> None:
        """1024 of each kind; every one is right before and after it was forgotten."""
        lines = WrittenLines()
        for _ in range(2):
            for number in range(1024):
                self.assertEqual(lines.content_length(number), b"Content-Length: %d" % number)
                self.assertEqual(lines.status(200, b"%d" % number), b"HTTP/1.1 200 %d" % number)
            self.assertEqual((len(lines._lengths), len(lines._statuses)), (1024, 1024))
        self.assertEqual(lines.content_length(5000), b"Content-Length: 5000")
        self.assertEqual(lines.status(404, b""), b"HTTP/1.1 404 Not Found")
        self.assertEqual((len(lines._lengths), len(lines._statuses)), (1, 1))

    def test_a_body_comes_right_behind_the_head(self) -> None:
        """Of requests and of responses."""
        request = Request(b"POST", b"/", 1, [])
        request.length, request.declared = 2, True
        self.assertTrue(request_head(request, IDENTITY, b"1", b"ab").endswith(b"\r\nContent-Length: 2\r\n\r\nab"))
        response = Response(200, b"OK", 1, [])
        response.length = response.declared = 2
        head = response_head(response, 1, keep_alive=True, body=b"ab")
        self.assertEqual(head, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
