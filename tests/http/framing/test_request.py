"""What a request's head says once it was judged, where its limits lie, and what it is refused for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.request import BAD_REQUEST_LINE, RequestFraming
from netappliance.http.message import CHUNKED, Refusal, Request
from tests.attributes import attribute_names

FRAMING = RequestFraming()
HOST = b"Host: a.example\r\n"


def judged(data: bytes, framing: RequestFraming = FRAMING, start: int = 0) -> Request | Refusal:
    """Return the verdict on a whole head."""
    found = framing.parse(data, start)
    assert found is not None, data
    return found[0]


class RequestTests(SynchronousTestCase):
    """One head each."""

    def request(
        self, lines: bytes = HOST, line: bytes = b"GET /t HTTP/1.1", framing: RequestFraming = FRAMING
    ) -> Request:
        """Return the request, which is to be good, alone and with another one's bytes behind it."""
        data = line + b"\r\n" + lines + b"\r\n"
        request = judged(data, framing)
        assert isinstance(request, Request), (data, request)
        found = framing.parse(b"..." + data + b"GET", 3)
        assert found is not None
        self.assertEqual(found[1], 3 + len(data))
        for slot in attribute_names(Request):
            self.assertEqual(getattr(found[0], slot), getattr(request, slot), data)
        return request

    def refused(self, lines: bytes, why: str, status: int = 400, line: bytes = b"GET /t HTTP/1.1") -> None:
        """Check what a head is refused for, alone, with bytes behind it, and as they come one by one."""
        data = line + b"\r\n" + lines + b"\r\n"
        self.assertEqual(judged(data), Refusal(status, why), data)
        self.assertEqual(judged(b"..." + data + b"GET", start=3), Refusal(status, why), data)
        found = next(filter(None, (FRAMING.parse(data[:end]) for end in range(len(data) + 1))))
        self.assertEqual(found[0], Refusal(status, why), data)


class RequestLineTests(RequestTests):
    """What stands in its place."""

    def test_a_field_line_that_is_known_is_no_request_line(self) -> None:
        """Alone, or before a line that would be one."""
        framing = RequestFraming()
        self.request(HOST + b"Accept: b\r\n", framing=framing)
        for head in (b"Accept: b\r\n\r\n", b"Accept: b\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n"):
            found = framing.parse(head)
            assert found is not None
            self.assertEqual(found[0], BAD_REQUEST_LINE, head)


