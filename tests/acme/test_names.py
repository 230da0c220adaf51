"""Which names a certificate may be ordered for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.acme.names import MAX_NAMES, certificate_names, host_name


class NamesTests(SynchronousTestCase):
    """The value of ``names``."""

    def refused(self, text: str, why: str) -> None:
        """The value is refused with a text that has this in it."""
        error = self.assertRaises(ValueError, certificate_names, text)
        self.assertIn(why, str(error))

    def test_one_certificate_a_line(self) -> None:
        """Its names separated by spaces or commas; case does not count."""
        text = "example.org  WWW.example.org\nxn--bcher-kva.example, localhost"
        expected = (("example.org", "www.example.org"), ("xn--bcher-kva.example", "localhost"))
        self.assertEqual(certificate_names(text), expected)

    def test_a_wildcard_is_told_what_it_would_need(self) -> None:
        """There is no dns-01 here."""
        self.refused("*.example.org", "dns-01, which is not offered")

    def test_what_is_no_host_name_is_refused(self) -> None:
        """Addresses, ports, URLs, empty and overlong labels, underscores, a trailing dot."""
        bad = ["a..b", "-a.example", "a-.example", "a_b.example", "a" * 64 + ".example", "example.org.", "a/b"]
        bad += [f"{'a' * 60}." * 5 + "example", "example.org:80", "::1", ".example", "a%.example"]
        for text in bad:
            self.refused(text, f"host names such as www.example.org, not {text!r}")
        self.refused("192.0.2.1", "not addresses such as '192.0.2.1'")

    def test_international_names_are_written_in_ascii(self) -> None:
        """As the certificate has them."""
        self.refused("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "xn-- form")

    def test_each_name_stands_once(self) -> None:
        """Not in two certificates either: which would be served?"""
        self.refused("a.example b.example\nb.example", "'b.example' stands there twice")
        self.refused("a.example A.example", "'a.example' stands there twice")

    def test_there_is_a_limit_and_a_least(self) -> None:
        """That of Let's Encrypt, and one."""
        names = [f"{number}.example" for number in range(MAX_NAMES + 1)]
        self.assertEqual(len(certificate_names(" ".join(names[1:]))[0]), MAX_NAMES)
        self.refused(" ".join(names), "at most 100 names")
        self.refused("", "at least one name")

    def test_the_first_name_is_no_file_that_is_never_served(self) -> None:
        """ca.pem; as a second name it does not matter."""
        self.refused("CA www.example.org", "'ca'")
        self.assertEqual(certificate_names("www.example.org ca"), (("www.example.org", "ca"),))

    @given(st.text(max_size=80))
    def test_a_name_can_be_a_file(self, text: str) -> None:
        """Whatever passes has no slash, no dot in front, no space."""
        try:
            name = host_name(text)
        except ValueError:
            return
        self.assertRegex(name, r"\A[a-z0-9][a-z0-9.-]*\Z")
