"""What is counted of a listener's certificates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netappliance.tls.certificates.directory import CertificateSet
from netappliance.tls.certificates.refusals import Reason, Refusal

PREFIX = "netappliance_certificate_"


class CertificateStatistics:
    """
    Of one listener, over all its configurations.

    :ivar current: what it serves. :ivar trouble: what is wrong with the directory as a whole. :ivar changes: times that
        what is served changed while it ran. :ivar refusals: what was refused while it ran, by reason.
    """

    def __init__(self, current: CertificateSet) -> None:
        self.current = current
        self.trouble: Refusal | None = None
        self.changes = 0
        self.refusals: Counter[Reason] = Counter()

    @property
    def bad_files(self) -> int:
        """How many files are not in force as they are; a directory that cannot be read counts as one."""
        return len(self.current.refusals) + (self.trouble is not None)


class CertificateCollector(Collector):
    """Of one listener, read at scrape time."""

    def __init__(self, listener: str, statistics: CertificateStatistics) -> None:
        """:param listener: the name of its section."""
        self._listener = listener
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from self._times()
        bad = GaugeMetricFamily(PREFIX + "bad_files", "Files that are not in force as they are.", labels=["listener"])
        bad.add_metric([self._listener], self._statistics.bad_files)
        text = "Times that changed certificates were put in force."
        changes = CounterMetricFamily(PREFIX + "changes", text, labels=["listener"])
        changes.add_metric([self._listener], self._statistics.changes)
        text = "Changed files that were refused."
        refusals = CounterMetricFamily(PREFIX + "refusals", text, labels=["listener", "reason"])
        for reason in Reason:
            refusals.add_metric([self._listener, reason.value], self._statistics.refusals[reason])
        yield from (bad, changes, refusals)

    def _times(self) -> Iterator[Metric]:
        labels = ["listener", "name"]
        text = "When the certificate expires, in seconds since 1970."
        expires = GaugeMetricFamily(PREFIX + "expires_timestamp_seconds", text, labels=labels)
        text = "When the OCSP response that is stapled runs out, in seconds since 1970."
        ocsp = GaugeMetricFamily(PREFIX + "ocsp_expires_timestamp_seconds", text, labels=labels)
        for credential in self._statistics.current.credentials:
            expires.add_metric([self._listener, credential.name], credential.not_after)
            if credential.staple is not None:
                ocsp.add_metric([self._listener, credential.name], credential.staple.next_update)
        yield from (expires, ocsp)
