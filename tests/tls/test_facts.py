"""What a handshake came to, as filters, logs and backends see it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http import fields
from netappliance.tls.facts import ClientCertificate, TlsFacts


def certificate(subject: str = "CN=a", dns: tuple[str, ...] = (), uris: tuple[str, ...] = ()) -> ClientCertificate:
    """One with a short fingerprint."""
    return ClientCertificate(subject, "CN=issuer", "1f", "ab" * 4, dns, uris)


class ClientCertificateTests(SynchronousTestCase):
    """X-Forwarded-Client-Cert."""

    def test_the_parts_in_envoys_order(self) -> None:
        """Names may be several."""
        one = certificate("CN=a,O=b c", ("x.example", "y.example"), ("spiffe://x/y",))
        expected = b'Hash=abababab;Subject="CN=a,O=b c";URI=spiffe://x/y;DNS=x.example;DNS=y.example'
        self.assertEqual(one.forwarded(), expected)

    def test_what_would_end_a_part_is_encoded(self) -> None:
        """Quotes, backslashes, semicolons, controls, and what is no ASCII."""
        one = certificate('CN="\\\r\n\u00e9%', ("a;b=c,d e",))
        self.assertEqual(one.forwarded(), b'Hash=abababab;Subject="CN=%22%5C%0D%0A%C3%A9%25";DNS=a%3Bb%3Dc%2Cd%20e')

    @given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
    def test_any_text_makes_one_field_value(self, subject: str, name: str, uri: str) -> None:
        """Whose parts can be told apart."""
        value = certificate(subject, (name,), (uri,)).forwarded()
        self.assertTrue(fields.is_value(value))
        head, _, rest = value.partition(b'Subject="')
        inside, quote, rest = rest.partition(b'"')
        self.assertEqual((head, quote, b'"' in inside), (b"Hash=abababab;", b'"', False))
        self.assertEqual([part[:4] for part in rest.split(b";")[1:]], [b"URI=", b"DNS="])


class TlsFactsTests(SynchronousTestCase):
    """The connection."""

    def facts(self, asked: list[bytes] | None = None) -> TlsFacts:
        """One whose certificate covers a.example and b.example."""

        def covers(host: bytes) -> bool:
            if asked is not None:
                asked.append(host)
            return host in (b"a.example", b"b.example")

        return TlsFacts("1.3", "TLS_AES_128_GCM_SHA256", b"http/1.1", b"a.example", covers)

    def test_hosts_that_the_certificate_is_for(self) -> None:
        """The last one is remembered, others are looked up."""
        asked: list[bytes] = []
        facts = self.facts(asked)
        found = [facts.serves(host) for host in (b"a.example", b"a.example", b"c.example", b"a.example", b"b.example")]
        self.assertEqual(found, [True, True, False, True, True])
        self.assertEqual(asked, [b"a.example", b"c.example", b"b.example"])

    def test_the_log_has_what_there_is(self) -> None:
        """And nothing else."""
        text = '"tls":"1.3","cipher":"TLS_AES_128_GCM_SHA256","alpn":"http/1.1","sni":"a.example",'
        facts = self.facts()
        self.assertEqual((facts.log_text(), facts.log_text()), (text, text))
        more = TlsFacts("1.2", "X", b"", b"", facts.covers, resumed=True, ja4="t13", client=certificate('CN="x'))
        self.assertEqual(
            more.log_text(), '"tls":"1.2","cipher":"X","resumed":"yes","ja4":"t13","client_certificate":"CN=\\"x",'
        )

    def test_a_long_subject_is_cut(self) -> None:
        """A line of the log stays a line."""
        facts = TlsFacts("1.2", "X", b"", b"", lambda _: True, client=certificate("x" * 1000))
        self.assertEqual(len(facts.described()["client_certificate"]), 255)
