"""Bodies in chunks: limits, what each refusal says, what of the trailers stays, and how chunks are written."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.chunked import ChunkedDecoder, Pieces, encode
from netappliance.http.message import Refusal

BAD_SIZE, BAD_END = "malformed chunk size", "chunk without its line end"
BAD_TRAILER, LARGE = "malformed trailer", "trailers too large"


class ReadTests(SynchronousTestCase):
    """Whole bodies, in one piece and octet by octet."""

    def read(self, data: bytes, max_trailers: int = 16384) -> tuple[bytes, list[bytes]]:
        """Return content and trailers of a good body; what follows it is left alone."""
        decoder = ChunkedDecoder(max_trailers)
        result = decoder.feed(data + b"GET")
        assert not isinstance(result, Refusal), (data, result)
        pieces, rest = result
        self.assertEqual((rest, decoder.done), (b"GET", True), data)
        single = ChunkedDecoder(max_trailers)
        content = b""
        for at in range(len(data)):
            self.assertFalse(single.done)
            fed = single.feed(data[at : at + 1])
            assert not isinstance(fed, Refusal), (data, at, fed)
            self.assertEqual(fed[1], b"")
            content += b"".join(fed[0])
        self.assertTrue(single.done)
        self.assertEqual((content, single.trailers), (b"".join(pieces), decoder.trailers))
        self.assertEqual((decoder.total, single.total), (len(content), len(content)))
        self.assertEqual(single.feed(b"next"), ([], b"next"))
        return content, decoder.trailers

    def refused(self, data: bytes, why: str, status: int = 400, max_trailers: int = 16384) -> None:
        """Check what a body is refused for, not before its last octet."""
        self.assertEqual(ChunkedDecoder(max_trailers).feed(data), Refusal(status, why), data)
        decoder = ChunkedDecoder(max_trailers)
        for at in range(len(data)):
            result = decoder.feed(data[at : at + 1])
            if isinstance(result, Refusal):
                self.assertEqual((result, len(data) - 1 - at), (Refusal(status, why), 0), data)
                return
        self.fail(f"{data!r} was not refused")

    def test_content(self) -> None:
        """Sizes in either case and with zeros in front; many chunks; none."""
        for data, content in (
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"1\r\na\r\n02\r\nbc\r\n0A\r\n0123456789\r\n00\r\n\r\n", b"abc0123456789"),
            (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"0\r\n\r\n", b""),
            (b"2\r\n\r\n\r\n000\r\n\r\n", b"\r\n"),
        ):
            self.assertEqual(self.read(data), (content, []))

    def test_a_whole_read_of_content_is_not_copied(self) -> None:
        """Pieces are what came in."""
        decoder = ChunkedDecoder()
        decoder.feed(b"8\r\n")
        for data in (b"1234", b"5678"):
            result = decoder.feed(data)
            assert not isinstance(result, Refusal)
            self.assertIs(result[0][0], data)

    def test_sizes(self) -> None:
        """Up to 16 digits and 2**60 - 1; anything else is known at once or at the line's end."""
        decoder = ChunkedDecoder()
        self.assertEqual(decoder.feed(b"0fffffffffffffff\r\n"), ([], b""))
        self.assertEqual(decoder.total, 2**60 - 1)
        for line in (b"1000000000000000", b"ffffffffffffffff", b"", b"5;=", b"5;a=", b'5;a="', b"5; a", b"5;"):
            self.refused(line + b"\r\n", BAD_SIZE)
        for line in (
            b"00000000000000005",
            b"g",
            b" ",
            b"-",
            b"+",
            b"\n",
            b"5 ",
            b"5\t",
            b"0x",
            b"5\n",
            b"5;a\0",
            b"5\rx",
            b"\rx",
        ):
            self.refused(line, BAD_SIZE)

    def test_extensions_are_read_and_forgotten(self) -> None:
        """Names, values and quoted values; the line has at most 256 octets."""
        for extension in (b";a", b";a=b;c", b';a="b;\\"c\t\x80"', b";!#$%&'*+-.^_`|~=x"):
            self.assertEqual(self.read(b"1" + extension + b"\r\nx\r\n0" + extension + b"\r\n\r\n"), (b"x", []))
        self.assertEqual(self.read(b"1;" + b"a" * 254 + b"\r\nx\r\n0\r\n\r\n"), (b"x", []))
        self.refused(b"1;" + b"a" * 255, BAD_SIZE)
        self.assertEqual(ChunkedDecoder().feed(b"1;" + b"a" * 255 + b"\r\n"), Refusal(400, BAD_SIZE))

    def test_a_chunk_ends_with_a_line_end(self) -> None:
        """And nothing else."""
        for behind in (b"x", b"\n", b"\rx", b"\r\r", b" ", b"0"):
            self.refused(b"1\r\na" + behind, BAD_END)

    def test_trailers(self) -> None:
        """Those that may be there pass, in order and as sent."""
        lines = [
            b"X-Sum: 1",
            b'etag:\t"x" ',
            b"Expires:",
            b"X-Forwarded: x",
            b"X-Forwarder: x",
            b"Server-Timing: a\xff",
        ]
        self.assertEqual(self.read(b"0\r\n" + b"\r\n".join([*lines, b"", b""])), (b"", lines))

    def test_trailers_that_may_not_be_there_are_left_out(self) -> None:
        """RFC 9110 section 6.5.1: what must be known before the body; what a trusted proxy says."""
        for name in (
            *(b"Keep-Alive", b"Proxy-Connection", b"Content-Encoding", b"content-type", b"Content_Range", b"Location"),
            *(b"Authorization", b"Set-Cookie", b"Range", b"Max-Forwards", b"Cache_Control", b"Forwarded", b"X-Real-IP"),
            *(b"X-Request-ID", b"X-Forwarded-For", b"x_forwarded_anything", b"X-FORWARDED-"),
        ):
            data = b"0\r\nA: 1\r\n" + name + b": x\r\nB: 2\r\n\r\n"
            self.assertEqual(self.read(data), (b"", [b"A: 1", b"B: 2"]), name)

    def test_trailers_that_are_an_attack_or_no_field(self) -> None:
        """Whoever believed them would see another message."""
        for name in (
            *(b"Host", b"Content-Length", b"content_length", b"Transfer-Encoding", b"Upgrade", b"Expect", b"Cookie"),
            *(b"Connection", b"TE", b"Trailer", b"TRANSFER_encoding"),
        ):
            self.refused(b"0\r\n" + name + b": x\r\n", BAD_TRAILER)
        for line in (b"no colon", b": x", b"a b: x", b" a: x", b"\xe4: x", b"x" * 257 + b": x"):
            self.refused(b"0\r\n" + line + b"\r\n", BAD_TRAILER)
        for octets in (b"\0", b"\n", b"X: a\0", b"X: \x7f", b"X: a\n", b"X: a\rb", b"X: \r\r"):
            self.refused(b"0\r\n" + octets, BAD_TRAILER)

    def test_the_limit_of_trailers(self) -> None:
        """All lines with their ends, also of those that are left out; by default 16 KiB."""
        for line in (b"X: 123", b"TE-X:1", b"Range:"):
            self.read(b"0\r\n" + line + b"\r\n" + line + b"\r\n\r\n", 16)
            self.refused(b"0\r\n" + line + b"\r\n" + line + b"4\r\n", LARGE, 431, 16)
            self.refused(b"0\r\n" + line + b"\r\n" + line + b"456", LARGE, 431, 16)
        self.read(b"0\r\nX: " + b"x" * 16379 + b"\r\n\r\n")
        self.assertEqual(ChunkedDecoder().feed(b"0\r\nX: " + b"x" * 16380 + b"\r\n"), Refusal(431, LARGE))
        self.assertEqual(ChunkedDecoder().feed(b"0\r\nX: " + b"x" * 16382), Refusal(431, LARGE))
        self.assertEqual(ChunkedDecoder().feed(b"0\r\nX: " + b"x" * 16381), ([], b""))


