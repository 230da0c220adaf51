"""Malformed heads: bytes, field lines, methods, targets, versions, Host."""

from __future__ import annotations

from collections.abc import Iterator

from tests.http.framing.corpus.case import EITHER, FORWARDED, GET, HELLO, SMUGGLED, Case, got, head, post

CONTROLS = [bytes((code,)) for code in (*range(1, 9), 11, 12, *range(14, 32), 127)]
DELIMITERS = [bytes((code,)) for code in b'"(),/;<=>?@[\\]{}']


def line_ends() -> Iterator[Case]:
    """Bare LF, bare CR, NUL: where one parser sees a line's end and another does not."""
    for name, data in (
        ("LF throughout", b"GET /t HTTP/1.1\nHost: a.example\n\n"),
        ("LF after the request line", b"GET /t HTTP/1.1\nHost: a.example\r\n\r\n"),
        ("LF after a field", b"GET /t HTTP/1.1\r\nHost: a.example\nX: 1\r\n\r\n"),
        ("LF as the empty line", b"GET /t HTTP/1.1\r\nHost: a.example\r\n\n"),
        ("LF LF", b"GET /t HTTP/1.1\r\nHost: a.example\n\n"),
        ("LF CR LF", b"GET /t HTTP/1.1\r\nHost: a.example\n\r\n"),
        ("CR CR LF after the request line", b"GET /t HTTP/1.1\r\r\nHost: a.example\r\n\r\n"),
        ("CR CR LF after a field", b"GET /t HTTP/1.1\r\nHost: a.example\r\r\n\r\n"),
        ("CR CR LF as the empty line", b"GET /t HTTP/1.1\r\nHost: a.example\r\n\r\r\n\r\n"),
        ("CR throughout", b"GET /t HTTP/1.1\rHost: a.example\r\r\r\n\r\n"),
        ("CR in a value", b"GET /t HTTP/1.1\r\nHost: a.example\r\nX: a\rb\r\n\r\n"),
        (
            "CR before a hidden field",
            b"GET /t HTTP/1.1\r\nHost: a.example\r\nX: a\rContent-Length: 43\r\n\r\n" + SMUGGLED,
        ),
        ("CR in a name", b"GET /t HTTP/1.1\r\nHost: a.example\r\nX\r: a\r\n\r\n"),
        ("CR in Host", b"GET /t HTTP/1.1\r\nHost: a.ex\rample\r\n\r\n"),
        ("LF hides a request", b"GET /t HTTP/1.1\r\nHost: a.example\r\nX: a\n\n" + SMUGGLED),
        (
            "LF LF hides a request",
            b"GET /t HTTP/1.1\r\nHost: a.example\r\nX: a\n\nGET /smuggled HTTP/1.1\r\nX: b\r\n\r\n",
        ),
        ("NEL in a value is no line end", head(b"X: a\x85b\r\n")),
    ):
        accepted = "NEL" in name
        yield Case("line_end", name, data, (FORWARDED,) if accepted else (400,), GET if accepted else ())
    for name, data in (
        ("method", b"G\x00ET /t HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        ("target", head(target=b"/\x00t")),
        ("version", head(version=b"HTTP/1.1\x00")),
        ("name", head(b"X\x00: 1\r\n")),
        ("value", head(b"X: a\x00b\r\n")),
        ("value's end", head(b"X: a\x00\r\n")),
        ("the empty line", b"GET /t HTTP/1.1\r\nHost: a.example\r\n\x00\r\n\r\n"),
        ("first byte", b"\x00" + head()),
    ):
        yield Case("nul", name, data)
    yield Case("line_end", "one CRLF before the request", b"\r\n" + head(), (FORWARDED,), GET)
    yield Case("line_end", "two CRLF before the request", b"\r\n\r\n" + head(), EITHER, GET)
    yield Case("line_end", "LF before the request", b"\n" + head())
    yield Case("line_end", "CRLF and nothing", b"\r\n", (FORWARDED,), stall=True)
    for name, data in (
        ("CR", b"\r" + head()),
        ("space", b" " + head()),
        ("tab", b"\t" + head()),
        ("CRLF space", b"\r\n " + head()),
    ):
        yield Case("line_end", f"{name} before the request", data)


def controls() -> Iterator[Case]:
    """Every control character, in a value and in a name; 8-bit bytes."""
    for byte in CONTROLS:
        yield Case("control", f"{byte!r} in a value", head(b"X: a" + byte + b"b\r\n"))
        yield Case("control", f"{byte!r} in a name", head(b"X" + byte + b": a\r\n"))
    for byte in (b"\x01", b"\x0b", b"\x0c", b"\x1b", b"\x7f"):
        yield Case("control", f"{byte!r} in the method", head(method=b"GE" + byte + b"T"))
        yield Case("control", f"{byte!r} in the target", head(target=b"/a" + byte + b"b"))
        yield Case("control", f"{byte!r} in the version", head(version=b"HTTP/1.1" + byte))
        yield Case("control", f"{byte!r} in Host", b"GET /t HTTP/1.1\r\nHost: a" + byte + b".example\r\n\r\n")
        yield Case(
            "control", f"{byte!r} for the space", b"GET" + byte + b"/t" + byte + b"HTTP/1.1\r\nHost: a.example\r\n\r\n"
        )
    yield Case("control", "tab in a value", head(b"X: a\tb\r\n"), (FORWARDED,), GET)
    for name, value in (
        ("UTF-8", b"caf\xc3\xa9"),
        ("Latin-1", b"caf\xe9"),
        ("0xff", b"\xff\xfe"),
        ("overlong LF", b"\xc0\x8a"),
    ):
        yield Case("control", f"{name} in a value", head(b"X: " + value + b"\r\n"), (FORWARDED,), GET)
    for byte in (b"\x80", b"\xa0", b"\xc3\xa9", b"\xff", b"\xe2\x80\x8b"):
        yield Case("control", f"{byte!r} in a name", head(b"X" + byte + b": a\r\n"))


def field_lines() -> Iterator[Case]:
    """Lines that are no field line, and folding."""
    for lines in (
        *(
            b"no colon\r\n",
            b"nocolon\r\n",
            b": no name\r\n",
            b" : space for a name\r\n",
            b":\r\n",
            b"X : 1\r\n",
            b"X\t: 1\r\n",
        ),
        *(
            b" X: 1\r\n",
            b"\tX: 1\r\n",
            b"X: 1\r\n folded\r\n",
            b"X: 1\r\n\tfolded\r\n",
            b"X:\r\n folded\r\n",
            b"X: 1\r\n \r\n",
        ),
        *(
            b"X: 1\r\n\t\r\n",
            b"X Y: 1\r\n",
            b"X\r\n: 1\r\n",
            b"GET /smuggled HTTP/1.1\r\n",
            b"X: 1\r\n X: 2\r\n  X: 3\r\n",
        ),
        *(
            b" \r\n",
            b"\t\r\n",
            b"X: 1\r\n Host: b.example\r\n",
            b"\xef\xbb\xbfX: 1\r\n",
            b"X: 1\r\n:\r\n",
            b"\x0b: 1\r\n",
        ),
    ):
        yield Case("field", f"line {lines!r}", head(lines))
    for byte in DELIMITERS:
        yield Case("field", f"{byte!r} in a name", head(b"X" + byte + b"Y: 1\r\n"))
    yield Case("field", "first line folded", b"GET /t HTTP/1.1\r\n Host: a.example\r\n\r\n")
    yield Case("field", "space before the empty line", b"GET /t HTTP/1.1\r\nHost: a.example\r\n \r\n\r\n")
    for lines in (
        b"X:\r\n",
        b"X: \r\n",
        b"X:1\r\n",
        b"X:  1  \r\n",
        b"X:: 1\r\n",
        b"!#$%&'*+-.^_`|~: 1\r\n",
        b"X: :\r\n",
        b"9: 1\r\n",
    ):
        yield Case("field", f"good line {lines!r}", head(lines), (FORWARDED,), GET)


def methods() -> Iterator[Case]:
    """Tokens pass, whatever they say; anything else is refused."""
    for method in (
        *(
            b"",
            b"G ET",
            b"GE\tT",
            b"GE{T",
            b"GE:T",
            b"(GET)",
            b"G\xc9T",
            b"\xff",
            b"G/T",
            b'"GET"',
            b"GET,",
            b"G@T",
            b"GET;",
        ),
        *(b"[GET]", b"G=T", b"\xef\xbb\xbfGET", b"GET\xa0", b"\xd0\x93ET", b"G\\T", b"G?T", b"<GET>"),
    ):
        yield Case("method", f"{method!r}", head(method=method))
    for method in (b"PURGE", b"M-SEARCH", b"PROPFIND", b"get", b"Get", b"X", b"0", b"!#$%&'*+-.^_`|~09Az", b"REPORT"):
        yield Case("method", f"{method!r}", head(method=method), (FORWARDED,), got(method=method))
    long = b"A" * 1000
    yield Case("method", "of 1000 bytes", head(method=long), (FORWARDED, 400, 501), got(method=long))
    yield Case("method", "CONNECT", b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", (400, 405, 501))
    yield Case("method", "CONNECT with a path", head(method=b"CONNECT"), (400, 405, 501))
    yield Case("method", "CONNECT with a body", head(b"Content-Length: 43\r\n", b"CONNECT") + SMUGGLED, (400, 405, 501))
    yield Case("method", "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505))
    yield Case("method", "TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x07" * 40 + b"\r\n\r\n")
    yield Case("method", "SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    yield Case("method", "SMTP", b"EHLO a.example\r\n\r\n")
    yield Case("method", "JSON", b'{"jsonrpc": "2.0"}\r\n\r\n')


def targets() -> Iterator[Case]:
    """Targets that are no origin-form, absolute-form or asterisk-form (RFC 9112 section 3.2)."""
    for target in (
        *(b"/t#x", b"/#", b"#", b"/t?a#b", b"/a b", b"/t ", b" /t", b"", b"t", b"t/x", b"?a", b"a.example/t", b"/a\tb"),
        *(
            b"/\xc3\xa9",
            b"/\xff",
            b"/t?\xe9",
            b"a.example:80",
            b"*",
            b"**",
            b"/a\x0bb",
            b"http://",
            b"http:///t",
            b"http:/a.example/t",
        ),
        *(
            b"http:a.example/t",
            b"http://user@a.example/t",
            b"http://b.example@a.example/t",
            b"http://a.example@b.example/t",
        ),
        *(b"http://b.example/t", b"http://a.example:99999/t", b"http://a.example:x/t", b"http://a.example.b.example/t"),
        *(
            b"http://a.example/t#x",
            b"://a.example/t",
            b"//:80/t HTTP/1.1",
            b"http://a.example/a b",
            b"http://a.example:0/t",
        ),
        *(
            b"http://[::1/t",
            b"http://a.example:443/t",
            b"http://\xe9.example/t",
            b"http://a.example\\@b.example/t",
            b"http://a%00.example/t",
        ),
    ):
        yield Case("target", f"{target!r}", head(target=target))
    for name, line in (
        ("two spaces", b"GET  /t HTTP/1.1"),
        ("two spaces before the version", b"GET /t  HTTP/1.1"),
        ("space after the version", b"GET /t HTTP/1.1 "),
        ("tabs", b"GET\t/t\tHTTP/1.1"),
        ("none", b"GET HTTP/1.1"),
        ("a fourth word", b"GET /t HTTP/1.1 x"),
        ("second version", b"GET /t HTTP/1.1 HTTP/1.1"),
        ("method alone", b"GET"),
        ("nothing but spaces", b"   "),
    ):
        yield Case("target", f"request line with {name}", line + b"\r\nHost: a.example\r\n\r\n")
    for target in (
        *(
            b"//t",
            b"/../t",
            b"/./t",
            b"/a//b",
            b"/%2e%2e/t",
            b"/%00",
            b"/%",
            b"/%zz",
            b"/a;b=c",
            b"/t?",
            b"/t??",
            b"/t?a=/../b",
        ),
        *(
            b"/~!$&'()*+,;=:@-._",
            b"/a%20b",
            b"/t?a=%0d%0aX:%201",
            b"//b.example/t",
            b"/http://b.example/t",
            b"/t?x=[1]",
        ),
    ):
        yield Case(
            "target",
            f"good {target!r}",
            head(target=target),
            EITHER if b"%0" in target or b"%z" in target or target == b"/%" else (FORWARDED,),
            got(target=target, method=b"GET"),
        )
    for byte in (b"\\", b'"', b"<", b">", b"^", b"`", b"{", b"|", b"}"):
        target = b"/a" + byte + b"b"
        yield Case(
            "target",
            f"{byte!r} (no URI character, but sent by browsers)",
            head(target=target),
            EITHER,
            got(target=target, method=b"GET"),
        )
    for target, origin in (
        *(
            (b"http://a.example/t", b"/t"),
            (b"HTTP://A.EXAMPLE/t", b"/t"),
            (b"http://a.example", b"/"),
            (b"http://a.example/", b"/"),
        ),
        *(
            (b"http://a.example?x", b"/?x"),
            (b"http://a.example:80/t", b"/t"),
            (b"https://a.example/t", b"/t"),
            (b"http://a.example./t", b"/t"),
        ),
        *((b"http://a.example:/t", b"/t"), (b"http://A.example/T", b"/T"), (b"ftp://a.example/t", b"/t")),
    ):
        sure = target.partition(b"://")[2] in (
            b"a.example/t",
            b"a.example/",
            b"a.example",
            b"A.example/T",
        ) and target.startswith(b"http:")
        yield Case(
            "target",
            f"absolute {target!r}",
            head(target=target),
            (FORWARDED,) if sure else EITHER,
            got(target=origin, method=b"GET"),
        )
    yield Case(
        "target", "OPTIONS *", head(method=b"OPTIONS", target=b"*"), (FORWARDED,), got(target=b"*", method=b"OPTIONS")
    )
    yield Case("target", "absolute without Host", b"GET http://a.example/t HTTP/1.1\r\n\r\n")
    yield Case("target", "absolute with two Hosts", head(b"Host: b.example\r\n", target=b"http://a.example/t"))


def versions() -> Iterator[Case]:
    """HTTP/1.0 and HTTP/1.1, and nothing that looks like them."""
    for version in (
        *(
            b"HTTP/0.9",
            b"HTTP/2.0",
            b"HTTP/2",
            b"HTTP/3.0",
            b"HTTP/9.9",
            b"HTTP/1.2",
            b"HTTP/1.9",
            b"HTTP/0.1",
            b"HTTP/11.1",
        ),
        *(
            b"http/1.1",
            b"Http/1.1",
            b"HTTP/1.10",
            b"HTTP/01.1",
            b"HTTP/1.01",
            b"HTTP/1",
            b"HTTP/1.",
            b"HTTP/.1",
            b"HTTP/1.1x",
        ),
        *(
            b"HTTP/ 1.1",
            b"HTTP /1.1",
            b"HTTP/1 .1",
            b"HTTP/1,1",
            b"HTTP/1.1.1",
            b"HTTP/-1.1",
            b"HTTP/+1.1",
            b"HTTP/1.-1",
        ),
        *(
            b"HTTP/\xef\xbc\x91.1",
            b"HTTP/\xb9.1",
            b"HTTPS/1.1",
            b"ICY/1.1",
            b"RTSP/1.0",
            b"HTTP/1.1\t",
            b"HTTP1.1",
            b"HTTP//1.1",
        ),
        *(
            b"HTTP\\1.1",
            b"XHTTP/1.1",
            b"HTTP/1.1;",
            b"HTTP/1x1",
            b"HTTP/x.y",
            b"HTTP/",
            b"HTTP",
            b"1.1",
            b"\x00HTTP/1.1",
            b"/1.1",
        ),
    ):
        yield Case("version", f"{version!r}", head(version=version), (400, 505))
    for data in (
        b"GET /t\r\n\r\n",
        b"GET /t\r\nHost: a.example\r\n\r\n",
        b"GET /t \r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\r\n" + SMUGGLED,
    ):
        yield Case("version", f"HTTP/0.9 {data[:20]!r}", data)
    old = b"HTTP/1.0"
    yield Case("version", "1.0", head(version=old), (FORWARDED,), GET)
    yield Case("version", "1.0 without Host", b"GET /t HTTP/1.0\r\n\r\n", (FORWARDED,), GET)
    yield Case("version", "1.0 closes", head(version=old) + SMUGGLED, (FORWARDED,), GET)
    both = (*GET, *got(target=b"/smuggled", method=b"GET"))
    yield Case(
        "version", "1.0 kept alive", head(b"Connection: keep-alive\r\n", version=old) + SMUGGLED, (FORWARDED,), both
    )
    length = head(b"Content-Length: 5\r\n", b"POST", version=old) + b"hello"
    yield Case("version", "1.0 with a body", length, (FORWARDED,), got(b"hello"))
    yield Case("version", "1.0 with two Hosts", head(b"Host: b.example\r\n", version=old))


def hosts() -> Iterator[Case]:
    """One Host, and that one valid (RFC 9112 section 3.2)."""
    yield Case("host", "missing", b"GET /t HTTP/1.1\r\nX: 1\r\n\r\n")
    for second in (b"a.example", b"b.example", b"A.EXAMPLE", b"", b"a.example:80"):
        yield Case("host", f"a second {second!r}", head(b"Host: " + second + b"\r\n"))
        yield Case("host", f"a second {second!r} in capitals, later", head(b"X: 1\r\nHOST: " + second + b"\r\n"))
    for value in (
        *(
            b"",
            b" ",
            b"user@a.example",
            b"user:pw@a.example",
            b"a.example:0",
            b"a.example:65536",
            b"a.example:99999999999999999999",
        ),
        *(
            b"a.example:abc",
            b"a.example:-1",
            b"a.example:+80",
            b"a.example:8 0",
            b"a.example:80:80",
            b"a b.example",
            b"a.example b",
        ),
        *(
            b"a.example/t",
            b"a.example?x",
            b"a.example#x",
            b"a.example, b.example",
            b"a.example,b.example",
            b"a\\b",
            b"[::1",
            b"::1",
        ),
        *(
            b"[::1]x",
            b"[]",
            b"[gggg::]",
            b"[::1]:x",
            b"[::1]:0",
            b"[[::1]]",
            b"[1.2.3.4]",
            b"1:2:3",
            b"[::1%25eth0]",
            b"[:::1]",
        ),
        *(
            b"b\xc3\xbccher.example",
            b"\xffa.example",
            b"*.example",
            b'"a.example"',
            b"<a>",
            b"a.example\x00",
            b"a|b",
            b"a^b",
            b"{a}",
        ),
        *(
            b":80",
            b"@",
            b"a@",
            b"a.example:0x50",
            b"a.example:\xd9\xa8",
            b"http://a.example",
            b"a.example/",
            b"a`b",
            b"a=\x7f",
        ),
    ):
        yield Case("host", f"{value!r}", b"GET /t HTTP/1.1\r\nHost: " + value + b"\r\n\r\n")
    for value in (
        b"a.example:",
        b".",
        b"..",
        b".example",
        b"a..example",
        b"a.example..",
        b"%61.example",
        b"a_b.example",
        b"a'b",
        b"-",
        b"a" * 64 + b".example",
        b"a." * 128 + b"example",
        b"a.example:080",
        b"[v1.x]",
        b"*",
        b"(a)",
        b"a;b",
        b"a!$&b",
        b"%zz",
    ):
        yield Case("host", f"odd {value[:20]!r}", b"GET /t HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", EITHER, GET)
    for value in (
        b"A.EXAMPLE",
        b"a.example.",
        b"a.example:8080",
        b"1.2.3.4",
        b"[::1]",
        b"[::1]:80",
        b"[2001:DB8::1]",
        b"xn--bcher-kva.example",
        b"localhost",
        b"\ta.example",
        b"a.example  ",
        b"a-b.example",
        b"9.example",
        b"[::ffff:1.2.3.4]",
    ):
        yield Case("host", f"good {value!r}", b"GET /t HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", (FORWARDED,), GET)
    for line in (
        b"Host : a.example",
        b" Host: a.example",
        b"Host:\r\n a.example",
        b"Host\t: a.example",
        b"Host a.example",
        b"Host\x00: a.example",
    ):
        yield Case("host", f"line {line!r}", b"GET /t HTTP/1.1\r\n" + line + b"\r\n\r\n")
    yield Case("host", "folded second", head(b"X: 1\r\n Host: b.example\r\n"))
    yield Case("host", "in the body only", b"POST /t HTTP/1.1\r\nContent-Length: 19\r\n\r\nHost: a.example\r\n\r\n")
    yield Case(
        "host", "X-Forwarded-Host does not stand for it", b"GET /t HTTP/1.1\r\nX-Forwarded-Host: a.example\r\n\r\n"
    )
    trailer = b"POST /t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO[:-2] + b"Host: a.example\r\n\r\n"
    yield Case("host", "in a trailer only", trailer)
    yield Case("host", "underscore", post(b"Host_: b.example\r\nContent-Length: 0\r\n"), (FORWARDED,), got())
