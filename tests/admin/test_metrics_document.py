"""docs/metrics.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.collector import PREFIX, CombinedCollector
from netappliance.http.collector import HttpCollector, PoolCollector
from netappliance.http.filter_collector import FilterCollector
from netappliance.http.statistics import Refusals, RequestStatistics
from netappliance.sessions.reasons import Cause, Phase, Side
from netappliance.tcp.collector import HelloCollector
from netappliance.tls import handshakes
from netappliance.tls.certificates.directory import CertificateSet
from netappliance.tls.certificates.refusals import Reason
from netappliance.tls.certificates.statistics import CertificateCollector, CertificateStatistics
from netappliance.tls.collector import TlsCollector
from netappliance.tls.handshakes import HandshakeStatistics
from netappliance.tls.passing import RESULTS
from netappliance.tls.to_backends import verification
from tests.admin.test_collector import FakeAppliance


class FakeHttpService:
    """As much of an HTTP service as its collector looks at."""

    name = "web"

    def __init__(self) -> None:
        self.local = RequestStatistics()
        self.refusals = Refusals()
        self.targets: dict[str, object] = {}


DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


class MetricsDocumentTests(SynchronousTestCase):
    """The tables against the code."""

    def test_every_metric_is_documented_with_its_type(self) -> None:
        """Each family of ours has a row with its type, and every label of it is named there."""
        service = HttpCollector(FakeHttpService())  # type: ignore[arg-type]
        ours = FakeAppliance().own_collectors()
        tls = [HelloCollector("front", {"ok": 1}), TlsCollector("front", HandshakeStatistics())]
        certificates = CertificateCollector("front", CertificateStatistics(CertificateSet("var/tls")))
        collectors = [*ours, service, PoolCollector({}), FilterCollector([]), *tls, certificates]
        for family in CombinedCollector(collectors).collect():
            name = family.name.removeprefix(PREFIX) + ("_total" if family.type == "counter" else "")
            rows = [row for row in DOCUMENT.splitlines() if f"`{name}`" in row and row.startswith("|")]
            self.assertEqual(len(rows), 1, name)
            self.assertIn(f"| {family.type} |", rows[0])
            for label in getattr(family, "_labelnames", ()):
                self.assertIn(label, rows[0].split("|")[3], name)

    def test_all_words_are_explained(self) -> None:
        """Every side, phase and cause is in the lists, what may become of a ClientHello, and why a file is refused."""
        for reason in Reason:
            self.assertIn(f"`{reason.value}`", DOCUMENT)
        for result in (*RESULTS, *handshakes.RESULTS, *verification.RESULTS):
            self.assertIn(f"`{result}`", DOCUMENT)
        for words in (Side, Phase, Cause):
            for word in words:
                self.assertIn(f"`{word.value}`", DOCUMENT)
