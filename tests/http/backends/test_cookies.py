"""Cookies are found and taken out without touching the others."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.backends import cookies


class CookieTests(SynchronousTestCase):
    """Lines as clients send them."""

    def taken(self, *lines: bytes) -> tuple[bytes | None, list[bytes]]:
        """The value of SRV, and the lines that are left."""
        left = list(lines)
        return cookies.take(left, b"SRV"), left

    def test_the_cookie_goes_and_the_others_stay_byte_for_byte(self) -> None:
        """Wherever it stands."""
        for line, value, left in (
            (b"Cookie: SRV=a", b"a", []),
            (b"Cookie: SRV=a; x=1", b"a", [b"Cookie: x=1"]),
            (b"Cookie: x=1; SRV=a", b"a", [b"Cookie: x=1"]),
            (b'cookie:x="1";SRV=a;  y=2 ', b"a", [b'cookie:x="1";  y=2 ']),
            (b'COOKIE: SRV="a b"; SRV=c', b"a b", []),
            (b"Cookie: a=SRV=b; SRV2=x; srv=y; SRV", None, [b"Cookie: a=SRV=b; SRV2=x; srv=y; SRV"]),
            (b"Cookie:SRV = a ;;", b"a", []),
            (b"Cookie: SRV=a; ; x", b"a", [b"Cookie: ; x"]),
            (b"Cookie: SRV=", b"", []),
            (b"Set-Cookie: SRV=a", None, [b"Set-Cookie: SRV=a"]),
            (b"Cookie-SRV: SRV=a", None, [b"Cookie-SRV: SRV=a"]),
        ):
            self.assertEqual(self.taken(line), (value, left), line)

    def test_several_lines(self) -> None:
        """The first value counts, all of them go, and so do lines that held nothing else."""
        lines = (b"Cookie: x=1; SRV=a", b"A: SRV=z", b"Cookie: SRV=b", b"Cookie: y=2")
        self.assertEqual(self.taken(*lines), (b"a", [b"Cookie: x=1", b"A: SRV=z", b"Cookie: y=2"]))

    def test_find_leaves_the_lines_alone(self) -> None:
        """The first one, without quotes."""
        lines = [b"A: k=0", b"Cookie: x=1", b'cookie: k="v"; k=w']
        self.assertEqual(cookies.find(lines, b"k"), b"v")
        self.assertIsNone(cookies.find(lines, b"v"))
        self.assertEqual(len(lines), 3)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.text(' \t;="SRVab', max_size=14).map(str.encode), max_size=4))
    def test_garbage_never_raises_and_nothing_of_ours_is_left(self, values: list[bytes]) -> None:
        """Taking twice finds nothing; the other pairs are all there."""
        lines = [b"Cookie: " + value for value in values]

        def others(lines: list[bytes]) -> list[bytes]:
            pairs = [pair for line in lines for pair in line[7:].split(b";")]
            named = [pair for pair in pairs if not (b"=" in pair and pair.partition(b"=")[0].strip() == b"SRV")]
            return [pair.strip() for pair in named if pair.strip()]

        before = others(lines)
        cookies.take(lines, b"SRV")
        self.assertEqual([others(lines), cookies.take(lines, b"SRV")], [before, None])