class FieldTests(RequestTests):
    """What becomes of field lines."""

    def test_hop_by_hop_fields_do_not_pass(self) -> None:
        """However they are written; everything else does, as it was sent."""
        for name in (b"Keep-Alive", b"proxy-connection", b"TE", b"Proxy", b"HTTP2-Settings", b"proXY"):
            self.assertEqual(self.request(HOST + name + b": x\r\nAccept: b\r\n").lines, [b"Accept: b"], name)
        passing = [b"X-Proxy: 1", b"Teapot: 2", b"proxy-authorization: 3", b"x_y:4", b"Cookie: a=b", b"Range:  \tx  "]
        self.assertEqual(self.request(HOST + b"\r\n".join([*passing, b""])).lines, passing)

    def test_names_that_differ_from_special_ones_by_underscores_are_dropped(self) -> None:
        """A CGI program would take X_Forwarded_For for X-Forwarded-For."""
        for name in (
            *(b"Content_Length", b"TRANSFER_ENCODING", b"keep_alive", b"http2_settings", b"X_Real_IP", b"x-real_ip"),
            *(b"X_Request_Id", b"x_forwarded_for", b"X-Forwarded_Anything", b"X_Forwarded-Proto", b"Proxy_Connection"),
        ):
            request = self.request(HOST + name + b": 3\r\n")
            self.assertEqual((request.lines, request.identity, request.length), ([], None, 0), name)
        for line in (b"X_Forwarded: 1", b"X-Forwarded: 1", b"X_Other: 1", b"XForwarded_For: 1", b"x-y_: 1"):
            request = self.request(HOST + line + b"\r\n")
            self.assertEqual((request.lines, request.identity), ([line], None))

    def test_fields_that_only_trusted_proxies_may_set_are_put_aside(self) -> None:
        """With lower-case names, in order, white space around the value taken off."""
        names = (b"Forwarded", b"X-Real-IP", b"X-Request-ID", b"X-Forwarded-For", b"x-forwarded-", b"X-FORWARDED-X")
        lines = b"".join(name + b":\t 1 \t\r\n" for name in names)
        request = self.request(HOST + lines + b"X-Forwarded-For: 2\r\n")
        self.assertEqual(request.lines, [])
        self.assertEqual(request.identity, [*((name.lower(), b"1") for name in names), (b"x-forwarded-for", b"2")])

    def test_further_identity_fields_can_be_named(self) -> None:
        """With their underscored twins; by default they are fields like others."""
        framing = RequestFraming(identity=(b"x-user-name",))
        lines = HOST + b"X-User-Name: ann\r\nX_User_Name: bob\r\n"
        request = self.request(lines, framing=framing)
        self.assertEqual((request.lines, request.identity), ([], [(b"x-user-name", b"ann")]))
        plain = self.request(lines)
        self.assertEqual((plain.lines, plain.identity), ([b"X-User-Name: ann", b"X_User_Name: bob"], None))

    def test_credentials_that_bind_a_connection_are_noticed(self) -> None:
        """NTLM and Negotiate; the field passes all the same."""
        for value, binds in (
            (b"NTLM TlRM", True),
            (b" Negotiate YII", True),
            (b"\tnegotiate\t", True),
            (b"ntlm", True),
            (b"ntl", False),
            (b"Negotiat", False),
            (b"Basic ntlm", False),
            (b"Bearer x", False),
            (b"", False),
        ):
            request = self.request(HOST + b"Authorization:" + value + b"\r\n")
            self.assertEqual((request.binds, request.lines), (binds, [b"Authorization:" + value]), value)
        for lines in (
            b"Authorization: NTLM x\r\nAuthorization: Basic y\r\n",
            b"authorization: x\r\nAuthorization: ntlm\r\n",
        ):
            self.assertTrue(self.request(HOST + lines).binds)

    def test_a_name_is_a_token_of_at_most_256_octets(self) -> None:
        """Every other octet ends it, in the middle and at its ends."""
        longest = b"x" * 256
        self.assertEqual(self.request(HOST + longest + b": 1\r\n").lines, [longest + b": 1"])
        self.refused(HOST + longest + b"x: 1\r\n", "malformed field line")
        every = b"!#$%&'*+-.^_`|~09azAZ"
        self.assertEqual(self.request(HOST + every + b":\r\n").lines, [every + b":"])
        for octet in b' "(),/;<=>?@[\\]{}\t\x80\xff':
            for name in (b"%cx", b"x%c", b"x%cy"):
                self.refused(HOST + name % octet + b": 1\r\n", "malformed field line")
        for line in (b": 1", b"nocolon", b":", b" X: folded"):
            self.refused(HOST + line + b"\r\nX: 1\r\n", "malformed field line")

    def test_a_special_name_without_colon_is_no_field(self) -> None:
        """Names are remembered, lines without a colon are refused all the same."""
        for name in (b"Accept", b"Keep-Alive", b"Content-Length", b"X-Forwarded-For"):
            self.request(HOST + name + b": 0\r\n")
            self.refused(HOST + name + b"\r\n", "malformed field line")

    def test_names_of_all_clients_are_remembered_up_to_a_limit(self) -> None:
        """What peers choose does not grow for ever, and is judged right before and after it was forgotten."""
        framing = RequestFraming()
        for number in range(5000):
            request = self.request(HOST + b"X-%d: 1\r\nKeep_Alive: 1\r\n" % number, framing=framing)
            self.assertEqual(request.lines, [b"X-%d: 1" % number])


