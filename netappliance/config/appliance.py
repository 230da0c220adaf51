"""The ``[appliance]`` section: what holds for the whole process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from netappliance.config import values
from netappliance.config.schema import option, suggestion
from netappliance.errors import ConfigProblem
from netappliance.interfaces import ISectionKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplianceSection:
    """Limits, logs and the end of the process."""

    max_connections: int = option(
        values.integer(1, 10_000_000),
        "10000",
        unit="connections",
        doc="Client connections of the whole process; more wait in the accept queues until fewer than 90 % are left.",
    )
    accept_queue_size: int = option(
        values.integer(1, 1_000_000),
        "1024",
        unit="connections",
        doc="Accepted connections that may wait for each listener; more are closed and counted.",
    )
    accept_queue_timeout_s: float = option(
        values.duration,
        "60s",
        key="accept_queue_timeout",
        unit="duration",
        doc="The queue is served newest first; connections that waited longer are closed and counted. 0 = never.",
    )
    zombie_check_interval_s: float = option(
        values.duration,
        "30m",
        key="zombie_check_interval",
        unit="duration",
        doc="Sessions without any event for this long are closed, logged with their state and counted. 0 = never.",
    )
    shutdown_grace_s: float = option(
        values.duration,
        "30s",
        key="shutdown_grace",
        unit="duration",
        doc="After SIGTERM or SIGINT live sessions may end by themselves for this long.",
    )
    log_format: str = option(values.choice("text", "json"), "text", doc="Form of the diagnostics.")
    log_level: str = option(
        values.choice("debug", "info", "warn", "error"), "info", doc="Diagnostics below this level are left out."
    )
    access_log: str = option(
        values.text,
        "-",
        unit="- | path | none",
        doc="Where the line of each ended session goes: standard output, a file, nowhere.",
    )
    access_log_format: str = option(values.choice("json", "common"), "json", doc="Form of the access log.")
    access_log_buffer: int = option(
        values.size,
        "1MiB",
        unit="size",
        doc="Lines that may wait while the access log takes none (disk full, reader stuck); more are lost and counted.",
    )
    observers: tuple[str, ...] = option(
        values.words,
        unit="names",
        doc="Connection observers (plug-ins of IConnectionObserver) told of every session's open and close.",
    )


@implementer(ISectionKind)
class ApplianceKind:
    """``[appliance]``; in force even when the file has none."""

    kind = "appliance"
    named = False
    always = True
    schema = ApplianceSection

    def check(self, section: Any, configuration: Configuration) -> Iterable[ConfigProblem]:
        """The observers must be installed."""
        from netappliance.config.plugins import find, names
        from netappliance.interfaces import IConnectionObserver

        for name in section.observers:
            try:
                find(IConnectionObserver, name)
            except ValueError as error:
                why = f"unknown observer{suggestion(name, names(IConnectionObserver))}"
                yield ConfigProblem("appliance", "observers", why, name, str(error))
