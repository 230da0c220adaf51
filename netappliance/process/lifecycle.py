"""Ordered start and stop: bind everything, serve, drain, close."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.application.service import IService, IServiceCollection, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from netappliance import __version__
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.health.service import HealthService
from netappliance.clusters.resolver import ResolverService
from netappliance.config.loader import endpoints_of
from netappliance.config.plugins import find
from netappliance.errors import StartError
from netappliance.interfaces import IConnectionObserver
from netappliance.logs.access_log import make_access_log
from netappliance.logs.diagnostics import install_log_observer
from netappliance.process import descriptors
from netappliance.process.build import this_build
from netappliance.process.descriptors import DescriptorPlan
from netappliance.process.signals import on_signals
from netappliance.process.status import Status
from netappliance.sessions.reasons import SHUTDOWN

if TYPE_CHECKING:
    from netappliance.config.kinds import Kinds
    from netappliance.process.appliance import Appliance

_log = Logger()

#: stages in the order of their start; they stop in reverse
STAGES = ("admin", "support", "traffic")


class ApplianceService(MultiService):
    """
    The root of the service tree.

    Start: admin pages (``/ready`` says 503), supporting services (name resolution, health, demo backends), then
    traffic. Stop: traffic stops accepting, live sessions drain until ``shutdown_grace``, what is left closes with cause
    ``shutdown``, then the rest stops in reverse. A MultiService alone stops all children at once, without waiting in
    between.
    """

    def __init__(self, appliance: Appliance, kinds: Kinds, twistd: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.appliance = appliance
        self.status = appliance.shared(Status, Status)
        self.stages: dict[str, list[IService]] = {stage: [] for stage in STAGES}
        self._twistd = twistd or {}
        self._foreground = bool(self._twistd.get("nodaemon"))
        self._pidfile: str | None = self._twistd.get("pidfile") if self._foreground else None
        self._sweeps: list[LoopingCall] = []
        self._drained: Deferred[None] | None = None
        self._signals = 0
        self._build(kinds)

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Twistd calls this before it starts logging: the moment to make it log our way."""
        section = self.appliance.configuration.appliance
        try:
            observer = install_log_observer(parent, section.log_format, self._twistd, section.log_level)
        except StartError as error:
            self._refuse(error)
        self.status.log_observer = observer
        if observer is not None:
            self.appliance.reopeners.append(observer.reopen)
        super().setServiceParent(parent)

    def _refuse(self, error: StartError) -> NoReturn:
        # twistd has turned sys.stderr into log events by now; the operator looks at the real one
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"netappliance: {error}\n")
        if self._pidfile:
            Path(self._pidfile).unlink(missing_ok=True)
        raise SystemExit(1) from None

    def _build(self, kinds: Kinds) -> None:
        appliance, configuration = self.appliance, self.appliance.configuration
        for section in configuration.sections("cluster"):
            appliance.clusters[section.name] = Cluster(section, appliance.rng)
        for name in configuration.appliance.observers:
            appliance.sessions.observers.append(find(IConnectionObserver, name))
        access_log = make_access_log(configuration.appliance, appliance.clock, appliance.reactor)
        if access_log is not None:
            appliance.share(access_log)
            appliance.sessions.observers.append(access_log)
            appliance.reopeners.append(access_log.reopen)
            self._adopt(access_log, "admin")
        if appliance.clusters:
            self._adopt(ResolverService(appliance.clusters, appliance.reactor), "support")
            self._adopt(HealthService(appliance.clusters, appliance.reactor, appliance.rng), "support")
        for kind in kinds.services(configuration):
            for section in configuration.sections(kind.kind):
                self._adopt(kind.make_service(section, appliance), getattr(kind, "stage", "traffic"))

    def _adopt(self, service: IService, stage: str) -> None:
        self.stages[stage].append(service)
        service.setServiceParent(self)

    # -- start --------------------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        Bind every address and open every file, before privileges are dropped.

        :raises StartError: in a daemon, where twistd hands it to the waiting parent; in the foreground it is printed
            and the process ends with status 1.
        """
        try:
            for service in self._in_order():
                service.privilegedStartService()
        except StartError as error:
            for service in reversed(self._in_order()):
                maybeDeferred(service.stopService)
            if not self._foreground:
                raise
            self._refuse(error)

    def startService(self) -> None:
        """Start the stages in order; ready when the last one is."""
        appliance = self.appliance
        plan = self._fit_descriptors()
        if not plan.enough:
            _log.warn(
                "RLIMIT_NOFILE is {available} and cannot be raised; the limits need {needed}: max_connections is "
                "lowered to {connections} and accept_queue_size to {queue}",
                available=plan.available,
                needed=plan.needed,
                connections=plan.max_connections,
                queue=plan.accept_queue_size,
            )
        for cluster in appliance.clusters.values():
            if cluster.section.tls is not None and not cluster.section.tls.verify:
                _log.warn(
                    "[cluster {cluster}] tls = insecure: whoever answers at its backends' addresses is believed",
                    cluster=cluster.name,
                )
        appliance.poller.start()
        self._every(appliance.timers.tick, lambda: appliance.timers.advance(appliance.poller.tick()))
        zombies = appliance.configuration.appliance.zombie_check_interval_s
        if zombies:
            self._every(zombies, lambda: appliance.sessions.sweep_zombies(appliance.clock(), zombies), now=False)
        self.running = True
        for service in self._in_order():
            service.startService()
        self.status.ready = True
        appliance.reactor.callWhenRunning(self._install_signals)
        build = this_build()
        if build.changed:
            _log.warn("the compiled modules are not of the sources beside them: {changed}", changed=build.changed)
        _log.info("netappliance {version} ({build})", version=__version__, build=str(build))
        for line in self._where():
            _log.info("{line}", line=line)
        _log.info("ready: {count} services", count=len(self.services))

    def _where(self) -> Iterator[str]:
        """Yield a line for each section that listens: on what, and where to look for admin pages."""
        for (kind, name), section in self.appliance.configuration.parsed.items():
            endpoints = [endpoint.text for _, endpoint in endpoints_of(section)]
            if endpoints:
                yield f"[{kind} {name}]".replace(" ]", "]") + f" listens on {', '.join(endpoints)}"

    def _fit_descriptors(self) -> DescriptorPlan:
        """Raise RLIMIT_NOFILE to what the limits need; where that fails, lower the limits to what there is."""
        appliance, section = self.appliance, self.appliance.configuration.appliance
        everyone = [listener for group in appliance.listeners.values() for listener in group]
        needs = (section.max_connections, section.accept_queue_size, len(everyone), appliance.other_descriptors)
        plan = descriptors.plan(descriptors.raise_limit(descriptors.plan(0, *needs).needed), *needs)
        appliance.admission.set_limit(plan.max_connections)
        for listener in everyone:
            listener.queue.limit = plan.accept_queue_size
        return plan

    def _in_order(self) -> list[IService]:
        return [service for stage in STAGES for service in self.stages[stage]]

    def _every(self, seconds: float, call: Any, *, now: bool = True) -> None:
        sweep = LoopingCall(call)
        sweep.clock = self.appliance.reactor
        sweep.start(seconds, now=now).addErrback(
            lambda failure: _log.failure("a periodic task of the appliance ended", failure=failure)
        )
        self._sweeps.append(sweep)

    # -- signals ------------------------------------------------------------------------------------------------------

    def _install_signals(self) -> None:
        stops = dict.fromkeys((signal.SIGTERM, signal.SIGINT), self._stop_requested)
        on_signals(self.appliance.reactor, {**stops, signal.SIGUSR1: self._reopen})

    def _reopen(self, _: signal.Signals) -> None:
        for reopen in self.appliance.reopeners:
            reopen()

    def _stop_requested(self, received: signal.Signals) -> None:
        self._signals += 1
        name = received.name
        if self._signals == 1:
            _log.info("{name}: draining", name=name)
            self.appliance.reactor.stop()
        else:
            _log.info("{name} again: stopping at once", name=name)
            self._finish_drain()

    # -- stop ---------------------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        appliance = self.appliance
        self.status.ready = False
        self.status.draining = True
        await self._stop_stage("traffic")
        await self._drain()
        appliance.sessions.close_all(SHUTDOWN)
        await self._stop_stage("support")
        await self._stop_stage("admin")
        for sweep in self._sweeps:
            if sweep.running:
                sweep.stop()
        appliance.poller.stop()
        self.running = False
        _log.info("stopped")

    def stopService(self) -> Deferred[None]:
        """Drain and stop; fires when all is closed."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop_stage(self, stage: str) -> None:
        for service in reversed(self.stages[stage]):
            try:
                await maybeDeferred(service.stopService)
            except Exception:  # noqa: BLE001 - one service that fails to stop must not keep the others running
                _log.failure("{service} failed to stop", service=type(service).__name__)

    async def _drain(self) -> None:
        grace = self.appliance.configuration.appliance.shutdown_grace_s
        if not len(self.appliance.sessions) or not grace or self._signals > 1:
            return
        _log.info("draining {count} sessions for at most {grace} s", count=len(self.appliance.sessions), grace=grace)
        self._drained = Deferred()
        deadline = self.appliance.reactor.callLater(grace, self._finish_drain)
        self.appliance.sessions.when_empty(self._finish_drain)
        await self._drained
        if deadline.active():
            deadline.cancel()

    def _finish_drain(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)
