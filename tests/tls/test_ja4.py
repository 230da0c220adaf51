"""Fingerprints: the published examples, and the rules that they do not show."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.ja4 import is_grease, ja4
from tests.tls.hellos import CHROME_ALGORITHMS, CHROME_SUITES

#: the order of the example, with ALPN and server name
CHROME_EXTENSIONS = (
    *(0x001B, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002D, 0x000D, 0x0005, 0x0023, 0x0012, 0x002B, 0xFF01, 0x000B),
    *(0x000A, 0x0015),
)
#: of FoxIO's pcap/tls12.pcap, as Wireshark reads it: a Firefox
FIREFOX_SUITES = (
    *(0x1301, 0x1303, 0x1302, 0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC02C, 0xC030, 0xC00A, 0xC009, 0xC013, 0xC014, 0x009C),
    *(0x009D, 0x002F, 0x0035),
)
FIREFOX_EXTENSIONS = (0, 23, 65281, 10, 11, 35, 16, 5, 34, 51, 43, 13, 45, 28, 21)
FIREFOX_ALGORITHMS = (0x403, 0x503, 0x603, 0x804, 0x805, 0x806, 0x401, 0x501, 0x601, 0x203, 0x201)


def fingerprint(
    version: int = 0x0303,
    versions: tuple[int, ...] = (),
    suites: tuple[int, ...] = (),
    extensions: tuple[int, ...] = (),
    alpn: tuple[bytes, ...] = (),
    algorithms: tuple[int, ...] = (),
) -> str:
    """Return the fingerprint of a hello that has little."""
    return ja4(version, versions, suites, extensions, alpn, algorithms)


class PublishedTests(SynchronousTestCase):
    """What others computed."""

    def test_the_example_of_the_specification(self) -> None:
        """With GREASE strewn in."""
        self.assertEqual(
            ja4(
                0x0303,
                (0x0A0A, 0x0304, 0x0303),
                (0xFAFA, *CHROME_SUITES),
                (0x1A1A, *CHROME_EXTENSIONS, 0x2A2A),
                (b"h2", b"http/1.1"),
                (*CHROME_ALGORITHMS, 0x3A3A),
            ),
            "t13d1516h2_8daaf6152771_e5627efa2ab1",
        )

    def test_the_example_without_signature_algorithms(self) -> None:
        """No underscore ends the list."""
        found = ja4(0x0303, (0x0304,), CHROME_SUITES, CHROME_EXTENSIONS, (b"h2",), ())
        self.assertEqual(found, "t13d1516h2_8daaf6152771_6d807ffa2a79")

    def test_a_capture_of_firefox(self) -> None:
        """In the specification's repository."""
        found = ja4(
            0x0303, (0x0304, 0x0303), FIREFOX_SUITES, FIREFOX_EXTENSIONS, (b"h2", b"http/1.1"), FIREFOX_ALGORITHMS
        )
        self.assertEqual(found, "t13d1715h2_5b57614c22b0_3d5424432f57")


class RuleTests(SynchronousTestCase):
    """Of the specification, one by one."""

    def test_versions(self) -> None:
        """The highest of the extension that is not GREASE, or else the message's."""
        for version, versions, expected in (
            (0x0303, (0x0303, 0x0304, 0xFAFA), "13"),
            (0x0303, (0x0302, 0x0303), "12"),
            (0x0303, (), "12"),
            (0x0302, (0xFAFA,), "11"),
            (0x0301, (), "10"),
            (0x0300, (), "s3"),
            (0x0002, (), "s2"),
            (0x0305, (), "00"),
        ):
            self.assertEqual(fingerprint(version, versions)[1:3], expected)

    def test_counts_stop_at_99(self) -> None:
        """And are counted without GREASE, with server name and ALPN."""
        many = tuple(range(0x100, 0x164))
        self.assertEqual(fingerprint(suites=many[:99], extensions=many)[4:8], "9999")
        self.assertEqual(fingerprint(suites=many, extensions=many[:99])[4:8], "9999")
        self.assertEqual(fingerprint(suites=many[:98], extensions=(0, 16, 0x0A0A))[4:8], "9802")

    def test_nothing_is_told_from_a_digest_of_nothing(self) -> None:
        """Only server name and ALPN are nothing too."""
        self.assertEqual(fingerprint(), "t12i000000_000000000000_000000000000")
        found = fingerprint(suites=(0x0A0A,), extensions=(0, 16), algorithms=(0x0403,))
        self.assertEqual(found, "t12d000200_000000000000_000000000000")

    def test_first_and_last_character_of_the_first_protocol(self) -> None:
        """In hex where one of them is neither letter nor digit."""
        for protocol, expected in (
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (b"\xab", "ab"),
            (b"\xab\xcd", "ad"),
            (b"\x30\xab", "3b"),
            (b"\x30\x31\xab\xcd", "3d"),
            (b"\x30\xab\xcd\x31", "01"),
            (b"", "00"),
        ):
            self.assertEqual(fingerprint(alpn=(protocol, b"other"))[8:10], expected)
        self.assertEqual(fingerprint()[8:10], "00")

    def test_grease(self) -> None:
        """Sixteen numbers."""
        self.assertEqual(
            [number for number in range(0x10000) if is_grease(number)],
            [0x0A0A + step * 0x1010 for step in range(16)],
        )