def written(pieces: Pieces, trailers: list[bytes] | None) -> bytes:
    """The bytes that are sent, as many as was told."""
    framed, size = encode(pieces, sum(map(len, pieces)), trailers)
    data = b"".join(framed)
    assert len(data) == size
    return data


class BufferTests(SynchronousTestCase):
    """Bodies in the buffer that a read filled."""

    def test_the_pieces_are_slices_of_the_buffer(self) -> None:
        """From where the body begins to where the read ended; what was not taken is told by its place."""
        for before, behind in ((b"", b""), (b"head", b""), (b"head", b"old octets"), (b"", b"\r\nold")):
            for body, content, left in (
                (b"3\r\nabc\r\n2\r\nde", b"abcde", b""),
                (b"3\r\nabc\r", b"abc", b"\r"),
                (b"3\r\nabc\r\n1", b"abc", b"1"),
                (b"3\r\nabc\r\n1\r", b"abc", b"1\r"),
                (b"3\r\nabc\r\n0\r\nX: 1", b"abc", b"X: 1"),
                (b"3\r\nabc\r\n0\r\n\r\nGET", b"abc", b"GET"),
                (b"", b"", b""),
            ):
                data = bytearray(before + body + behind)
                view, size = memoryview(data), len(before + body)
                decoder = ChunkedDecoder()
                taken = decoder.take(data, view, size, len(before))
                assert not isinstance(taken, Refusal), (body, taken)
                pieces, at = taken
                self.assertEqual(b"".join(pieces), content)
                self.assertEqual(bytes(data[at:size]), left)
                self.assertTrue(all(isinstance(piece, memoryview) and piece.obj is data for piece in pieces))
                self.assertEqual(decoder.done, left == b"GET")

    def test_a_line_is_not_completed_by_old_octets_of_the_buffer(self) -> None:
        """What lies behind the read belongs to another time."""
        decoder = ChunkedDecoder()
        data = bytearray(b"5\r\nhello")
        self.assertEqual(decoder.take(data, memoryview(data), 1), ([], 0))
        self.assertEqual(decoder.take(data, memoryview(data), 2), ([], 0))
        self.assertEqual(decoder.total, 0)


class WriteTests(SynchronousTestCase):
    """Chunks of our own."""

    def test_pieces_become_one_chunk(self) -> None:
        """Its size in hexadecimal; no content is no chunk, which would end the body."""
        self.assertEqual(written([b"a" * 10, b"", b"b"], None), b"b\r\naaaaaaaaaab\r\n")
        self.assertEqual((written([], None), encode([], 0, None)), (b"", ([], 0)))
        self.assertEqual(encode([b"ab"], 2, None), ([b"2\r\n", b"ab", b"\r\n"], 7))
        for pieces, trailers in (([b"ab"], []), ([b"ab"], [b"A: 1"]), ([], []), ([], [b"A: 1"])):
            framed, size = encode(list(pieces), sum(map(len, pieces)), trailers)
            self.assertEqual(size, sum(map(len, framed)))

    def test_the_end(self) -> None:
        """With and without trailers."""
        self.assertEqual(written([], []), b"0\r\n\r\n")
        self.assertEqual(written([b"abc"], []), b"3\r\nabc\r\n0\r\n\r\n")
        self.assertEqual(written([], [b"A: 1", b"B:"]), b"0\r\nA: 1\r\nB:\r\n\r\n")
