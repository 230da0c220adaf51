"""Names in the one form in which they are compared."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates.names import canonical_host, dns_name


class DnsNameTests(SynchronousTestCase):
    """dns_name."""

    def test_host_names(self) -> None:
        """In lower case, without the final dot; underscores and digits are used in names."""
        for text, name in (
            ("Example.ORG", b"example.org"),
            ("example.org.", b"example.org"),
            ("*.Example.org", b"*.example.org"),
            ("localhost", b"localhost"),
            ("_dmarc.a-b.1a", b"_dmarc.a-b.1a"),
            ("xn--bcher-kva.example", b"xn--bcher-kva.example"),
            ("a" * 63 + ".org", b"a" * 63 + b".org"),
            ("a." * 125 + "org", b"a." * 125 + b"org"),
        ):
            self.assertEqual(dns_name(text), name)

    def test_what_never_matches_a_host(self) -> None:
        """Wildcards that are no whole leftmost label, addresses, what is no name."""
        for text in (
            *(
                "",
                ".",
                "*",
                "*.",
                "a.*.org",
                "f*.org",
                "*f.org",
                "*.*.org",
                "a..org",
                ".org",
                "a b.org",
                "bücher.example",
            ),
            *(
                "127.0.0.1",
                "*.0.0.1",
                "1",
                "a.0x7f",
                "a.0x",
                "-a.org",
                "a-.org",
                "a" * 64 + ".org",
                "a." * 125 + "orgs",
            ),
            *("a.org\n", "a.org/", "a.org:443", "::1"),
        ):
            self.assertIsNone(dns_name(text), text)


class CanonicalHostTests(SynchronousTestCase):
    """canonical_host."""

    def test_forms(self) -> None:
        """Upper case, a final dot, spellings of an IPv6 address."""
        for host, form in (
            (b"Example.ORG", b"example.org"),
            (b"example.org.", b"example.org"),
            (b"127.0.0.1", b"127.0.0.1"),
            (b"[::1]", b"::1"),
            (b"0:0:0:0:0:0:0:1", b"::1"),
            (b"[2001:DB8::0A]", b"2001:db8::a"),
            (b"[::1", b"[::1"),
            (b"::1]", b"::1]"),
            (b"A:B", b"a:b"),
            (b"", b""),
        ):
            self.assertEqual(canonical_host(host), form)

    @settings(deadline=None)
    @given(st.binary(max_size=60) | st.text("0123456789abcdef:[]%.", max_size=40).map(str.encode))
    def test_anything_has_a_form_that_stays(self, host: bytes) -> None:
        """Whatever a client says."""
        form = canonical_host(host)
        if not form.endswith(b"."):  # of two final dots one is left
            self.assertEqual(canonical_host(form), form)
