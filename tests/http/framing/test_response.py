"""What a response's head says once it was judged, where its limits lie, and what it is refused for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.response import ResponseFraming
from netappliance.http.message import CHUNKED, UNTIL_CLOSE, Refusal, Response

FRAMING = ResponseFraming()
OK = b"HTTP/1.1 200 OK\r\n"


def judged(
    data: bytes, method: bytes = b"GET", framing: ResponseFraming = FRAMING, start: int = 0
) -> Response | Refusal:
    """Return the verdict on a whole head."""
    found = framing.parse(data, method, start)
    assert found is not None, data
    return found[0]


class ResponseTests(SynchronousTestCase):
    """One head each."""

    def response(self, lines: bytes = b"", line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> Response:
        """Return the response, which is to be good, alone and between other bytes."""
        data = line + b"\r\n" + lines + b"\r\n"
        found = FRAMING.parse(b"..." + data + b"body", method, 3)
        assert found is not None
        self.assertEqual(found[1], 3 + len(data))
        response = judged(data, method)
        assert isinstance(response, Response), (data, response)
        return response

    def refused(self, lines: bytes, why: str, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> None:
        """Check what a head is refused for, whole and as it comes octet by octet: always the backend's fault."""
        data = line + b"\r\n" + lines + b"\r\n"
        self.assertEqual(judged(data, method), Refusal(502, why), data)
        self.assertEqual(judged(b"..." + data + b"HTTP", method, start=3), Refusal(502, why), data)
        found = next(filter(None, (FRAMING.parse(data[:end], method) for end in range(len(data) + 1))))
        self.assertEqual(found[0], Refusal(502, why), data)

    def test_the_status_line(self) -> None:
        """Version, status and phrase, the first and the second time."""
        for line, wanted in (
            (b"HTTP/1.1 200 OK", (1, 200, b"OK")),
            (b"HTTP/1.0 404 Not  Found\t", (0, 404, b"Not  Found\t")),
            (b"HTTP/1.1 100", (1, 100, b"")),
            (b"HTTP/1.1 599 ", (1, 599, b"")),
            (b"HTTP/1.1 600 X", (1, 600, b"X")),
            (b"HTTP/1.1 999 Request denied", (1, 999, b"Request denied")),
            (b"HTTP/1.1 299 " + b"x" * 60, (1, 299, b"x" * 60)),
        ):
            for _ in range(2):
                response = self.response(line=line)
                self.assertEqual((response.minor, response.status, response.reason), wanted)
        for line in (
            b"HTTP/1.1 099 X",
            b"HTTP/1.1 20 X",
            b"HTTP/1.1 1000 X",
            b"HTTP/1.2 200 X",
            b"HTTP/1.1  200 X",
            b"",
        ):
            self.refused(b"", "malformed status line", line)
            self.refused(b"X: 1\r\n", "malformed status line", line)

    def test_status_lines_of_a_backend_are_remembered_up_to_a_limit(self) -> None:
        """What a backend chooses does not grow for ever; each is read right."""
        framing = ResponseFraming()
        for length, kept in ((64, 1), (65, 1)):
            judged(b"HTTP/1.1 200 ".ljust(length, b"x") + b"\r\n\r\n", framing=framing)
            self.assertEqual(len(framing._status_lines), kept)
        for number in range(3000):
            response = judged(b"HTTP/1.1 200 %d\r\n\r\n" % number, framing=framing)
            assert isinstance(response, Response)
            self.assertEqual(response.reason, b"%d" % number)
        self.assertEqual(len(framing._status_lines), 1024)

    def test_where_the_body_ends(self) -> None:
        """By length, chunks, status and the request's method (RFC 9112 section 6.3)."""
        five, chunks, zero = b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length:\t0 \r\n"
        for method, status, lines, length, declared, keep_alive in (
            (b"GET", 200, five, 5, 5, True),
            (b"GET", 200, zero, 0, 0, True),
            (b"GET", 200, five + b"content-length: 5\r\n", 5, 5, True),
            (b"GET", 200, b"Content-Length: 5, 5\r\n", 5, 5, True),
            (b"GET", 200, chunks, CHUNKED, -1, True),
            (b"GET", 200, b"", UNTIL_CLOSE, -1, False),
            (b"GET", 200, b"Keep-Alive:5\r\n", UNTIL_CLOSE, -1, False),
            (b"GET", 200, b"Connection: 5\r\n", UNTIL_CLOSE, -1, False),
            (b"POST", 500, b"Connection: keep-alive\r\n", UNTIL_CLOSE, -1, False),
            (b"HEAD", 200, five, 0, 5, True),
            (b"HEAD", 200, zero, 0, 0, True),
            (b"HEAD", 200, chunks, 0, -1, True),
            (b"HEAD", 200, b"", 0, -1, True),
            (b"GET", 304, five, 0, 5, True),
            (b"GET", 304, chunks, 0, -1, True),
            (b"GET", 304, b"", 0, -1, True),
            (b"GET", 303, b"", UNTIL_CLOSE, -1, False),
            (b"GET", 305, five, 5, 5, True),
            (b"GET", 204, b"", 0, -1, True),
            (b"GET", 204, zero, 0, -1, True),
            (b"HEAD", 204, zero, 0, -1, True),
            (b"GET", 203, b"", UNTIL_CLOSE, -1, False),
            (b"GET", 205, zero, 0, 0, True),
            (b"GET", 100, b"", 0, -1, True),
            (b"GET", 199, zero, 0, -1, True),
            (b"GET", 101, b"", 0, -1, True),
        ):
            response = self.response(lines, b"HTTP/1.1 %d X" % status, method)
            found = (response.length, response.declared, response.keep_alive, response.lines)
            self.assertEqual(found, (length, declared, keep_alive, []), (method, status, lines))

    def test_framing_that_cannot_be_believed(self) -> None:
        """Whatever the status; a body where there may be none would be taken for the next response."""
        for lines in (
            *(b"Content-Length: x\r\n", b"Content-Length:\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
            b"Content-Length: 0\r\nContent-Length: 5\r\n",
            b"Content-Length: x\r\nContent-Length: 5\r\n",
            b"Content-Length: 5\r\nContent-Length: x\r\n",
            b"Content-Length:\r\nContent-Length: 5\r\nConnection: keep-alive\r\n",
            b"Content-Length: +5\r\nConnection: keep-alive\r\nContent-Length: 5\r\n",
            b"Content-Length: -1\r\nContent-Length: 5\r\n",
            *(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n"),
            *(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding:\r\n"),
        ):
            for method, status in ((b"GET", 200), (b"HEAD", 200), (b"GET", 304), (b"GET", 204), (b"GET", 100)):
                self.refused(lines, "malformed framing", b"HTTP/1.1 %d X" % status, method)
        self.refused(b"Transfer-Encoding: chunked\r\n", "malformed framing", b"HTTP/1.0 200 OK")
        self.refused(b"Content-Length: 5\r\nTransfer-Encoding: keep-alive\r\n", "malformed framing")
        for status in (100, 101, 199, 204):
            for lines in (b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"):
                for method in (b"GET", b"HEAD"):
                    self.refused(lines, "malformed framing", b"HTTP/1.1 %d X" % status, method)

    def test_whether_the_connection_can_be_used_again(self) -> None:
        """By version and by Connection; close wins."""
        for lines, in_1_1, in_1_0 in (
            (b"", True, False),
            (b"Connection: keep-alive\r\n", True, True),
            (b"Connection: KEEP-alive\r\n", True, True),
            (b"Connection:\tclose \r\n", False, False),
            (b"Connection: x , Close\t\r\n", False, False),
            (b"Connection: close\r\nConnection: keep-alive\r\n", False, False),
            (b"Connection: keep-alive\r\nConnection: close\r\n", False, False),
            (b"Connection: closed\r\n", True, False),
            (b"Connection: ,,\r\n", True, False),
            (b"Connection:\r\n", True, False),
        ):
            for version, wanted in ((b"1.1", in_1_1), (b"1.0", in_1_0)):
                response = self.response(b"Content-Length: 1\r\n" + lines, b"HTTP/" + version + b" 200 OK")
                self.assertEqual((response.keep_alive, response.lines, response.length), (wanted, [], 1), lines)

    def test_fields_that_pass_and_those_that_do_not(self) -> None:
        """Hop-by-hop fields end here, with what Connection names."""
        kept = [b"Server: x", b"set-cookie: a=b", b"X-Forwarded-For: 1", b"Date:  \tx  ", b"X_Y:", b"Content-Typ: 1"]
        gone = b"Keep-Alive: 1\r\nProxy-Connection: x\r\nTE: x\r\nUpgrade: h2\r\nKeep_Alive: 1\r\nContent_Length: 9\r\n"
        named = b"Connection: X-One,\tx-TWO , upgrade, close, keep-alive\r\nx-one: 1\r\nX-Two: 2\r\n"
        response = self.response(gone + b"\r\n".join([*kept, named]) + b"Content-Length: 1\r\n")
        self.assertEqual((response.lines, response.length), (kept, 1))
        words = self.response(b"Connection: close, upgrade, keep-alive\r\nClose: 1\r\nContent-Length: 1\r\n")
        self.assertEqual(words.lines, [b"Close: 1"])
        for name in (b"Host", b"Content-Length", b"transfer-encoding", b"Upgrade" + b"d x", b"cookie", b"a;b"):
            self.refused(b"Connection: close, " + name + b"\r\n", "malformed field line")
        for line in (b"no colon", b": x", b"a b: x", b"\xe4: x", b" folded", b"x" * 257 + b":", b"Date"):
            self.refused(b"Date: 1\r\n" + line + b"\r\n", "malformed field line")

    def test_the_upgrade_is_told_where_connection_names_it(self) -> None:
        """For the exchange to compare with what was asked for."""
        for lines, wanted in (
            (b"Connection: Upgrade\r\nUpgrade:\twebsocket \r\n", b"websocket"),
            (b"Upgrade: websocket\r\nConnection: x, UPGRADE\r\n", b"websocket"),
            (b"Upgrade: websocket\r\n", b""),
            (b"Connection: close\r\nUpgrade: websocket\r\n", b""),
            (b"Connection: upgrade\r\n", b""),
        ):
            self.assertEqual(self.response(lines, b"HTTP/1.1 101 X").upgrade, wanted)

    def test_octets_that_no_head_may_hold(self) -> None:
        """Wherever they stand."""
        for octet in (*range(9), 11, 12, *range(14, 32), 127):
            bad = b"%c" % octet
            self.refused(b"X: a" + bad + b"\r\n", "invalid octet or line end")
            self.refused(bad + b"\r\n", "invalid octet or line end")
            self.refused(b"", "invalid octet or line end", b"HTTP/1.1 200 O" + bad + b"K")
        for lines in (b"X: a\n", b"X: a\r", b"\rX: a\r\n", b"X: a\n\r\n", b"\n", b"X: a\rb\r\n"):
            self.refused(lines, "invalid octet or line end")
        self.refused(b"", "invalid octet or line end", b"HTTP/1.1 2000 X\rY")
        self.refused(b"X: \0\r\n", "malformed status line", b"HTTP/1.1 2000 X")

    def test_what_is_no_response_is_known_by_its_first_octets(self) -> None:
        """Nobody waits for the end of a line that cannot be right."""
        for begun in (b"", b"H", b"HTTP/1.", b"HTTP/1.1 2"):
            self.assertIsNone(FRAMING.parse(begun, b"GET"))
        for begun in (b"S", b"HTTP/2", b"HTTP/1,", b"\r\n", b"HTTP/1x", b"HTTP/1.1 2000 X\r\n"):
            self.assertEqual(judged(begun), Refusal(502, "malformed status line"), begun)
        self.assertIsNone(FRAMING.parse(b"HTTP/1.1 2000 X\r", b"GET"))

    def test_limits_of_the_head(self) -> None:
        """Exactly so many octets with the empty line, and field lines, are good; one more is not."""
        framing = ResponseFraming(max_head=100, max_fields=3)
        large = Refusal(502, "header block too large")
        head = OK + b"X: "
        full = head + b"x" * (96 - len(head)) + b"\r\n\r\n"
        self.assertEqual(len(full), 100)
        for start in (0, 1):
            before = b"." * start
            self.assertIsInstance(judged(before + full, framing=framing, start=start), Response)
            self.assertIsInstance(judged(before + full + b"body", framing=framing, start=start), Response)
            more = before + full.replace(b"X: ", b"X: x")
            for data in (more, more + b"body", more[: start + 100]):
                self.assertEqual(judged(data, framing=framing, start=start), large)
            self.assertIsNone(framing.parse(more[: start + 99], b"GET", start))
        self.assertIsInstance(judged(OK + b"X: 1\r\n" * 3 + b"\r\n", framing=framing), Response)
        self.assertEqual(judged(OK + b"X: 1\r\n" * 4 + b"\r\n", framing=framing), large)

    def test_defaults(self) -> None:
        """64 KiB of head, 256 fields, and never more than 1024."""
        head = OK + b"X: "
        full = head + b"x" * (65532 - len(head)) + b"\r\n\r\n"
        self.assertIsInstance(judged(full), Response)
        self.assertEqual(judged(full.replace(b"X: ", b"X: x")), Refusal(502, "header block too large"))
        for framing, limit in (
            (FRAMING, 256),
            (ResponseFraming(max_fields=1023), 1023),
            (ResponseFraming(max_fields=5000), 1024),
        ):
            self.assertIsInstance(judged(OK + b"X: 1\r\n" * limit + b"\r\n", framing=framing), Response)
            self.assertIsInstance(judged(OK + b"X: 1\r\n" * (limit + 1) + b"\r\n", framing=framing), Refusal)
