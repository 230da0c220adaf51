"""Backends that behave unlike the others are left alone for a while: Envoy's outlier detection. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from netappliance.clusters.backend import Backend
from netappliance.clusters.section import ClusterSection
from netappliance.clusters.state import BackendState

#: statuses that a gateway gives for what is behind it
GATEWAY_ERRORS: Final = (502, 503, 504)
#: with fewer backends that had enough requests there is no telling which of them is unlike the others
MIN_BACKENDS: Final = 3


class Outliers:
    """
    Judges the backends of one cluster: by failures in a row at once, by comparison at the end of each interval.

    :ivar active: anything is looked for.
    """

    __slots__ = ("_interval_at", "_section", "active")

    def __init__(self, section: ClusterSection) -> None:
        self._interval_at = 0.0
        self.configure(section)

    def configure(self, section: ClusterSection) -> None:
        """Take over a changed section; what was counted stays."""
        self._section = section
        self.active = bool(
            section.outlier_failures
            or section.outlier_gateway_errors
            or section.outlier_latency
            or section.outlier_success_rate
        )

    # -- one by one ---------------------------------------------------------------------------------------------------

    def responded(self, backend: Backend, status: int, seconds: float) -> str:
        """
        Count a response, or a request that none came for in time (504).

        :return: why the backend is to be ejected, empty if it is not.
        """
        conduct = backend.conduct
        conduct.requests += 1
        conduct.seconds += seconds
        conduct.failures = 0
        if status < 500:
            conduct.successes += 1
        if status not in GATEWAY_ERRORS:
            conduct.gateway_errors = 0
            return ""
        conduct.gateway_errors += 1
        limit = self._section.outlier_gateway_errors
        return f"{limit} gateway errors in a row" if limit and conduct.gateway_errors >= limit else ""

    def failed(self, backend: Backend) -> str:
        """Count a connection that could not be made or broke; as :meth:`responded`."""
        conduct = backend.conduct
        conduct.requests += 1
        conduct.failures += 1
        limit = self._section.outlier_failures
        return f"{limit} failures in a row" if limit and conduct.failures >= limit else ""

    # -- by comparison ------------------------------------------------------------------------------------------------

    def compare(self, backends: Sequence[Backend], now: float) -> list[tuple[Backend, str]]:
        """Return (backend, why it is to be ejected) at the end of an interval; nothing before."""
        if now < self._interval_at:
            return []
        section = self._section
        self._interval_at = now + section.outlier_interval_s
        asked = [backend for backend in backends if backend.conduct.requests >= section.outlier_min_requests]
        found: list[tuple[Backend, str]] = []
        if len(asked) >= MIN_BACKENDS:
            if section.outlier_success_rate:
                found += unsuccessful(asked, section.outlier_success_rate)
            if section.outlier_latency:
                found += slow(asked, section.outlier_latency)
        for backend in backends:
            conduct = backend.conduct
            conduct.next_interval()
            if conduct.ejections and now >= backend.ejected_until:
                conduct.ejections -= 1
        return found

    # -- ejection -----------------------------------------------------------------------------------------------------

    def eject(self, backends: Sequence[Backend], backend: Backend, now: float) -> bool:
        """
        Eject a backend, each time for longer; False when it is ejected already, or too many are, or it is the last.

        :param backends: all of the cluster.
        """
        section = self._section
        members = [other for other in backends if not other.draining]
        ejected = sum(now < other.ejected_until for other in members)
        if now < backend.ejected_until or (
            ejected and (ejected + 1) * 100 > section.outlier_max_ejected * len(members)
        ):
            return False
        if not any(other is not backend and other.state(now) is BackendState.UP for other in members):
            return False
        conduct = backend.conduct
        conduct.failures = conduct.gateway_errors = 0
        conduct.ejections += 1
        pause = min(section.outlier_time_s * conduct.ejections, section.outlier_max_time_s)
        backend.ejected_until = now + pause
        return True


def unsuccessful(backends: Sequence[Backend], deviations: float) -> list[tuple[Backend, str]]:
    """Return those whose share of successes is so many standard deviations below the mean, and why."""
    rates = [backend.conduct.successes / backend.conduct.requests for backend in backends]
    mean = sum(rates) / len(rates)
    least = mean - deviations * math.sqrt(sum((rate - mean) ** 2 for rate in rates) / len(rates))
    return [
        (backend, f"{rate:.1%} of its responses are successes, {mean:.1%} on average")
        for backend, rate in zip(backends, rates, strict=True)
        # what is equal may differ in its last digit
        if rate < least - 1e-9
    ]


def slow(backends: Sequence[Backend], factor: float) -> list[tuple[Backend, str]]:
    """Return those whose mean latency is more than so many times the median of all, and why."""
    means = [backend.conduct.seconds / backend.conduct.requests for backend in backends]
    median = sorted(means)[(len(means) - 1) // 2]
    return [
        (backend, f"its responses take {mean:.3f} s, {median:.3f} s is the median")
        for backend, mean in zip(backends, means, strict=True)
        if mean > factor * median
    ]