class ConnectionTests(RequestTests):
    """Connection, Upgrade, Expect."""

    def test_who_goes_on_after_the_request(self) -> None:
        """By version and by Connection; close wins."""
        for lines, in_1_1, in_1_0 in (
            (b"", True, False),
            (b"Connection: keep-alive\r\n", True, True),
            (b"Connection: Keep-Alive\r\n", True, True),
            (b"Connection:\tclose \r\n", False, False),
            (b"connection: x, CLOSE\t,\r\n", False, False),
            (b"Connection: keep-alive, close\r\n", False, False),
            (b"Connection: close\r\nConnection: keep-alive\r\n", False, False),
            (b"Connection: keep-alive\r\nConnection: close\r\n", False, False),
            (b"Connection: closed\r\n", True, False),
            (b"Connection: ,,\r\n", True, False),
            (b"Connection:\r\n", True, False),
        ):
            for version, wanted in ((b"1.1", in_1_1), (b"1.0", in_1_0)):
                request = self.request(HOST + lines, b"GET /t HTTP/" + version)
                self.assertEqual((request.keep_alive, request.lines), (wanted, []), lines)

    def test_named_fields_are_taken_out(self) -> None:
        """In any case, wherever they stand; other lines stay in order."""
        lines = (
            HOST
            + b"X-One: 1\r\nConnection: close,\tx-ONE , x-three\r\nX-Two: 2\r\nx-one: 3\r\nX-Three:4\r\nX-On: 5\r\n"
        )
        request = self.request(lines)
        self.assertEqual((request.lines, request.keep_alive), ([b"X-Two: 2", b"X-On: 5"], False))

    def test_words_of_connection_that_name_no_field(self) -> None:
        """They take nothing out and are no attack."""
        words = b"close, keep-alive, upgrade, TE, HTTP2-Settings, Proxy-Connection"
        self.assertEqual(
            self.request(HOST + b"Connection: " + words + b"\r\nUpgraded: 1\r\nClose: 2\r\n").lines,
            [b"Upgraded: 1", b"Close: 2"],
        )

    def test_protected_fields_cannot_be_taken_out(self) -> None:
        """The message would mean something else behind us."""
        for name in (b"Host", b"content-length", b"Transfer-Encoding", b"expect", b"Cookie"):
            self.refused(HOST + b"Connection: close, " + name + b"\r\n", "connection names a protected field")
        for name in (b"a b", b"a;b", b'"x"', b"x" * 257):
            self.refused(HOST + b"Connection: " + name + b"\r\n", "connection names a protected field")
        self.assertEqual(self.request(HOST + b"Connection: " + b"x" * 256 + b"\r\n").lines, [])

    def test_upgrades_that_are_served_pass(self) -> None:
        """Only those of the list, where Connection names them, in HTTP/1.1 and without a body."""
        both = b"Connection: Upgrade\r\nUpgrade: "
        for lines, wanted in (
            (both + b"websocket\r\n", b"websocket"),
            (both + b"WebSocket\r\n", b"WebSocket"),
            (both + b"h2c\r\n", b""),
            (both + b"h2c ,\twebsocket\t\r\n", b"websocket"),
            (both + b"websocket, WEBSOCKET\r\n", b"websocket, WEBSOCKET"),
            (both + b"h2c\r\nUpgrade: websocket\r\n", b"websocket"),
            (both + b"websocket\r\nUpgrade: x, websocket\r\n", b"websocket, websocket"),
            (both + b"\r\n", b""),
            (b"Upgrade: websocket\r\n", b""),
            (b"Connection: keep-alive\r\nUpgrade: websocket\r\n", b""),
            (both + b"websocket\r\nContent-Length: 0\r\n", b"websocket"),
            (both + b"websocket\r\nContent-Length: 1\r\n", b""),
            (both + b"websocket\r\nTransfer-Encoding: chunked\r\n", b""),
        ):
            request = self.request(HOST + lines)
            self.assertEqual((request.upgrade, request.lines), (wanted, []), lines)
            self.assertEqual(self.request(HOST + b"Connection: upgrade\r\n").upgrade, b"")
        self.assertEqual(self.request(HOST + both + b"websocket\r\n", b"GET /t HTTP/1.0").upgrade, b"")
        framing = RequestFraming(upgrades=frozenset((b"h2c", b"x")))
        self.assertEqual(self.request(HOST + both + b"h2c, websocket, X\r\n", framing=framing).upgrade, b"h2c, X")

    def test_the_wish_to_wait_for_100(self) -> None:
        """In HTTP/1.1; HTTP/1.0 clients do not know the answer. Other expectations are refused."""
        for value in (b"100-continue", b" 100-Continue\t"):
            self.assertTrue(self.request(HOST + b"Expect:" + value + b"\r\n").expect_continue)
            self.assertFalse(self.request(HOST + b"Expect:" + value + b"\r\n", b"GET /t HTTP/1.0").expect_continue)
        self.assertFalse(self.request().expect_continue)
        for value in (b"", b"100", b"100-continue, x", b"x", b"keep-alive"):
            self.refused(HOST + b"Expect: " + value + b"\r\n", "unknown expectation", 417)

    def test_whether_it_takes_trailers(self) -> None:
        """TE says so where Connection names it, in HTTP/1.1; the field itself never passes."""
        for value in (
            b"trailers",
            b" Trailers\t",
            b"gzip;q=0.5, trailers",
            b"trailers,",
            b"x\r\nTE: trailers\r\nTE: y",
        ):
            for connection in (b"TE", b"close, te", b"keep-alive\r\nConnection: TE"):
                lines = HOST + b"TE:" + value + b"\r\nConnection: " + connection + b"\r\n"
                request = self.request(lines)
                self.assertEqual((request.takes_trailers, request.lines), (True, []), lines)
                self.assertFalse(self.request(lines, b"GET /t HTTP/1.0").takes_trailers)
            for lines in (b"", b"Connection: keep-alive\r\n", b"Connection: T, E\r\n"):
                self.assertFalse(self.request(HOST + b"TE:" + value + b"\r\n" + lines).takes_trailers)
        for value in (b"", b"gzip", b"trailers;q=1", b"trailer", b"trailers gzip"):
            self.assertFalse(self.request(HOST + b"TE: " + value + b"\r\nConnection: TE\r\n").takes_trailers, value)
        self.assertFalse(self.request(HOST + b"Connection: TE\r\n").takes_trailers)


