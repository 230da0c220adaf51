"""Content-Length and Transfer-Encoding that two parsers judge differently."""

from __future__ import annotations

from collections.abc import Iterator

from tests.http.framing.corpus.case import (
    CHUNKED,
    CODING,
    EITHER,
    FORWARDED,
    GET,
    HELLO,
    SMUGGLED,
    Case,
    got,
    head,
    post,
)


def cl_and_te() -> Iterator[Case]:
    """Content-Length together with Transfer-Encoding, whatever they say (RFC 9112 section 6.3: an attack)."""
    for name, length in (("zero", b"0"), ("short", b"4"), ("right", b"15"), ("long", b"500"), ("malformed", b"x")):
        line = b"Content-Length: " + length + b"\r\n"
        yield Case("cl_te", f"CL {name} before TE", post(line + CHUNKED, HELLO + SMUGGLED))
        yield Case("cl_te", f"TE before CL {name}", post(CHUNKED + line, HELLO + SMUGGLED))
    for name, lines in (
        ("lower case", b"content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        ("upper case", b"CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n"),
        ("CL, TE, CL", b"Content-Length: 5\r\n" + CHUNKED + b"Content-Length: 5\r\n"),
        ("TE, CL, TE", CHUNKED + b"Content-Length: 5\r\n" + CHUNKED),
        ("fields between", b"Content-Length: 5\r\nX-A: 1\r\nX-B: 2\r\n" + CHUNKED),
        ("CL empty", b"Content-Length:\r\n" + CHUNKED),
        ("Connection names CL", b"Connection: content-length\r\nContent-Length: 5\r\n" + CHUNKED),
        ("Connection names TE", b"Connection: transfer-encoding\r\nContent-Length: 5\r\n" + CHUNKED),
    ):
        yield Case("cl_te", name, post(lines, HELLO + SMUGGLED))
    for name, value in (("identity", b"identity"), ("unknown coding", b"cow"), ("gzip", b"gzip"), ("empty", b"")):
        te = b"Transfer-Encoding: " + value + b"\r\n"
        yield Case("cl_te", f"CL with TE {name}", post(b"Content-Length: 5\r\n" + te, b"hello"), CODING)
    yield Case("cl_te", "on GET", head(b"Content-Length: 5\r\n" + CHUNKED) + HELLO)
    data = head(b"Content-Length: 5\r\n" + CHUNKED, b"POST", version=b"HTTP/1.0") + HELLO
    yield Case("cl_te", "in HTTP/1.0", data)


def transfer_encodings() -> Iterator[Case]:
    """Transfer-Encoding that one parser takes for chunked and another does not."""
    for value in (
        *(b"xchunked", b"chunkedx", b"chunk", b"chunked, identity", b"identity", b"identity, chunked", b"gzip"),
        *(b"chunked, gzip", b"chunked, chunked", b"chunked;q=1", b"chunked;", b"chunked; a=b", b'"chunked"', b"cow"),
        *(b"'chunked'", b"chunked chunked", b"chunked\xa0", b"\xa0chunked", b"\xefchunked", b"", b"  ", b"c hunked"),
        *(b"chunked,cow", b"cow,chunked", b"x-chunked", b"(chunked)", b"chunked=", b"chunked/1", b"chunked\xc2\x85"),
    ):
        data = post(b"Transfer-Encoding: " + value + b"\r\n", b"0\r\n\r\n" + SMUGGLED)
        yield Case("te", f"value {value!r}", data, CODING)
    for value in (b"gzip, chunked", b"deflate, chunked", b"compress,chunked"):
        yield Case("te", f"unsupported {value!r}", post(b"Transfer-Encoding: " + value + b"\r\n", HELLO), (501,))
    for value in (
        b"\x0bchunked",
        b"chunked\x0b",
        b"\x0cchunked",
        b"chunked\x00",
        b"\x00chunked",
        b"ch\x00unked",
        b"\x7fchunked",
    ):
        yield Case("te", f"control {value!r}", post(b"Transfer-Encoding: " + value + b"\r\n", HELLO + SMUGGLED))
    for value in (b"chunked", b"CHUNKED", b"cHuNkEd", b"\tchunked", b"chunked\t", b"chunked  ", b" \t chunked"):
        data = post(b"Transfer-Encoding:" + value + b"\r\n", HELLO)
        yield Case("te", f"chunked as {value!r}", data, (FORWARDED,), got(b"hello"))
    for value in (b", chunked", b"chunked, ", b"chunked,", b",,chunked"):
        data = post(b"Transfer-Encoding: " + value + b"\r\n", HELLO)
        yield Case("te", f"empty element {value!r}", data, (FORWARDED, 400, 501), got(b"hello"))
    for lines in (
        *(b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding\t: chunked\r\n", b" Transfer-Encoding: chunked\r\n"),
        *(
            b"\tTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding:\r\n chunked\r\n",
            b"Transfer-Encoding\x00: chunked\r\n",
        ),
        *(
            b"Transfer-Encoding: chu\r\n nked\r\n",
            b"X: a\nTransfer-Encoding: chunked\r\n",
            b"\x00Transfer-Encoding: chunked\r\n",
        ),
        *(
            b"X: a\rTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding\r\n: chunked\r\n",
            b"Transfer-Encoding chunked\r\n",
        ),
        *(b"Transfer Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\r\n", b"Transfer-Encoding: chunked\n"),
        *(
            b"X: \r\n\tTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: \rchunked\r\n",
            b"Transfer\xadEncoding: chunked\r\n",
        ),
    ):
        yield Case("te", f"line {lines!r}", post(lines, b"0\r\n\r\n" + SMUGGLED))
    for first, second in (
        *((b"chunked", b"chunked"), (b"chunked", b"identity"), (b"identity", b"chunked"), (b"gzip", b"chunked")),
        *((b"chunked", b"cow"), (b"cow", b"chunked"), (b"chunked", b""), (b"", b"chunked")),
    ):
        data = post(
            b"Transfer-Encoding: " + first + b"\r\nTransfer-Encoding: " + second + b"\r\n", b"0\r\n\r\n" + SMUGGLED
        )
        verdicts = CODING if first and second else (*EITHER, 501)
        forwarded = (*got(), *got(target=b"/smuggled", method=b"GET")) if FORWARDED in verdicts else ()
        yield Case("te", f"twice {first!r} {second!r}", data, verdicts, forwarded)
    yield Case("te", "in HTTP/1.0", head(CHUNKED, b"POST", version=b"HTTP/1.0") + HELLO + SMUGGLED)
    data = head(CHUNKED + b"Connection: keep-alive\r\n", b"POST", version=b"HTTP/1.0") + HELLO + SMUGGLED
    yield Case("te", "in HTTP/1.0 kept alive", data)
    yield Case("te", "on GET", head(CHUNKED) + HELLO, (FORWARDED,), got(b"hello", method=b"GET"))
    underscore = post(b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n")
    yield Case("te", "underscore", underscore, EITHER, got(b"0\r\n\r\n"))
    content = post(b"Content-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n")
    yield Case("te", "content coding called chunked", content, (FORWARDED,), got(b"0\r\n\r\n"))


def content_lengths() -> Iterator[Case]:
    """Content-Length that numbers differ about."""
    for value in (
        *(
            b"+5",
            b"-1",
            b"-5",
            b"-0",
            b"0x5",
            b"0X5",
            b"5x",
            b"x5",
            b"5;5",
            b'"5"',
            b"5.0",
            b"5.",
            b"5e0",
            b"5_0",
            b"1_0",
        ),
        *(
            b"\xd9\xa5",
            b"\xef\xbc\x95",
            b"\xb2",
            b"\xc2\xb2",
            b"",
            b" ",
            b"5 6",
            b"5\t6",
            b"5,6",
            b"5, 6",
            b"5,5,6",
            b"6,5",
        ),
        *(
            b"5\x00",
            b"\x005",
            b"\x0b5",
            b"5\x0b",
            b"5\x0c",
            b"\xa05",
            b"5\xa0",
            b"NaN",
            b"inf",
            b"five",
            b"0o5",
            b"0b101",
        ),
        *(
            b"5 5",
            b"5/5",
            b"5:5",
            b"(5)",
            b"5%",
            b"%35",
            b"5-5",
            b"--5",
            b"++5",
            b"5\\r",
            b"5'",
            b"1e9",
            b"5,x",
            b"5,-5",
        ),
    ):
        yield Case("cl", f"value {value!r}", post(b"Content-Length: " + value + b"\r\n", b"hello" + SMUGGLED))
    for value in (b"18446744073709551621", b"36893488147419103237", b"9" * 30, b"9" * 400, b"9" * 5000):
        data = post(b"Content-Length: " + value + b"\r\n", b"hello" + SMUGGLED)
        yield Case("cl", f"overflow of {len(value)} digits, {value[-5:]!r}", data, (400, 413))
    for value in (b"5,5", b"5, 5", b"5,5,5", b"5,", b",5", b"005", b"0" * 30 + b"5"):
        yield Case(
            "cl",
            f"unusual {value[-8:]!r}",
            post(b"Content-Length: " + value + b"\r\n", b"hello"),
            EITHER,
            got(b"hello"),
        )
    for value in (b" 5", b"5", b"\t5", b"5 ", b"5\t ", b"   5"):
        yield Case(
            "cl",
            f"white space {value!r}",
            post(b"Content-Length:" + value + b"\r\n", b"hello"),
            (FORWARDED,),
            got(b"hello"),
        )
    for lines in (
        *(
            b"Content-Length : 5\r\n",
            b"Content-Length\t: 5\r\n",
            b" Content-Length: 5\r\n",
            b"Content-Length:\r\n 5\r\n",
        ),
        *(
            b"X: a\nContent-Length: 5\r\n",
            b"X: a\rContent-Length: 5\r\n",
            b"Content-Length\x00: 5\r\n",
            b"Content Length: 5\r\n",
        ),
        *(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 6\r\nContent-Length: 5\r\n"),
        *(b"Content-Length: 5\r\ncontent-length: 0\r\n", b"Content-Length: 0\r\nX: a\r\nCONTENT-LENGTH: 5\r\n"),
        *(
            b"Content-Length: 5\r\nContent-Length: 05\r\nContent-Length: 6\r\n",
            b"Content-Length: 5\r\nContent-Length:\r\n",
        ),
        *(
            b"Content-Length: 5\r\n 6\r\n",
            b"Content-Length: 5\r\r\n",
            b"Content-Length: 5\n",
            b"\x0bContent-Length: 5\r\n",
        ),
    ):
        yield Case("cl", f"lines {lines!r}", post(lines, b"hello" + SMUGGLED))
    for name, lines in (
        ("twice the same", b"Content-Length: 5\r\nContent-Length: 5\r\n"),
        ("underscore", b"Content_Length: 9\r\nContent-Length: 5\r\n"),
    ):
        yield Case("cl", name, post(lines, b"hello"), EITHER, got(b"hello"))
    yield Case("cl", "on GET", head(b"Content-Length: 5\r\n") + b"hello", (FORWARDED,), got(b"hello", method=b"GET"))
    yield Case("cl", "zero on GET", head(b"Content-Length: 0\r\n"), (FORWARDED,), GET)
    yield Case(
        "cl",
        "on DELETE",
        head(b"Content-Length: 5\r\n", b"DELETE") + b"hello",
        (FORWARDED,),
        got(b"hello", method=b"DELETE"),
    )
    yield Case("cl", "none on POST", post(b""), (FORWARDED,), got())
    yield Case("cl", "none on POST, bytes after it", post(b"", b"hello\r\n\r\n"), (400,), got())
    yield Case(
        "cl", "a request inside the body", post(b"Content-Length: 43\r\n", SMUGGLED), (FORWARDED,), got(SMUGGLED)
    )
