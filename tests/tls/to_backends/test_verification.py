"""Judging certificates and failures: values in, a word of a closed set and a sentence out."""

from __future__ import annotations

import errno
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL.SSL import X509VerificationCodes as Codes
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.to_backends.verification import (
    RESULTS,
    judge_chain,
    judge_failure,
    judge_name,
    printable,
    sent_name,
    service_identity,
    shown_name,
)
from tests.certificates import Authority

ROOT = Authority("the root")


class NameTests(SynchronousTestCase):
    """Whom a certificate is for."""

    def test_names_and_addresses(self) -> None:
        """One-label wildcards count, the common name does not."""
        leaf = ROOT.leaf("a.test", "*.b.test", "127.0.0.1", "::1", common_name="c.test").certificate
        for host in ("a.test", "x.b.test", "127.0.0.1", "::1"):
            self.assertIsNone(judge_name(leaf, service_identity(host), host), host)
        for host in ("c.test", "b.test", "x.y.b.test", "127.0.0.2", "::2", "xa.test"):
            result, why = judge_name(leaf, service_identity(host), host) or ("", "")
            self.assertEqual(result, "wrong_name")
            self.assertEqual(why, f"its certificate is not for {host} but for a.test, *.b.test, 127.0.0.1, ::1")

    def test_no_names_at_all(self) -> None:
        """Certificates of twenty years ago."""
        leaf = ROOT.leaf(common_name="a.test").certificate
        result, why = judge_name(leaf, service_identity("a.test"), "a.test") or ("", "")
        self.assertEqual((result, why), ("wrong_name", "its certificate is not for a.test: it has no subjectAltName"))

    def test_a_few_of_many_names_are_shown(self) -> None:
        """A certificate may have hundreds."""
        for count, more in ((5, ""), (6, " and 1 more"), (300, " and 295 more")):
            leaf = ROOT.leaf(*(f"{number}.test" for number in range(count))).certificate
            _, why = judge_name(leaf, service_identity("a.test"), "a.test") or ("", "")
            self.assertTrue(why.endswith(f"for 0.test, 1.test, 2.test, 3.test, 4.test{more}"), why)

    def test_what_is_asked_for(self) -> None:
        """Never an address."""
        self.assertEqual(sent_name("a.test"), b"a.test")
        for host in ("127.0.0.1", "::1", ""):
            self.assertIsNone(sent_name(host))

    @given(st.text(max_size=300))
    def test_any_host_is_one_or_refused(self, host: str) -> None:
        """What is one can be sent too."""
        try:
            service_identity(host)
        except ValueError as error:
            self.assertIn("a host name", str(error))
        else:
            sent_name(host)


class ChainTests(SynchronousTestCase):
    """Errors of OpenSSL's verification."""

    def test_each_has_its_word(self) -> None:
        """All that OpenSSL knows."""
        leaf = ROOT.leaf("a.test", ends=timedelta(days=-1), starts=timedelta(days=-2)).certificate
        expected = {
            Codes.ERR_CERT_HAS_EXPIRED: ("expired", "its certificate expired at 20"),
            Codes.ERR_CERT_NOT_YET_VALID: ("not_yet_valid", "its certificate is valid from 20"),
            Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: ("self_signed", "is self-signed"),
            Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ("untrusted", "that is not trusted: the root"),
            Codes.ERR_INVALID_PURPOSE: ("bad_certificate", "its certificate is not acceptable: invalid purpose"),
            4711: ("bad_certificate", "X509_V_ERR 4711"),
        }
        for code, (word, part) in expected.items():
            result, why = judge_chain(code, 0, leaf)
            self.assertEqual(result, word)
            self.assertIn(part, why)
        for name, code in vars(Codes).items():
            if name.startswith("ERR_"):
                self.assertIn(judge_chain(code, 0, leaf)[0], RESULTS)

    def test_an_authority_at_fault_is_named(self) -> None:
        """It is not the backend's own certificate that must be renewed."""
        _, why = judge_chain(Codes.ERR_CERT_HAS_EXPIRED, 1, ROOT.certificate)
        self.assertTrue(why.startswith("the certificate of its issuer the root expired"), why)

    def test_what_peers_write_does_not_break_lines(self) -> None:
        """Nor fill the log."""
        self.assertEqual(printable("a\nb\x1b[0m"), "a\\x0ab\\x1b[0m")
        for size, shown in ((200, "a" * 200), (201, "a" * 200 + "..."), (5000, "a" * 200 + "...")):
            self.assertEqual(printable("a" * size), shown)
        leaf = ROOT.leaf("a.test", common_name="two\nlines").certificate
        self.assertEqual(shown_name(leaf.subject), "two\\x0alines")


class FailureTests(SynchronousTestCase):
    """Handshakes that failed for other reasons."""

    def test_each_has_its_word(self) -> None:
        """By the error that the transport raised."""
        sentences = {
            "refused": "it refused the handshake (%s)",
            "protocol": "the handshake failed (%s)",
            "timeout": "it did not finish the handshake in time",
            "closed": "it ended the connection during the handshake (%s)",
        }
        for number, words, result in (
            (errno.EPROTO, "TLS: tlsv13 alert certificate required", "refused"),
            (errno.EPROTO, "TLS: ssl/tls alert handshake failure", "refused"),
            (errno.EPROTO, "TLS: tlsv1 alert protocol version", "protocol"),
            (errno.EPROTO, "TLS: unsupported protocol", "protocol"),
            (errno.EPROTO, "TLS: wrong version number", "protocol"),
            (errno.ETIMEDOUT, "Connection timed out", "timeout"),
            (errno.ECONNRESET, "Connection reset by peer", "closed"),
            (errno.EPIPE, "Broken pipe", "closed"),
        ):
            expected = sentences[result].replace("%s", words)
            self.assertEqual(judge_failure(OSError(number, words)), (result, expected))