class LengthTests(RequestTests):
    """Content-Length and Transfer-Encoding; more in the corpus."""

    def test_length_and_whether_it_was_said(self) -> None:
        """Declared also when it is 0, and for chunks."""
        for lines, wanted in (
            (b"", (0, False)),
            (b"Content-Length: 0\r\n", (0, True)),
            (b"Content-Length:\t17 \r\n", (17, True)),
            (b"Content-Length: 999999999999999999\r\n", (999999999999999999, True)),
            (b"Content-Length: 7\r\ncontent-length: 07 , 7\r\nContent-Length: 7\r\n", (7, True)),
            (b"Content-Length: 0\r\nContent-Length: 0\r\n", (0, True)),
            (b"Content-Length: 7\t,\t7\r\n", (7, True)),
            (b"Content-Length: 999999999999999999,999999999999999999\r\n", (999999999999999999, True)),
            (b"Transfer-Encoding: chunked\r\n", (CHUNKED, True)),
            (b"Transfer-Encoding:\tCHUNKED\t\r\n", (CHUNKED, True)),
        ):
            request = self.request(HOST + lines)
            self.assertEqual((request.length, request.declared, request.lines), (*wanted, []), lines)

    def test_what_is_refused_and_for_what(self) -> None:
        """The reasons are labels of a metric."""
        malformed, differing = "malformed content-length", "differing content-lengths"
        for value in (
            b"keep-alive",
            b"",
            b"+1",
            b"-1",
            b"1 1",
            b"0x1",
            b"1,",
            b",1",
            b"1.",
            b"1" * 19,
            b"0" * 19,
            b"\xb2",
            b"1,x",
        ):
            self.refused(HOST + b"Content-Length: " + value + b"\r\n", malformed)
        for lines in (b"Content-Length: x\r\nContent-Length: 5\r\n", b"Content-Length: 5\r\nContent-Length: x\r\n"):
            self.refused(HOST + lines, malformed)
        for lines in (b"Content-Length: 1, 2\r\n", b"Content-Length: 0\r\nContent-Length: 1\r\n"):
            self.refused(HOST + lines, differing)
        both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        self.refused(HOST + both, "content-length with transfer-encoding")
        for value in (
            *(b"", b"gzip", b"chunked, gzip", b"chunked, chunked", b"gzip, chunked, chunked", b",chunked"),
            *(b"chunked,", b"gzip,,chunked", b"chunked, gzip, chunked", b"x" + b"chunked", b"identity"),
        ):
            self.refused(HOST + b"Transfer-Encoding: " + value + b"\r\n", "transfer-encoding does not end in chunked")
        for lines in (
            b"Transfer-Encoding: gzip,\tchunked\r\n",
            b"Transfer-Encoding: a\r\nTransfer-Encoding: chunked\r\n",
        ):
            self.refused(HOST + lines, "unsupported transfer coding", 501)
        for value in (b"chunked", b"gzip"):
            line = b"Transfer-Encoding: " + value + b"\r\n"
            self.refused(HOST + line, "transfer-encoding in HTTP/1.0", line=b"POST /t HTTP/1.0")


