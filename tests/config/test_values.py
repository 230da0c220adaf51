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
    values.regex,
    values.stream_endpoints,
    values.datagram_endpoints,
    values.optional_stream_endpoints,
)


class UnitTests(SynchronousTestCase):
    """Plain values."""

    def test_durations_and_sizes_have_units(self) -> None:
        """The spellings of the contract, in seconds and bytes."""
        for text, seconds in (("500ms", 0.5), ("30s", 30.0), ("10m", 600.0), ("1h", 3600.0), ("1d", 86400.0), ("0", 0)):
            self.assertEqual(values.duration(text), seconds)
        for text, count in (("512", 512), ("64KiB", 65536), ("1MiB", 1024**2), ("2GiB", 2 * 1024**3)):
            self.assertEqual(values.size(text), count)

    def test_what_is_no_value_is_refused(self) -> None:
        """No unit, another unit, a sign, no number, too much of it."""
        for text in ("30", "30 s", "-1s", "1w", "", "9" * 5000 + "s"):
            self.assertRaises(ValueError, values.duration, text)
        for text in ("1kb", "1.5MiB", "-1", "", "9" * 5000):
            self.assertRaises(ValueError, values.size, text)
        for text in ("true", "Yes", "1", ""):
            self.assertRaises(ValueError, values.boolean, text)
        for text in ("10.0.0.1/8", "localhost", "300.0.0.1"):
            self.assertRaises(ValueError, values.networks, text)


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
