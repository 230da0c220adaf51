"""PROXY protocol: what is accepted, what is refused, and that no byte sequence does anything else."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser
from twisted.trial.unittest import SynchronousTestCase

from netappliance.proxy_protocol import MAX_V2, HeaderReader, ProxyProtocolError, encode_v1, encode_v2, parse_header
from netappliance.proxy_protocol.v2 import SIGNATURE, crc32c

V4 = (("192.0.2.7", 4711), ("198.51.100.1", 443))
V6 = (("2001:db8::7", 4711), ("2001:db8::1", 443))

ports = st.integers(0, 65535)
v4_pairs = st.tuples(st.tuples(st.ip_addresses(v=4).map(str), ports), st.tuples(st.ip_addresses(v=4).map(str), ports))
v6_pairs = st.tuples(st.tuples(st.ip_addresses(v=6).map(str), ports), st.tuples(st.ip_addresses(v=6).map(str), ports))


def v2(command: int, kinds: int, body: bytes) -> bytes:
    """Put a version 2 header together by hand."""
    return SIGNATURE + struct.pack("!BBH", command, kinds, len(body)) + body


INET_BODY = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 4711, 443)


class VersionOneTests(SynchronousTestCase):
    """The line of text."""

    def test_tcp4_line_gives_both_addresses(self) -> None:
        """The example of the specification."""
        line = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
        parsed = parse_header(line + b"GET /")
        assert parsed is not None
        header, length = parsed
        self.assertEqual((header.source, header.destination, length, header.raw), (*V4, len(line), line))

    def test_unknown_hides_the_addresses_and_ignores_the_rest(self) -> None:
        """UNKNOWN may be followed by anything."""
        parsed = parse_header(b"PROXY UNKNOWN ffff::1 whatever\r\n")
        assert parsed is not None
        self.assertIsNone(parsed[0].source)

    def test_malformed_lines_are_refused(self) -> None:
        """Each of these is a line that a lax parser takes."""
        for line in (
            b"PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
            b"PROXY TCP4 192.0.2.007 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
            b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
            b"PROXY\tTCP4 192.0.2.7 198.51.100.1 1 2\r\n",
            b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
            b"PROXY TCP4\r\n",
            b"PROXY " + b"A" * 200,
        ):
            with self.assertRaises(ProxyProtocolError, msg=repr(line)):
                parse_header(line)

    def test_a_first_byte_that_fits_no_version_is_refused_at_once(self) -> None:
        """A client that speaks HTTP is not kept waiting for its timeout."""
        self.assertRaises(ProxyProtocolError, parse_header, b"G")
        self.assertRaises(ProxyProtocolError, parse_header, b"PROXYS")


class VersionTwoTests(SynchronousTestCase):
    """The binary header."""

    def test_tlvs_are_kept_in_order(self) -> None:
        """Type, value pairs behind the addresses."""
        body = INET_BODY + b"\x02\x00\x03a.b" + b"\x04\x00\x00"
        parsed = parse_header(v2(0x21, 0x11, body) + b"rest")
        assert parsed is not None
        self.assertEqual((parsed[0].source, parsed[0].tlvs), (V4[0], ((2, b"a.b"), (4, b""))))
        self.assertEqual(parsed[1], 16 + len(body))

    def test_local_does_not_lend_its_addresses(self) -> None:
        """A forged address in LOCAL must not be believed."""
        parsed = parse_header(v2(0x20, 0x11, INET_BODY))
        assert parsed is not None
        self.assertEqual((parsed[0].command, parsed[0].source, parsed[0].destination), ("LOCAL", None, None))

    def test_local_is_accepted_whatever_its_block_holds(self) -> None:
        """Its family is ignored too: a health check must not be refused for an address it need not give."""
        for kinds, body in ((0x11, b""), (0x41, b"\xff"), (0x1F, b""), (0x11, INET_BODY + b"\x01")):
            header = v2(0x20, kinds, body)
            self.assertIsNone(parse_header(header[:-1]))
            parsed = parse_header(header + b"x")
            assert parsed is not None
            self.assertEqual((parsed[0].command, parsed[0].family, parsed[0].tlvs), ("LOCAL", "unspec", ()))
            self.assertEqual((parsed[0].raw, parsed[1]), (header, len(header)))

    def test_unspec_skips_whatever_follows(self) -> None:
        """The length is honoured, the content is not looked at."""
        parsed = parse_header(v2(0x21, 0x00, b"\xff" * 5) + b"x")
        assert parsed is not None
        self.assertEqual((parsed[0].source, parsed[1]), (None, 21))

    def test_checksum_is_verified_when_present(self) -> None:
        """A right one passes, a wrong one does not."""
        empty = v2(0x21, 0x11, INET_BODY + b"\x03\x00\x04\0\0\0\0")
        right = empty[:-4] + crc32c(empty).to_bytes(4, "big")
        self.assertIsNotNone(parse_header(right))
        self.assertRaises(ProxyProtocolError, parse_header, empty[:-4] + b"\1\2\3\4")
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)

    def test_malformed_headers_are_refused(self) -> None:
        """Lengths that do not fit, unknown commands, versions and families."""
        for header in (
            SIGNATURE[:5] + b"x",
            v2(0x31, 0x11, INET_BODY),
            v2(0x22, 0x11, INET_BODY),
            v2(0x21, 0x41, INET_BODY),
            v2(0x21, 0x13, INET_BODY),
            v2(0x21, 0x11, INET_BODY[:-1]),
            v2(0x21, 0x21, INET_BODY),
            v2(0x21, 0x11, INET_BODY + b"\x02\x00"),
            v2(0x21, 0x11, INET_BODY + b"\x02\x00\x05ab"),
            v2(0x21, 0x11, INET_BODY + b"\x03\x00\x01a"),
            SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_V2),
        ):
            with self.assertRaises(ProxyProtocolError, msg=repr(header)):
                parse_header(header)

    def test_unix_paths_round_trip(self) -> None:
        """Family 3."""
        parsed = parse_header(encode_v2(("", 0), ("/run/x.sock", 0)))
        assert parsed is not None
        self.assertEqual(parsed[0].destination, ("/run/x.sock", 0))


class EncodingTests(SynchronousTestCase):
    """What we send is what Twisted's own parser reads."""

    @settings(deadline=None, max_examples=80)
    @given(st.one_of(v4_pairs, v6_pairs))
    def test_both_versions_round_trip_and_agree_with_twisted(
        self, pair: tuple[tuple[str, int], tuple[str, int]]
    ) -> None:
        """Same addresses from our parser and from Twisted's."""
        for encode, oracle in ((encode_v1, V1Parser), (encode_v2, V2Parser)):
            data = encode(*pair)
            parsed = parse_header(data)
            assert parsed is not None
            self.assertEqual((parsed[0].source, parsed[0].destination, parsed[1]), (*pair, len(data)))
            oracle_result: Any = oracle().feed(data + b"rest")
            info, rest = oracle_result
            self.assertEqual((str(ipaddress.ip_address(info.source.host)), info.source.port), parsed[0].source)
            self.assertEqual(rest, b"rest")

    def test_mixed_families_are_mapped_into_ipv6(self) -> None:
        """A dual-stack listener may see an IPv4 client on an IPv6 address."""
        parsed = parse_header(encode_v2(V4[0], V6[1]))
        assert parsed is not None and parsed[0].source is not None
        self.assertEqual(ipaddress.ip_address(parsed[0].source[0]), ipaddress.ip_address("::ffff:192.0.2.7"))

    def test_what_is_no_address_is_unknown(self) -> None:
        """A unix client towards an IP backend has nothing to tell in version 1."""
        self.assertEqual(encode_v1(("", 0), ("/run/x.sock", 0)), b"PROXY UNKNOWN\r\n")