class PlaceTests(RequestTests):
    """Target and Host."""

    def test_host_and_port_for_routing(self) -> None:
        """The authority itself stays as it was sent."""
        longest = b".".join([b"a" * 63] * 4)
        self.assertEqual(len(longest), 255)
        for value, host, port in (
            (b"A.Example", b"a.example", 0),
            (b"a.example.", b"a.example", 0),
            (b"a.example:", b"a.example", 0),
            (b"a.example:1", b"a.example", 1),
            (b"a.example:65535", b"a.example", 65535),
            (b"a.example:00080", b"a.example", 80),
            (b"a", b"a", 0),
            (b"_a-b.c_", b"_a-b.c_", 0),
            (b"192.0.2.1:8080", b"192.0.2.1", 8080),
            (b"[2001:DB8:0::0:1]:443", b"[2001:db8::1]", 443),
            (b"[::]", b"[::]", 0),
            (b"[::ffff:192.0.2.1]", b"[::ffff:c000:201]", 0),
            (b"[1111:2222:3333:4444:5555:6666:255.255.255.255]", b"[1111:2222:3333:4444:5555:6666:ffff:ffff]", 0),
            (longest, longest, 0),
            (longest + b":65535", longest, 65535),
        ):
            request = self.request(b"Host: \t" + value + b"\t\r\n")
            self.assertEqual((request.authority, request.host, request.port), (value, host, port))

    def test_what_is_no_host(self) -> None:
        """Refused, the first and the second time."""
        for value in (
            *(b"a.example:65536", b"a.example:99999", b"a.example:0", b"a.example:00", b"a.example:x", b"a:123456"),
            *(b"-a", b"a-", b".a", b"a..b", b"a..", b"..", b".", b"a b", b"a,b", b"a@b", b"a/b", b"a%41", b"a:1:2"),
            *(b"[::1", b"::1", b"[]", b"[:]", b"[1.2.3.4]", b"[::1]x", b"[fe80::1%25eth0]", b"[::g]", b"[12345::]"),
            *(b"a" * 256, b"a" * 301, b":80", b"\xe4.example", b"a:+1", b"a: 1", b"a:-1"),
        ):
            for _ in range(2):
                self.refused(b"Host: " + value + b"\r\n", "invalid host")

    def test_hosts_of_all_clients_are_remembered_up_to_a_limit(self) -> None:
        """And judged right before and after they were forgotten."""
        framing = RequestFraming()
        for number in range(9000):
            request = self.request(b"Host: %d.A:80\r\n" % number, framing=framing)
            self.assertEqual((request.host, request.port), (b"%d.a" % number, 80))

    def test_host_is_wanted_once(self) -> None:
        """HTTP/1.0 does without, but not with two."""
        self.refused(b"X: 1\r\n", "no host")
        self.refused(HOST + HOST, "several hosts")
        self.refused(HOST + HOST, "several hosts", line=b"GET /t HTTP/1.0")
        request = self.request(b"", b"GET /t HTTP/1.0")
        self.assertEqual((request.authority, request.host, request.port, request.minor), (b"", b"", 0, 0))
        named = self.request(HOST, b"GET /t HTTP/1.0")
        self.assertEqual((named.authority, named.host), (b"a.example", b"a.example"))

    def test_absolute_targets_are_taken_apart(self) -> None:
        """Only the path goes on; the authority must be Host's, and no port is the scheme's port."""
        for line, lines, target in (
            (b"GET http://a.example/t?x=/y HTTP/1.1", HOST, b"/t?x=/y"),
            (b"GET HTTP://A.example HTTP/1.1", HOST, b"/"),
            (b"GET http://a.example?x HTTP/1.1", HOST, b"/?x"),
            (b"OPTIONS http://a.example HTTP/1.1", HOST, b"*"),
            (b"OPTIONS http://a.example/ HTTP/1.1", HOST, b"/"),
            (b"OPTIONS http://a.example?x HTTP/1.1", HOST, b"/?x"),
            (b"GET http://a.example:80/ HTTP/1.1", HOST, b"/"),
            (b"GET http://a.example/ HTTP/1.1", b"Host: a.example:80\r\n", b"/"),
            (b"GET https://a.example:443/ HTTP/1.1", HOST, b"/"),
            (b"GET hTTps://a.example/ HTTP/1.1", b"Host: a.example:443\r\n", b"/"),
            (b"GET http://a.example:81/ HTTP/1.1", b"Host: a.example:81\r\n", b"/"),
            (b"GET http://a.example/ HTTP/1.0", HOST, b"/"),
        ):
            request = self.request(lines, line)
            self.assertEqual((request.target, request.host), (target, b"a.example"), line)
            self.assertEqual(b"Host: " + request.authority + b"\r\n", lines)
        alone = self.request(b"", b"GET http://A.example:81/t HTTP/1.0")
        self.assertEqual((alone.authority, alone.host, alone.port), (b"A.example:81", b"a.example", 81))

    def test_absolute_targets_that_are_not_hosts(self) -> None:
        """Another host or port than Host's, or no target at all."""
        differs = "host differs from target"
        for line in (
            *(b"http://b.example/", b"http://a.example:81/", b"http://a.example:443/", b"https://a.example:80/"),
            b"http://a/",
        ):
            self.refused(HOST, differs, line=b"GET " + line + b" HTTP/1.1")
            self.refused(HOST, differs, line=b"GET " + line + b" HTTP/1.0")
        self.refused(b"Host: a.example:443\r\n", differs, line=b"GET http://a.example/ HTTP/1.1")
        self.refused(b"Host: a.example:80\r\n", differs, line=b"GET https://a.example/ HTTP/1.1")
        self.refused(b"Host:\r\n", "invalid host", line=b"GET http://a.example/ HTTP/1.1")
        for target in (
            *(
                b"http://",
                b"http:///t",
                b"ftp://a.example/",
                b"http:/a.example/",
                b"a.example",
                b"t",
                b"//a"[1:] + b"#",
            ),
            *(
                b"http://a.example/#x",
                b"http://u@a.example/",
                b"http://a.example:0/",
                b"http://a\tb/",
                b"http://a/\xe4",
            ),
            *(b"http://a.example/\tx", b"", b"#", b"?x", b"\xe4"),
        ):
            self.refused(HOST, "invalid target", line=b"GET " + target + b" HTTP/1.1")

    def test_targets_in_origin_form(self) -> None:
        """No fragment, tab or 8-bit octet; the asterisk is for OPTIONS, and CONNECT for other proxies."""
        for target in (b"/#", b"/a\tb", b"/\x80", b"/\xff", b"*"):
            self.refused(HOST, "invalid target", line=b"GET " + target + b" HTTP/1.1")
        self.assertEqual(self.request(line=b"OPTIONS * HTTP/1.1").target, b"*")
        self.refused(HOST, "invalid target", line=b"OPTIONS ** HTTP/1.1")
        for target in (b"a.example:443", b"/", b"*", b"http://a.example/"):
            self.refused(HOST, "connect is not served", 501, b"CONNECT " + target + b" HTTP/1.1")
        self.assertEqual(self.request(line=b"//a/?b//c HTTP/1.1".join((b"GET ", b""))).target, b"//a/?b//c")


