"""Chunked bodies, limits, hop-by-hop fields, expectations and pipelines."""

from __future__ import annotations

from collections.abc import Iterator

from tests.http.framing.corpus.case import (
    CHUNKED,
    EITHER,
    FORWARDED,
    GET,
    HELLO,
    HOST,
    MAX_HEADER,
    SMALL_BODY,
    SMUGGLED,
    Case,
    Seen,
    got,
    head,
    post,
)

AND_SMUGGLED: tuple[Seen, ...] = ((b"GET", b"/smuggled", b""),)


def chunked(body: bytes) -> bytes:
    """Return a POST with this for a chunked body."""
    return post(CHUNKED, body)


def chunk_sizes() -> Iterator[Case]:
    """Sizes that numbers differ about (RFC 9112 section 7.1)."""
    for size in (
        *(
            b"",
            b"x",
            b"0x5",
            b"-5",
            b"+5",
            b" 5",
            b"5 5",
            b"5_0",
            b"g",
            b"5\x00",
            b"\x005",
            b"\xef\xbc\x95",
            b"\xd9\xa5",
            b"5.",
            b"5,",
        ),
        *(
            b"\t5",
            b"\x0b5",
            b"5\x0b",
            b"5\x0c",
            b"\xa05",
            b"5h",
            b"#5",
            b'"5"',
            b"5=",
            b"--5",
            b"0X5",
            b"5\\r",
            b"five",
            b"-0",
            b"5\x85",
        ),
    ):
        yield Case("chunk_size", f"{size!r}", chunked(size + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED))
    for size in (
        b"10000000000000005",
        b"f" * 16,
        b"7fffffffffffffff",
        b"8000000000000000",
        b"f" * 100,
        b"1" + b"0" * 31 + b"5",
        b"f" * 5000,
    ):
        data = chunked(size + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
        yield Case("chunk_size", f"huge {size[:20]!r} of {len(size)} digits", data, (400, 413))
    for size in (b"5 ", b"5\t", b"5  ", b"0" * 15 + b"5", b"0" * 1000 + b"5"):
        data = chunked(size + b"\r\nhello\r\n0\r\n\r\n")
        yield Case("chunk_size", f"odd {size[-8:]!r} of {len(size)}", data, EITHER, got(b"hello"))
    for body, text in (
        *((b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"), (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789")),
        *((b"05\r\nhello\r\n0\r\n\r\n", b"hello"), (b"5\r\nhello\r\n00\r\n\r\n", b"hello"), (b"0\r\n\r\n", b"")),
        *(
            (b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", b"hi"),
            (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
            (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
        ),
    ):
        yield Case("chunk_size", f"good {body!r}", chunked(body), (FORWARDED,), got(text))
        both = (*got(text), *AND_SMUGGLED)
        yield Case("chunk_size", f"good {body!r} and a request", chunked(body) + SMUGGLED, (FORWARDED,), both)


def chunk_extensions() -> Iterator[Case]:
    """Extensions are not forwarded; those that hide a line end are refused."""
    for extension in (
        *(
            b";a=\rb",
            b";a=\nb",
            b";\n",
            b";a\n0",
            b';a="\r\n"',
            b';a="x\ny"',
            b";\x00",
            b";a=\x00",
            b",a=b",
            b" a",
            b"a=b;",
            b":a",
        ),
        *(b";a=\x0bb", b";\x7f", b";a\r", b"\n;a", b"\r;a", b";\xff\n", b"\x00;a", b"=a"),
    ):
        yield Case(
            "chunk_extension", f"{extension!r}", chunked(b"5" + extension + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
        )
    for extension in (
        *(
            b";a",
            b";a=b",
            b';a="b"',
            b';a="b;c"',
            b"; a=b",
            b" ;a=b",
            b";a=b;c=d",
            b";",
            b";;",
            b";=",
            b';a="',
            b";a=b c",
            b';a="\\""',
        ),
        *(b";a = b", b";\t", b"; ", b";\xe9", b";" + b"a" * 200, b';a="0\\r\\n"'),
    ):
        data = chunked(b"5" + extension + b"\r\nhello\r\n0" + extension + b"\r\n\r\n")
        yield Case(
            "chunk_extension", f"plain {extension[:20]!r} of {len(extension)}", data, EITHER, got(b"hello"), (b";a",)
        )
    yield Case("chunk_extension", "without a size", chunked(b";a=b\r\nhello\r\n0\r\n\r\n"))
    big = b"5;" + b"a" * (MAX_HEADER + 1000) + b"\r\nhello\r\n0\r\n\r\n"
    yield Case("chunk_extension", "longer than a head may be", chunked(big), (400, 413, 431))
    endless = b"5;" + b"a" * (4 * MAX_HEADER)
    yield Case("chunk_extension", "endless", chunked(endless), (400, 413, 431))
    many = (b"1;" + b"a" * 100 + b"\r\nx\r\n") * 1000 + b"0\r\n\r\n"
    yield Case("chunk_extension", "hundred times the data", chunked(many), (FORWARDED, 400, 413), got(b"x" * 1000))


def chunk_ends() -> Iterator[Case]:
    """CRLF after each size, after each chunk and at the end; nothing else."""
    for name, body in (
        ("no CRLF after the data", b"5\r\nhello0\r\n\r\n"),
        ("LF after the data", b"5\r\nhello\n0\r\n\r\n"),
        ("CR after the data", b"5\r\nhello\r0\r\n\r\n"),
        ("CR X after the data", b"5\r\nhello\rX0\r\n\r\n"),
        ("X LF after the data", b"5\r\nhelloX\n0\r\n\r\n"),
        ("two bytes after the data", b"5\r\nhelloxx\r\n0\r\n\r\n"),
        ("more data than said", b"5\r\nhello world\r\n0\r\n\r\n"),
        ("less data than said", b"5\r\nhell\r\n0\r\n\r\n"),
        ("LF after the size", b"5\nhello\r\n0\r\n\r\n"),
        ("LF throughout", b"5\nhello\n0\n\n"),
        ("CR after the size", b"5\rhello\r\n0\r\n\r\n"),
        ("CR CR LF after the size", b"5\r\r\nhello\r\n0\r\n\r\n"),
        ("LF after the last size", b"5\r\nhello\r\n0\n\r\n"),
        ("LF as the end", b"5\r\nhello\r\n0\r\n\n"),
        ("CR CR LF as the end", b"5\r\nhello\r\n0\r\n\r\r\n"),
        ("CR at the end", b"5\r\nhello\r\n0\r\n\r" + SMUGGLED),
        ("empty line between chunks", b"5\r\nhello\r\n\r\n0\r\n\r\n"),
        ("space between chunks", b"5\r\nhello\r\n 0\r\n\r\n"),
        ("a request for the end", b"5\r\nhello\r\n0\r\n" + SMUGGLED),
        ("a request for a size", b"5\r\nhello\r\n" + SMUGGLED),
        ("a request for the body", SMUGGLED),
        ("CRLF before the first size", b"\r\n" + HELLO),
        ("last size has a sign", b"5\r\nhello\r\n-0\r\n\r\n"),
        ("last size in 0x", b"5\r\nhello\r\n0x0\r\n\r\n"),
        ("NUL for the end", b"5\r\nhello\r\n0\r\n\x00\r\n"),
        ("NUL before the last size", b"5\r\nhello\r\n\x000\r\n\r\n"),
    ):
        yield Case("chunk_end", name, chunked(body))
    yield Case("chunk_end", "garbage after the end", chunked(HELLO) + b"garbage\r\n\r\n", (400,), got(b"hello"))
    yield Case("chunk_end", "a further last chunk", chunked(HELLO) + b"0\r\n\r\n", (400,), got(b"hello"))


def trailers() -> Iterator[Case]:
    """Trailers pass, but not those that speak of framing, routing or rights (RFC 9110 section 6.5.1)."""

    def trailer(lines: bytes) -> bytes:
        return chunked(b"5\r\nhello\r\n0\r\n" + lines + b"\r\n")

    for lines in (b"X-T: 1\r\n", b"X-T: 1\r\nX-U: 2\r\n", b"X-T:\r\n", b"x-checksum: caf\xe9\r\n"):
        yield Case("trailer", f"good {lines!r}", trailer(lines), (FORWARDED,), got(b"hello"))
        both = (*got(b"hello"), *AND_SMUGGLED)
        yield Case("trailer", f"good {lines!r} and a request", trailer(lines) + SMUGGLED, (FORWARDED,), both)
    for lines in (
        *(
            b"Content-Length: 43\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Host: b.example\r\n",
            b"Trailer: x\r\n",
            b"Connection: close\r\n",
        ),
        *(
            b"Authorization: Basic eDp5\r\n",
            b"X-Forwarded-For: 1.2.3.4\r\n",
            b"X-Real-IP: 1.2.3.4\r\n",
            b"Cookie: a=b\r\n",
            b"TE: x\r\n",
        ),
        *(
            b"Expect: 100-continue\r\n",
            b"Content-Type: text/html\r\n",
            b"Upgrade: h2c\r\n",
            b"content-length: 0\r\ncontent-length: 1\r\n",
        ),
    ):
        absent = (
            ()
            if lines.startswith((b"Content-Type", b"Expect", b"Authorization"))
            else (lines.partition(b"\r\n")[0].lower(),)
        )
        yield Case("trailer", f"forbidden {lines!r}", trailer(lines), EITHER, got(b"hello"), absent)
    for lines in (
        *(
            b"no colon\r\n",
            b"X : 1\r\n",
            b" X: 1\r\n",
            b"X: 1\r\n folded\r\n",
            b"X: 1\n",
            b"X: a\rb\r\n",
            b"X: \x00\r\n",
            b": 1\r\n",
        ),
        *(
            b"X\x00: 1\r\n",
            b"X: 1\r\n\t\r\n",
            b"(X): 1\r\n",
            b"X\xe9: 1\r\n",
            b"X: 1\r\r\n",
            b"X: \x1b[2J\r\n",
            b"GET /smuggled HTTP/1.1\r\n",
        ),
    ):
        yield Case("trailer", f"malformed {lines!r}", trailer(lines))
    yield Case("trailer", "one too large", trailer(b"X: " + b"a" * (MAX_HEADER + 100) + b"\r\n"), (400, 413, 431))
    yield Case("trailer", "too many", trailer(b"X-Trailer: 123456789\r\n" * 4000), (400, 413, 431))
    yield Case("trailer", "endless", chunked(b"0\r\n" + b"X: 1\r\n" * 20000), (400, 413, 431))


def limits() -> Iterator[Case]:
    """431 for heads, 414 for targets, 413 for bodies."""
    yield Case("limit", "one large field", head(b"X: " + b"a" * MAX_HEADER + b"\r\n"), (431,))
    yield Case("limit", "64 KiB field", head(b"X: " + b"a" * 65536 + b"\r\n"), (431,))
    yield Case("limit", "many fields", head(b"X-Field: 1\r\n" * 2000), (431,))
    yield Case("limit", "very many empty fields", head(b"X:\r\n" * 20000), (431,))
    yield Case("limit", "large name", head(b"X" * MAX_HEADER + b": 1\r\n"), (431, 400))
    yield Case("limit", "head without an end", head(b"X: 1\r\n" * 5000)[:-2], (431,))
    yield Case("limit", "field without an end", head(b"X: ")[:-4] + b"a" * 40000, (431,))
    yield Case("limit", "large but allowed", head(b"X: " + b"a" * 8000 + b"\r\n"), (FORWARDED,), GET)
    yield Case("limit", "large cookie", head(b"Cookie: " + b"a=b; " * 5000 + b"c=d\r\n"), (431,))
    yield Case("limit", "long target", head(target=b"/" + b"a" * MAX_HEADER), (414,))
    yield Case("limit", "64 KiB target", head(target=b"/" + b"a" * 65536), (414,))
    yield Case("limit", "long query", head(target=b"/?" + b"a=b&" * 10000), (414,))
    yield Case("limit", "request line without an end", b"GET /" + b"a" * 40000, (414,))
    yield Case("limit", "method without an end", b"A" * 40000, (400, 414, 431, 501))
    yield Case("limit", "empty lines without an end", b"\r\n" * 20000, (400, 408, 431))
    long = b"/" + b"a" * 2000
    yield Case("limit", "target of 2000 bytes", head(target=long), (FORWARDED,), got(target=long, method=b"GET"))
    full = b"b" * SMALL_BODY
    size = b"%d" % SMALL_BODY
    one = b"%x\r\n" % SMALL_BODY + full + b"\r\n"
    yield Case(
        "limit",
        "body of the limit",
        post(b"Content-Length: " + size + b"\r\n", full),
        (FORWARDED,),
        got(full),
        small=True,
    )
    yield Case("limit", "chunked body of the limit", chunked(one + b"0\r\n\r\n"), (FORWARDED,), got(full), small=True)
    more = b"Content-Length: %d\r\n" % (SMALL_BODY + 1)
    yield Case("limit", "body over the limit", post(more, full + b"x"), (413,), small=True)
    yield Case("limit", "body over the limit, expected", post(more + b"Expect: 100-continue\r\n"), (413,), small=True)
    yield Case("limit", "2 GiB announced", post(b"Content-Length: 2147483648\r\n"), (413,), small=True)
    yield Case(
        "limit",
        "chunk over the limit",
        chunked(b"%x\r\n" % (SMALL_BODY + 1) + full + b"x\r\n0\r\n\r\n"),
        (413,),
        small=True,
    )
    yield Case("limit", "chunks over the limit", chunked(one + b"1\r\nx\r\n0\r\n\r\n"), (413,), small=True)
    yield Case("limit", "4 GiB chunk announced", chunked(b"100000000\r\nhello"), (413,), small=True)


def hop_by_hop() -> Iterator[Case]:
    """Connection names fields of this hop; it cannot name those that framing or routing stand on."""
    for names in (
        *(
            b"Host",
            b"Content-Length",
            b"close, Host",
            b"Transfer-Encoding",
            b"host, content-length",
            b"keep-alive, HOST",
        ),
        *(
            b"Content-Type",
            b"Cache-Control",
            b"Authorization",
            b"Cookie",
            b"X-Forwarded-For, X-Real-IP",
            b"Expect",
            b"Trailer",
        ),
    ):
        lines = b"Connection: " + names + b"\r\nContent-Length: 5\r\nX-Other: 1\r\n"
        yield Case(
            "hop",
            f"Connection: {names!r}",
            post(lines, b"hello"),
            EITHER,
            got(b"hello"),
            (b"\nconnection: " + names.lower(),),
        )
    for field in (b"X-Hop", b"X-Internal-Auth", b"Keep-Alive", b"Proxy-Connection", b"TE"):
        lines = b"Connection: " + field + b"\r\n" + field + b": secret\r\n"
        yield Case("hop", f"named {field!r}", head(lines), (FORWARDED,), GET, (b"secret",))
    for line in (
        *(
            b"Keep-Alive: timeout=secret",
            b"Proxy-Connection: secret",
            b"TE: secret",
            b"Upgrade: secret",
            b"Proxy-Authorization: Basic secret",
        ),
        *(b"Trailer: secret",),
    ):
        verdict = (FORWARDED,)
        absent = () if line.startswith((b"Proxy-Auth", b"Trailer")) else (b"secret",)
        yield Case("hop", f"unnamed {line!r}", head(line + b"\r\n"), verdict, GET, absent)
    for value in (b"close", b"keep-alive, close", b"Close", b"CLOSE,x", b"x, close", b"close,", b",close"):
        yield Case("hop", f"{value!r} ends it", head(b"Connection: " + value + b"\r\n") + SMUGGLED, (FORWARDED,), GET)
    yield Case(
        "hop", "close in a second line", head(b"Connection: x\r\nConnection: close\r\n") + SMUGGLED, (FORWARDED,), GET
    )
    for value in (b"keep-alive", b"", b"closed", b"x-close", b"not close"):
        both = (*GET, *AND_SMUGGLED)
        verdicts = EITHER if b" " in value else (FORWARDED,)
        yield Case("hop", f"{value!r} goes on", head(b"Connection: " + value + b"\r\n") + SMUGGLED, verdicts, both)
    for value in (b"a;b", b"a b", b'"close"', b"a:b", b"(close)", b"\xe9"):
        yield Case("hop", f"odd {value!r}", head(b"Connection: " + value + b"\r\n"), EITHER, GET)


def upgrades() -> Iterator[Case]:
    """h2c and its like are not offered to the backend; a tunnel would carry anything."""
    h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    yield Case("upgrade", "h2c", head(h2c), (FORWARDED,), GET, (b"h2c", b"http2-settings"))
    bare = h2c.replace(b", HTTP2-Settings", b"", 1)
    yield Case("upgrade", "h2c, settings not named", head(bare), (FORWARDED,), GET, (b"h2c",))
    yield Case("upgrade", "h2c, Connection elsewhere", head(b"Upgrade: h2c\r\n"), (FORWARDED,), GET, (b"h2c",))
    yield Case("upgrade", "H2C", head(h2c.replace(b"h2c", b"H2C")), (FORWARDED,), GET, (b"h2c",))
    mixed = b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"
    yield Case("upgrade", "h2c behind websocket", head(mixed), EITHER, GET, (b"h2c",))
    two = b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"
    yield Case("upgrade", "h2c in a second line", head(two), EITHER, GET, (b"h2c",))
    tls = b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"
    yield Case("upgrade", "TLS", head(tls), (FORWARDED,), GET, (b"tls/1.0",))
    yield Case("upgrade", "websocket not named", head(b"Upgrade: websocket\r\n"), (FORWARDED,), GET, (b"upgrade",))
    body = b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n"
    yield Case("upgrade", "websocket with a body", post(body, b"hello"), EITHER, got(b"hello"))
    old = head(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", version=b"HTTP/1.0")
    yield Case("upgrade", "websocket in HTTP/1.0", old, EITHER, GET, (b"upgrade",))


def expectations() -> Iterator[Case]:
    """100-continue is the only one."""
    for value in (
        b"100-continues",
        b"x",
        b"200-ok",
        b"100-continue, x",
        b"100",
        b"100-continue;q=1",
        b"x, 100-continue",
    ):
        yield Case(
            "expect", f"{value!r}", post(b"Content-Length: 5\r\nExpect: " + value + b"\r\n", b"hello"), (417, 400)
        )
    for value in (b"100-continue", b"100-Continue", b"100-CONTINUE"):
        data = post(b"Content-Length: 5\r\nExpect: " + value + b"\r\n", b"hello")
        yield Case("expect", f"{value!r}", data, (FORWARDED,), got(b"hello"))
    yield Case("expect", "chunked", post(b"Expect: 100-continue\r\n" + CHUNKED, HELLO), (FORWARDED,), got(b"hello"))
    yield Case("expect", "without a body", head(b"Expect: 100-continue\r\n"), (FORWARDED,), GET)
    twice = post(b"Content-Length: 5\r\nExpect: 100-continue\r\nExpect: x\r\n", b"hello")
    yield Case("expect", "a second other", twice, (417, 400))
    old = head(b"Content-Length: 5\r\nExpect: 100-continue\r\n", b"POST", version=b"HTTP/1.0") + b"hello"
    yield Case("expect", "in HTTP/1.0", old, (FORWARDED,), got(b"hello"))


def pipelines() -> Iterator[Case]:
    """Several requests in one piece: each is judged by itself, and the first refused is the last."""
    second = (*GET, *AND_SMUGGLED)
    yield Case("pipeline", "two", head() + SMUGGLED, (FORWARDED,), second)
    ten = b"".join(head(target=b"/%d" % number) for number in range(10))
    seen = tuple((b"GET", b"/%d" % number, b"") for number in range(10))
    yield Case("pipeline", "ten", ten, (FORWARDED,), seen)
    hidden = post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED)
    yield Case("pipeline", "hidden in the body", hidden, (FORWARDED,), got(SMUGGLED))
    yield Case("pipeline", "hidden and shown", hidden + SMUGGLED, (FORWARDED,), (*got(SMUGGLED), *AND_SMUGGLED))
    inside = chunked(b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n")
    yield Case("pipeline", "hidden in a chunk", inside + SMUGGLED, (FORWARDED,), (*got(SMUGGLED), *AND_SMUGGLED))
    yield Case("pipeline", "CRLF between", head() + b"\r\n" + SMUGGLED, (FORWARDED,), second)
    yield Case("pipeline", "garbage after a request", head() + b"garbage\r\n\r\n", (400,), GET)
    yield Case(
        "pipeline", "smuggling in the second", head() + post(b"Content-Length: 4\r\n" + CHUNKED, HELLO), (400,), GET
    )
    yield Case("pipeline", "missing Host in the second", head() + b"GET /smuggled HTTP/1.1\r\n\r\n", (400,), GET)
    yield Case(
        "pipeline",
        "body one byte longer than said",
        post(b"Content-Length: 4\r\n", b"hello") + SMUGGLED,
        (FORWARDED,),
        (*got(b"hell"), (b"oGET", b"/smuggled", b"")),
    )
    yield Case("pipeline", "after close", head(b"Connection: close\r\n") + SMUGGLED, (FORWARDED,), GET)
    yield Case(
        "pipeline",
        "after a POST that closes",
        post(b"Connection: close\r\nContent-Length: 5\r\n", b"hello") + SMUGGLED,
        (FORWARDED,),
        got(b"hello"),
    )
    yield Case(
        "pipeline",
        "HEAD then GET",
        head(method=b"HEAD") + SMUGGLED,
        (FORWARDED,),
        (*got(method=b"HEAD"), *AND_SMUGGLED),
    )
    other = head() + b"GET /t HTTP/1.1\r\nHost: b.example\r\n\r\n"
    yield Case("pipeline", "another Host in the second", other, (FORWARDED,), (*GET, *GET))
    stall = post(b"Content-Length: 100\r\n", SMUGGLED)
    yield Case("pipeline", "hidden in a body that never ends", stall, (FORWARDED,), stall=True)
    yield Case(
        "pipeline", "hidden in a chunk that never ends", chunked(b"fff\r\n" + SMUGGLED), (FORWARDED,), stall=True
    )
    yield Case("pipeline", "half a head", head()[:-2], (FORWARDED,), stall=True)
    yield Case("pipeline", "a request and half a head", head() + SMUGGLED[:20], (FORWARDED,), GET, stall=True)
    assert HOST in SMUGGLED
