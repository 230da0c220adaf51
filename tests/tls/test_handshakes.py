"""Why there is no connection, in words of a closed set."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.collector import TlsCollector
from netappliance.tls.handshakes import RESULTS, HandshakeStatistics, failure_word


class WordTests(SynchronousTestCase):
    """OpenSSL's reasons, whatever its version calls them."""

    def test_reasons_have_words(self) -> None:
        """The client's alerts come first, for they name the same things."""
        for why, word in (
            ("unsupported protocol", "version"),
            ("version too low", "version"),
            ("no shared cipher", "cipher"),
            ("no suitable signature algorithm", "cipher"),
            ("no suitable key share", "group"),
            ("peer did not return a certificate", "client_certificate"),
            ("certificate verify failed", "client_certificate"),
            ("tlsv1 alert unknown ca", "alert"),
            ("tlsv1 alert protocol version", "alert"),
            ("something new", "other"),
            ("", "other"),
        ):
            self.assertEqual(failure_word(why), word, why)
            self.assertIn(word, RESULTS)

    def test_no_word_comes_twice(self) -> None:
        """Each is a label."""
        self.assertEqual(len(RESULTS), len(set(RESULTS)))


class StatisticsTests(SynchronousTestCase):
    """Counting."""

    def test_counts_are_metrics(self) -> None:
        """Both versions are there from the start."""
        statistics = HandshakeStatistics()
        statistics.count("ok", "1.3", resumed=True)
        statistics.count("ok", "1.3", resumed=True)
        statistics.count("not_tls")
        [family] = TlsCollector("front", statistics).collect()
        found = {tuple(sample.labels.values()): sample.value for sample in family.samples}
        self.assertEqual(
            found,
            {
                ("front", "1.2", "no", "ok"): 0,
                ("front", "1.3", "no", "ok"): 0,
                ("front", "1.3", "yes", "ok"): 2,
                ("front", "none", "no", "not_tls"): 1,
            },
        )