class AnyBytesTests(SynchronousTestCase):
    """The parser is total."""

    @settings(deadline=None, max_examples=200)
    @given(
        st.one_of(
            st.binary(max_size=300),
            st.binary(max_size=60).map(lambda tail: SIGNATURE + tail),
            st.binary(max_size=120).map(lambda tail: b"PROXY " + tail),
        )
    )
    def test_arbitrary_bytes_raise_nothing_but_protocol_errors(self, data: bytes) -> None:
        """Need more, a header, or a refusal."""
        try:
            parsed = parse_header(data)
        except ProxyProtocolError:
            return
        if parsed is not None:
            self.assertLessEqual(parsed[1], len(data))

    @settings(deadline=None, max_examples=80)
    @given(
        st.one_of(v4_pairs.map(lambda pair: encode_v1(*pair)), v6_pairs.map(lambda pair: encode_v2(*pair))),
        st.binary(max_size=30),
    )
    def test_every_split_gives_the_same_result(self, header: bytes, rest: bytes) -> None:
        """Need more until the last byte of the header, then the header and its length."""
        for cut in range(len(header)):
            self.assertIsNone(parse_header(header[:cut]) if cut else None)
        parsed = parse_header(header + rest)
        assert parsed is not None
        self.assertEqual((parsed[0].raw, parsed[1]), (header, len(header)))


class ReaderTests(SynchronousTestCase):
    """The start of a connection, in pieces."""

    def test_however_it_is_cut_the_header_and_the_rest_are_told_apart(self) -> None:
        """Decided with the header's last byte, not before."""
        for header in (encode_v1(*V4), encode_v2(*V6)):
            for cut in range(len(header)):
                reader = HeaderReader()
                self.assertFalse(reader.feed(header[:cut]), cut)
                self.assertIsNone(reader.header)
                self.assertTrue(reader.feed(header[cut:] + b"GET /"))
                assert reader.header is not None
                self.assertEqual((reader.header.raw, reader.rest, reader.refusal), (header, b"GET /", ""))

    def test_what_cannot_become_a_header_is_refused_with_the_reason(self) -> None:
        """As soon as that is clear."""
        reader = HeaderReader()
        self.assertFalse(reader.feed(b"PROXY TCP4 192.0.2.7 "))
        self.assertTrue(reader.feed(b"x 1 2\r\n"))
        self.assertEqual((reader.header, reader.refusal), (None, "bad address in version 1 line"))
