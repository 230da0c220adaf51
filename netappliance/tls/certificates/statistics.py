"""What is counted of a listener's certificates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

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
    """Read at scrape time."""

    def __init__(self, listeners: Callable[[], Mapping[str, CertificateStatistics]]) -> None:
        """:param listeners: returns them by the names of their sections."""
        self._listeners = listeners

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        listeners = self._listeners()
        yield from self._times(listeners)
        bad = GaugeMetricFamily(PREFIX + "bad_files", "Files that are not in force as they are.", labels=["listener"])
        changes = CounterMetricFamily(
            PREFIX + "changes", "Times that changed files were taken up.", labels=["listener"]
        )
        refusals = CounterMetricFamily(
            PREFIX + "refusals", "Changed files that were refused.", labels=["listener", "reason"]
        )
        for listener, statistics in listeners.items():
            bad.add_metric([listener], statistics.bad_files)
            changes.add_metric([listener], statistics.changes)
            for reason in Reason:
                refusals.add_metric([listener, reason.value], statistics.refusals[reason])
        yield from (bad, changes, refusals)

    @staticmethod
    def _times(listeners: Mapping[str, CertificateStatistics]) -> Iterator[Metric]:
        labels = ["listener", "name"]
        text = "When the certificate expires, in seconds since 1970."
        expires = GaugeMetricFamily(PREFIX + "expires_timestamp_seconds", text, labels=labels)
        text = "When the stapled OCSP response runs out, in seconds since 1970."
        ocsp = GaugeMetricFamily(PREFIX + "ocsp_expires_timestamp_seconds", text, labels=labels)
        for listener, statistics in listeners.items():
            for credential in statistics.current.credentials:
                expires.add_metric([listener, credential.name], credential.not_after)
                if credential.staple is not None:
                    ocsp.add_metric([listener, credential.name], credential.staple.next_update)
        yield from (expires, ocsp)
