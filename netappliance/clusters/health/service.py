"""Runs the checks of all clusters."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as ProbeTimeout
from twisted.internet.error import ConnectError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure

from netappliance.clusters.backend import Backend
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.health import HealthSpec
from netappliance.clusters.health.http_answer import CheckFailed
from netappliance.clusters.health.state import HealthState, first_delay, next_delay
from netappliance.interfaces import ITlsHealthCheck
from netappliance.tls.to_backends.checks import CheckConnections

_log = Logger()

#: checks under way in the whole process; further ones wait in line
MAX_PROBES = 32


class _Checked:
    """One backend under checks: its state, and either the call that begins the next check or the check under way."""

    __slots__ = ("backend", "call", "cluster", "probe", "spec", "state")

    def __init__(self, cluster: Cluster, backend: Backend, spec: HealthSpec) -> None:
        self.cluster = cluster
        self.backend = backend
        self.spec = spec
        self.state = HealthState(spec.rise, spec.fall, healthy=backend.healthy, checking=backend.checking)
        self.call: Any = None
        self.probe: Deferred[None] | None = None


class HealthService(Service):
    """
    Checks each backend again and again, ``interval`` after the end of its last check, and tells its cluster.

    Backends that join are checked, those that leave or drain no longer; a cluster whose ``health_check`` is taken away
    counts all of its backends as well.

    :ivar in_flight: checks under way.
    """

    name = "health"

    def __init__(self, clusters: Mapping[str, Cluster], reactor: Any, rng: random.Random) -> None:
        self.in_flight = 0
        self._waiting: dict[_Checked, None] = {}
        self._clusters = clusters
        self._reactor = reactor
        self._rng = rng
        self._checked: dict[str, dict[Backend, _Checked]] = {name: {} for name in clusters}

    def startService(self) -> None:
        """Begin to check, and to follow the clusters' members."""
        super().startService()
        for cluster in self._clusters.values():
            cluster.watchers.append(self.members_changed)
            self.members_changed(cluster)

    def stopService(self) -> None:
        """Give up what is under way; the backends keep their state."""
        for name, cluster in self._clusters.items():
            if self.members_changed in cluster.watchers:
                cluster.watchers.remove(self.members_changed)
            checked = self._checked[name]
            for backend in list(checked):
                self._end(checked.pop(backend))
        super().stopService()

    def members_changed(self, cluster: Cluster) -> None:
        """Check who is there now, in the way that the section says now."""
        checked = self._checked[cluster.name]
        spec = cluster.section.health_check
        members = [backend for backend in cluster.backends if not backend.draining] if spec is not None else []
        for backend in list(checked):
            if backend not in members or checked[backend].spec != spec:
                self._end(checked.pop(backend))
        if spec is None:
            for backend in cluster.backends:
                cluster.set_health(backend, True, self._reactor.seconds(), "it has no health check any more")
            return
        for backend in members:
            if backend not in checked:
                one = checked[backend] = _Checked(cluster, backend, spec)
                self._later(one, first_delay(spec.interval_s, self._rng))

    def _later(self, one: _Checked, seconds: float) -> None:
        one.call = self._reactor.callLater(seconds, self._begin, one)

    def _begin(self, one: _Checked) -> None:
        if self.in_flight >= MAX_PROBES:
            one.call = None
            self._waiting[one] = None
            return
        one.call = None
        self.in_flight += 1
        spec, backend = one.spec, one.backend
        sockaddr = backend.sockaddr
        if spec.port and backend.family != socket.AF_UNIX:
            sockaddr = (sockaddr[0], spec.port)
        timeout_s = spec.timeout_s
        asked: tuple[Any, ...] = (backend.family, sockaddr, spec.settings, self._reactor, timeout_s)
        if backend.tls is not None and spec.tls and ITlsHealthCheck.providedBy(spec.check):
            ask, asked = spec.check.probe_tls, (*asked, CheckConnections(backend.tls))
        else:
            ask = spec.check.probe
        # a kind of somebody else's may raise
        probe: Deferred[None] = maybeDeferred(ask, *asked)
        one.probe = probe
        probe.addTimeout(timeout_s, self._reactor)
        probe.addCallbacks(lambda _: self._passed(one), lambda failure: self._failed(one, failure))
        probe.addErrback(lambda failure: _log.failure("a health check's result was lost", failure=failure))

    def _ended(self) -> None:
        """A check ended: the one that waits longest may begin."""
        self.in_flight -= 1
        for one in self._waiting:
            del self._waiting[one]
            self._later(one, 0.0)
            break

    def _passed(self, one: _Checked) -> None:
        self._ended()
        if one.probe is None:
            return
        one.backend.checks_passed_total += 1
        if one.state.observe(passed=True):
            why = f"health check {one.spec.kind} passed"
            one.cluster.set_health(one.backend, True, self._reactor.seconds(), why)
        self._again(one)

    def _failed(self, one: _Checked, failure: Failure) -> None:
        self._ended()
        if one.probe is None:
            return
        one.backend.checks_failed_total += 1
        if one.state.observe(passed=False):
            why = f"health check {one.spec.kind}: {_why(failure)}"
            one.cluster.set_health(one.backend, False, self._reactor.seconds(), why)
        self._again(one)

    def _again(self, one: _Checked) -> None:
        one.probe = None
        self._later(one, next_delay(one.spec.interval_s, self._rng, checking=one.state.checking))

    def _end(self, one: _Checked) -> None:
        self._waiting.pop(one, None)
        call, one.call = one.call, None
        if call is not None and call.active():
            call.cancel()
        probe, one.probe = one.probe, None
        if probe is not None:
            probe.cancel()


def _why(failure: Failure) -> str:
    if failure.check(CancelledError, ProbeTimeout, ConnectTimeout):
        return "no answer in time"
    if failure.check(CheckFailed, ConnectError, OSError):
        return failure.getErrorMessage()
    return f"{failure.type.__name__ if failure.type else ''}: {failure.getErrorMessage()}"
