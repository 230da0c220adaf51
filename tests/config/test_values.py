"""Converters: what each takes, and that it says what it expects instead of anything worse."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import values

TOTAL: tuple[Callable[[str], Any], ...] = (
    values.duration,
    values.size,
    values.boolean,
    values.integer(0, 9),
    values.number(0, 9),
    values.networks,
    values.base64_bytes,
    values.stream_endpoints,
    values.datagram_endpoints,
    values.optional_stream_endpoints,
)


class UnitTests(SynchronousTestCase):
    """Plain values."""

    def refusal(self, convert: Callable[[str], Any], value: str) -> str:
        """What the operator is told was expected."""
        return str(self.assertRaises(ValueError, convert, value))

    def test_durations_have_units(self) -> None:
        """The spellings of the contract, in seconds; at most ten years."""
        for text, seconds in (
            *(("500ms", 0.5), ("1ms", 0.001), ("30s", 30.0), ("2.5s", 2.5), ("10m", 600.0), ("1h", 3600.0)),
            *(("1d", 86400.0), ("0", 0.0), ("0s", 0.0), ("3650d", 315360000.0), ("315360000s", 315360000.0)),
        ):
            self.assertEqual(values.duration(text), seconds, text)
        for text in ("30", "30 s", "-1s", "1w", "", "1.s", ".5s", "1s\n", "1S", "00", "\u0663s"):
            self.assertIn("a number and its unit: 500ms, 30s", self.refusal(values.duration, text))
        for text in ("3651d", "315360000.1s", "9" * 5000 + "s"):
            self.assertEqual(self.refusal(values.duration, text), "at most 3650d")

    def test_some_durations_may_not_be_off(self) -> None:
        """Zero, however it is written."""
        self.assertEqual(values.positive_duration("1ms"), 0.001)
        for text in ("0", "0s", "0.0h"):
            self.assertEqual(self.refusal(values.positive_duration, text), "a duration above 0")

    def test_sizes_have_units(self) -> None:
        """Powers of 1024; up to 15 digits."""
        for text, count in (
            *(("512", 512), ("7B", 7), ("64KiB", 65536), ("1MiB", 1048576), ("2GiB", 2147483648), ("0", 0)),
            ("999999999999999", 999999999999999),
        ):
            self.assertEqual(values.size(text), count, text)
        for text in ("1kb", "1.5MiB", "-1", "", "9" * 16, "9" * 5000, "1KiB\n", "1 KiB", "KiB", "1TiB", "\u0663"):
            self.assertEqual(self.refusal(values.size, text), "bytes: 512, 64KiB, 1MiB, 2GiB")

    def test_switches_are_yes_or_no(self) -> None:
        """Nothing else."""
        self.assertEqual((values.boolean("yes"), values.boolean("no")), (True, False))
        for text in ("true", "Yes", "1", "", "on", "ye", "n"):
            self.assertEqual(self.refusal(values.boolean, text), "yes or no")

    def test_whole_numbers_have_bounds(self) -> None:
        """Both belong to what is allowed; 18 digits at most."""
        convert = values.integer(2, 10)
        self.assertEqual([convert(text) for text in ("2", "10", "010")], [2, 10, 10])
        for text in ("1", "11", "-2", "+2", "2.0", "", "x", "2\n", "\u0663"):
            self.assertEqual(self.refusal(convert, text), "a whole number from 2 to 10")
        large = values.integer(0, 10**30)
        self.assertEqual(large("9" * 18), 10**18 - 1)
        self.refusal(large, "9" * 19)

    def test_numbers_have_bounds(self) -> None:
        """Both belong to what is allowed; 12 digits and 9 decimals at most."""
        convert = values.number(0.5, 2)
        self.assertEqual([convert(text) for text in ("0.5", "2", "2.000000000")], [0.5, 2.0, 2.0])
        for text in ("0.499999999", "2.000000001", "2.0000000000", "-1", "1.", ".6", "1e0", "", "nan", "1\n"):
            self.assertEqual(self.refusal(convert, text), "a number from 0.5 to 2")
        large = values.number(0, 1e30)
        self.assertEqual(large("9" * 12), 10.0**12 - 1)
        self.refusal(large, "9" * 13)

    def test_words_and_lists(self) -> None:
        """Commas and lines part items; white space and empty ones do not count."""
        self.assertEqual(values.words("a, b ,,c\n d\n\n,e f"), ("a", "b", "c", "d", "e f"))
        self.assertEqual(values.words(""), ())
        self.assertEqual(values.lines("a, b\n\nc"), ("a, b", "c"))
        self.assertEqual(values.list_of(values.integer(0, 9))("1, 2\n3"), (1, 2, 3))
        convert = values.choice("", "text", "json")
        self.assertEqual((convert("json"), convert("")), ("json", ""))
        self.assertEqual(self.refusal(convert, "Text"), "nothing | text | json")
        self.assertEqual((values.text("a, b"), values.text("")), ("a, b", ""))
        self.assertEqual(self.refusal(values.text, "a\nb"), "one line")

    def test_networks(self) -> None:
        """Addresses and networks of both families, without host bits."""
        written = [str(each) for each in values.networks("192.0.2.1, 10.0.0.0/8\n2001:db8::/32")]
        self.assertEqual(written, ["192.0.2.1/32", "10.0.0.0/8", "2001:db8::/32"])
        for text in ("10.0.0.1/8", "localhost", "300.0.0.1", "10.0.0.0/33"):
            expected = "an address or network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32"
            self.assertEqual(self.refusal(values.networks, text), expected)

    def test_bytes(self) -> None:
        """Base64 without anything else in it."""
        self.assertEqual((values.base64_bytes("YWJj"), values.base64_bytes("")), (b"abc", b""))
        for text in ("YWJ", "YW Jj", "YWJj\n", "ä", "YWJj-"):
            self.assertEqual(self.refusal(values.base64_bytes, text), "base64")


class EndpointTests(SynchronousTestCase):
    """Where listeners listen."""

    def refusal(self, text: str) -> str:
        """What the operator is told was expected."""
        return str(self.assertRaises(ValueError, values.stream_endpoint, text))

    def test_addresses_of_all_families(self) -> None:
        """IPv4, IPv6 with escaped colons, unix sockets, named arguments."""
        for text, scheme, host, port, path in (
            ("tcp:80", "tcp", "", 80, ""),
            ("tcp:port=80:interface=127.0.0.1:backlog=5", "tcp", "127.0.0.1", 80, ""),
            ("tcp:0:interface=\\:\\:1", "tcp", "::1", 0, ""),
            ("tcp6:80", "tcp", "::", 80, ""),
            ("unix:/run/x.sock:mode=660", "unix", "", 0, "/run/x.sock"),
            ("unix:/run/a\\:interface\\=b", "unix", "", 0, "/run/a:interface=b"),
        ):
            found = values.stream_endpoint(text)
            self.assertEqual((found.scheme, found.host, found.port, found.path), (scheme, host, port, path), text)

    def test_an_empty_interface_does_not_open_every_address(self) -> None:
        """``interface=`` without a value is an error, not the wildcard."""
        for text in ("tcp:80:interface=", "tcp:80:interface=::1", "tcp:80:interface=:backlog=1"):
            self.assertIn("a value after interface=; colons inside an IPv6 address are written \\:", self.refusal(text))
        self.assertRaises(ValueError, values.datagram_endpoint, "udp:80:interface=")

    def test_an_option_comes_once(self) -> None:
        """Two interfaces in one description are two answers to one question."""
        self.assertIn("interface= once", self.refusal("tcp:80:interface=127.0.0.1:interface=0.0.0.0"))

    def test_a_backslash_at_the_end_is_refused(self) -> None:
        """Twisted's tokenizer fails there with a RuntimeError."""
        for text in ("tcp:80\\", "\\", "unix:\\", "tcp:80:interface=\\"):
            self.assertIn("an endpoint such as", self.refusal(text))

    def test_names_families_and_modes_are_checked(self) -> None:
        """What would fail, or mean something else, at start."""
        for text, words in (
            ("tcp:80:interface=localhost", "an IP address in interface="),
            ("tcp6:80:interface=127.0.0.1", "an IPv6 address in the interface= of tcp6:"),
            ("tcp:65536", "a port from 0 to 65535"),
            ("tcp:80:mode=600", "not 'mode'"),
            ("unix:/x:mode=999", "an octal mode="),
            ("unix:" + "x" * 108, "at most 107 bytes"),
            ("ssl:443", "TLS is not served yet"),
        ):
            self.assertIn(words, self.refusal(text))

    def test_the_words_of_a_refusal_name_what_may_stand_there(self) -> None:
        """And what stood there instead."""
        for text, words in (
            ("tcp:80:mode=600", "backlog, interface as options of tcp:, not 'mode'"),
            ("tcp6:80:mode=600", "backlog, interface as options of tcp6:, not 'mode'"),
            ("unix:/x:interface=::1", "a value after"),
            ("unix:/x:b=1:a=2", "backlog, mode as options of unix:, not 'a'"),
            ("tcp:80:1", "tcp:PORT[:interface=ADDRESS]; colons"),
            ("tcp6:80:port=80", "tcp6:PORT[:interface=ADDRESS]; colons"),
            ("tcp:backlog=1", "tcp:PORT[:interface=ADDRESS]; colons"),
            ("unix:/x:/y", "unix:PATH with a path of at most 107 bytes"),
            ("unix:mode=600", "unix:PATH with a path of at most 107 bytes"),
            ("unix:" + "ä" * 54, "unix:PATH with a path of at most 107 bytes"),
            ("unix:/x:mode=66", "an octal mode= such as 660"),
            ("unix:/x:mode=66000", "an octal mode= such as 660"),
            ("unix:/x:mode=668", "an octal mode= such as 660"),
            ("tcp:80:backlog=0", "a whole number from 1 to 65535"),
            ("tcp:80:backlog=65536", "a whole number from 1 to 65535"),
            ("tcp:x", "a port from 0 to 65535, not 'x'"),
            ("tcp:-1", "a port from 0 to 65535, not '-1'"),
            ("tcp:000001", "a port from 0 to 65535, not '000001'"),
            ("", "tcp:PORT[:interface=ADDRESS] or unix:PATH (TLS is not served yet)"),
        ):
            self.assertIn(words, self.refusal(text), text)
        for text in ("tcp:80", "udp:80:81", "udp:80:backlog=1", "udp:port=80", "udp:"):
            refused = str(self.assertRaises(ValueError, values.datagram_endpoint, text))
            self.assertIn("udp:PORT[:interface=ADDRESS]" if text != "udp:" else "a port from", refused)
        for convert in (values.stream_endpoints, values.datagram_endpoints):
            self.assertEqual(str(self.assertRaises(ValueError, convert, "")), "at least one endpoint")
        self.assertEqual(values.optional_stream_endpoints(""), ())
        self.assertEqual(values.optional_datagram_endpoints(""), ())

    def test_the_edges_of_what_is_allowed(self) -> None:
        """The longest path, the largest port and backlog, both lengths of a mode."""
        self.assertEqual(len(values.stream_endpoint("unix:" + "x" * 107).path), 107)
        self.assertEqual(values.stream_endpoint("tcp:65535:backlog=65535").port, 65535)
        self.assertEqual(
            values.stream_endpoint("unix:/x:mode=0777:backlog=1").options, {"mode": "0777", "backlog": "1"}
        )
        self.assertEqual(values.stream_endpoint("unix:address=/x:mode=600").path, "/x")
        self.assertEqual(values.stream_endpoint("tcp6:port=1:interface=\\:\\:1").host, "::1")
        self.assertEqual(values.stream_endpoint("tcp:1:interface=0\\:0\\:\\:1").host, "::1")
        both = values.stream_endpoints("tcp:1, unix:/x")
        self.assertEqual([(each.scheme, each.text) for each in both], [("tcp", "tcp:1"), ("unix", "unix:/x")])

    def test_datagram_endpoints(self) -> None:
        """All of IPv4, or one address."""
        for text, host in (
            ("udp:5", ""),
            ("udp:5:interface=127.0.0.1", "127.0.0.1"),
            ("udp:5:interface=\\:\\:1", "::1"),
        ):
            found = values.datagram_endpoint(text)
            self.assertEqual((found.scheme, found.host, found.port, found.path, found.text), ("udp", host, 5, "", text))
        self.assertEqual(len(values.datagram_endpoints("udp:1, udp:2")), 2)

    def test_which_addresses_are_local(self) -> None:
        """Loopback and unix sockets; a wildcard is open to all."""
        for text, local in (
            ("tcp:1", False),
            ("tcp:1:interface=127.0.0.9", True),
            ("tcp:1:interface=192.0.2.1", False),
            ("tcp:1:interface=\\:\\:1", True),
            ("tcp6:1", False),
            ("unix:/x", True),
        ):
            self.assertEqual(values.stream_endpoint(text).is_local, local, text)

    def test_what_cannot_be_bound_together(self) -> None:
        """As the kernel sees it, whichever comes first."""
        one, four, six = "tcp:80:interface=127.0.0.1", "tcp:80", "tcp6:80"
        one_6, two_6 = "tcp:80:interface=\\:\\:1", "tcp:80:interface=\\:\\:2"
        for first, second, collide in (
            *((one, one, True), (four, four, True), (six, six, True), (one_6, one_6, True)),
            *((one, four, True), (one, six, True), (four, six, True), (one_6, six, True)),
            *((one, one_6, False), (one_6, two_6, False), (four, one_6, False)),
            (one, "tcp:80:interface=127.0.0.2", False),
            ("tcp:80:interface=0.0.0.0", one, True),
            ("tcp:80:interface=0.0.0.0", one_6, False),
            (one, "tcp:81:interface=127.0.0.1", False),
            ("tcp:0", "tcp:0", False),
            ("unix:/a", "unix:/a", True),
            ("unix:/a", "unix:/b", False),
            ("unix:/a", four, False),
        ):
            mine, theirs = values.stream_endpoint(first), values.stream_endpoint(second)
            self.assertEqual((mine.collides(theirs), theirs.collides(mine)), (collide, collide), (first, second))
        udp = values.datagram_endpoint("udp:80")
        self.assertEqual((udp.collides(udp), udp.collides(values.stream_endpoint(four))), (True, False))
        self.assertFalse(values.stream_endpoint(four).collides(udp))

    @settings(deadline=None, max_examples=200)
    @given(
        st.sampled_from(TOTAL),
        st.one_of(
            st.text(max_size=60),
            st.from_regex(
                re.compile(r"(tcp6?|unix|udp|ssl)(:[\\=:/.,0-9a-z]{0,12}){0,3}(:(interface|mode|port)=?.?)?")
            ),
        ),
    )
    def test_converters_raise_nothing_but_value_errors(self, convert: Callable[[str], Any], text: str) -> None:
        """Whatever stands in the file."""
        try:
            convert(text)
        except ValueError as error:
            self.assertTrue(str(error))