class LineTests(RequestTests):
    """The request line, and the limits of the head."""

    def test_methods(self) -> None:
        """Any token of at most 64 octets, in its own case."""
        for method in (b"GET", b"get", b"OPTIONS", b"PATCH", b"M-SEARCH", b"x" * 64, b"!#$%&'*+-.^_`|~"):
            self.assertEqual(self.request(line=method + b" /t HTTP/1.1").method, method)
        for method in (b"x" * 65, b"", b"G(T", b"GET\t", b"G\xe4T"):
            self.refused(HOST, "malformed request line", line=method + b" /t HTTP/1.1")

    def test_versions(self) -> None:
        """HTTP/1.1 and HTTP/1.0, nothing else; three parts, one space between."""
        for version, minor in ((b"HTTP/1.1", 1), (b"HTTP/1.0", 0)):
            self.assertEqual(self.request(line=b"GET /t " + version).minor, minor)
        for line in (
            *(b"GET /t HTTP/1.2", b"GET /t HTTP/2.0", b"GET /t http/1.1", b"GET /t HTTP/1.1 ", b"GET /t", b"GET"),
            *(b"GET  /t HTTP/1.1", b"GET /t  HTTP/1.1", b" GET /t HTTP/1.1", b"GET /a b HTTP/1.1", b"GET\t/t HTTP/1.1"),
        ):
            self.refused(HOST, "malformed request line", line=line)
            # it is known when its end is there, and not before
            self.assertEqual(judged(line + b"\r\n"), Refusal(400, "malformed request line"))
            self.assertIsNone(FRAMING.parse(line + b"\r"))

    def test_one_empty_line_before_the_request_is_forgiven(self) -> None:
        """Not two; and the offset of what follows counts it."""
        data = b"GET /t HTTP/1.1\r\n" + HOST + b"\r\n"
        for start, before in ((0, b""), (3, b"...")):
            for behind in (b"", b"x"):
                found = FRAMING.parse(before + b"\r\n" + data + behind, start)
                assert found is not None and isinstance(found[0], Request)
                self.assertEqual((found[0].target, found[1]), (b"/t", start + 2 + len(data)))
                self.assertEqual(
                    judged(before + b"\r\n\r\n" + data + behind, start=start), Refusal(400, "malformed request line")
                )
        self.assertEqual(judged(b"\r\n\r\n"), Refusal(400, "malformed request line"))
        self.assertIsNone(FRAMING.parse(b"\r\n"))
        self.assertIsNone(FRAMING.parse(b""))

    def test_octets_that_no_head_may_hold(self) -> None:
        """Told as such wherever they stand behind a good request line; before its end they make it malformed."""
        for octet in (*range(9), 11, 12, *range(14, 32), 127):
            bad = b"%c" % octet
            self.refused(HOST + b"X: a" + bad + b"\r\n", "invalid octet or line end")
            self.refused(HOST + b"X" + bad + b": a\r\n", "invalid octet or line end")
            self.refused(bad + b"\r\n", "invalid octet or line end")
            self.refused(HOST, "invalid octet or line end", line=b"GET /" + bad + b" HTTP/1.1")
        for lines in (b"X: a\n", b"X: a\r", b"\rX: a\r\n", b"X: \r\r\n", b"X: a\n\r\n", b"\n", b"X: a\rb\r\n"):
            self.refused(HOST + lines, "invalid octet or line end")
        self.refused(HOST, "invalid octet or line end", line=b"GET /t HTTP/9.9\rX")
        # the line's end comes first, so it is the line that is wrong
        self.refused(b"X: \0\r\n", "malformed request line", line=b"GET /t HTTP/9.9")

    def test_limits_of_the_head(self) -> None:
        """Exactly so many octets with the empty line, field lines, and octets of target are good; one more is not."""
        framing = RequestFraming(max_head=200, max_target=50, max_fields=4)
        line = b"GET /" + b"t" * 49 + b" HTTP/1.1"
        self.assertEqual(len(self.request(line=line, framing=framing).target), 50)
        longer = line.replace(b"/", b"/t", 1) + b"\r\n" + HOST + b"\r\n"
        for data, start in ((longer, 0), (b"." + longer, 1), (b"." + longer + b".", 1)):
            self.assertEqual(judged(data, framing, start), Refusal(414, "target too long"))
        four = HOST + b"A: 1\r\nB: 2\r\nC: 3\r\n"
        self.assertEqual(len(self.request(four, framing=framing).lines), 3)
        for start in (0, 1):
            data = b"." * start + b"GET / HTTP/1.1\r\n" + four + b"D: 4\r\n\r\n"
            self.assertEqual(judged(data, framing, start), Refusal(431, "too many fields"))
        head = b"GET / HTTP/1.1\r\n" + HOST + b"X: "
        full = head + b"x" * (196 - len(head)) + b"\r\n\r\n"
        self.assertEqual(len(full), 200)
        for start in (0, 1):
            self.assertIsInstance(judged(b"." * start + full, framing, start), Request)
            self.assertIsInstance(judged(b"." * start + full + b"GET", framing, start), Request)
            large = b"." * start + full.replace(b"X: ", b"X: x")
            for data in (large, large + b"GET", large[: start + 200]):
                self.assertEqual(judged(data, framing, start), Refusal(431, "header block too large"))
            self.assertIsNone(framing.parse(large[: start + 199], start))

    def test_a_head_that_is_only_target_is_refused_for_that(self) -> None:
        """Whether the line's end is there or not."""
        framing = RequestFraming(max_head=100, max_target=50)
        for data in (b"GET /" + b"t" * 95, b"GET /" + b"t" * 50 + b" HTTP/1.1\r\n" + b"X: " + b"x" * 50):
            self.assertEqual(judged(data, framing), Refusal(414, "target too long"))
        data = b"GET /" + b"t" * 49 + b" HTTP/1.1\r\n" + b"X: " + b"x" * 50
        self.assertEqual(judged(data, framing), Refusal(431, "header block too large"))

    def test_the_most_field_lines_that_can_be_allowed(self) -> None:
        """1024, however many the configuration says."""
        for allowed, limit in ((1023, 1023), (1024, 1024), (5000, 1024)):
            framing = RequestFraming(max_head=1 << 20, max_fields=allowed)
            for count, good in ((limit, True), (limit + 1, False)):
                found = judged(b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * (count - 1) + b"\r\n", framing)
                self.assertEqual(isinstance(found, Request), good, (allowed, count))

    def test_defaults(self) -> None:
        """16 KiB of head, 8 KiB of target, 128 fields."""
        head = b"GET / HTTP/1.1\r\n" + HOST + b"X: "
        full = head + b"x" * (16380 - len(head)) + b"\r\n\r\n"
        self.assertIsInstance(judged(full), Request)
        self.assertEqual(judged(full.replace(b"X: ", b"X: x")), Refusal(431, "header block too large"))
        line = b"GET /" + b"t" * 8191 + b" HTTP/1.1\r\n" + HOST + b"\r\n"
        self.assertIsInstance(judged(line), Request)
        self.assertEqual(judged(line.replace(b"/", b"/t", 1)), Refusal(414, "target too long"))
        fields = b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * 127
        self.assertIsInstance(judged(fields + b"\r\n"), Request)
        self.assertEqual(judged(fields + b"Y: 1\r\n\r\n"), Refusal(431, "too many fields"))
