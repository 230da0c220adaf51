"""``twistd proxy``: the command line, and the service tree that it runs."""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from netappliance import __version__
from netappliance.config.configuration import Configuration
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import read
from netappliance.errors import ConfigErrors
from netappliance.process.appliance import Appliance
from netappliance.process.build import this_build
from netappliance.process.lifecycle import ApplianceService


class Options(usage.Options):
    """Command line of ``twistd proxy``."""

    synopsis = "[options]"
    longdesc = (
        "Runs the network appliance that the configuration file describes. Every error of the file is reported at "
        "once, each as 'file: [section] key: why'. SIGTERM drains and stops, a second one stops at once; SIGUSR1 "
        "reopens log files."
    )
    optParameters = [["config", "c", "etc/proxy.ini", "The configuration file."]]
    optFlags = [["check", None, "Print every error of the file (exit 1), or the effective configuration (exit 0)."]]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.ini")})

    configuration: Configuration

    def opt_version(self) -> None:
        """Print the version and which build it is, and exit."""
        print(f"netappliance {__version__} ({this_build()})")  # noqa: T201 - the command line's answer
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the configuration; a bad one ends the process with status 1 and no traceback."""
        try:
            self.configuration = read(Path(self["config"]), section_kinds())
        except ConfigErrors as errors:
            sys.stderr.write(f"{errors}\n")
            raise SystemExit(1) from None
        if self["check"]:
            sys.stdout.write(self.configuration.text())
            raise SystemExit(0)


def global_reactor() -> Any:
    """Return Twisted's reactor, on a monotonic clock."""
    from twisted.internet import reactor  # the one place that knows it

    # Twisted's delayed calls follow the wall clock: set back by an hour, it would stop every timer for that hour
    known: Any = reactor
    known.seconds = time.monotonic
    known.callWhenRunning(settle_memory)
    return known


def settle_memory() -> None:
    """
    Take what the start made out of the collections of garbage to come: it stays until the end.

    Modules and configuration are some 100 000 objects; to visit them all holds the reactor for 20 ms every time. What
    comes later is hardly ever garbage that refers to itself, so the young are looked at less often than by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 10, 10)


def makeService(options: Options, reactor: Any = None) -> IService:
    """
    Build the whole service tree; nothing is bound, opened or started before the tree is started.

    :param reactor: Twisted's global reactor unless given.
    """
    appliance = Appliance(options.configuration, global_reactor() if reactor is None else reactor)
    return ApplianceService(appliance, section_kinds(), options.parent or {})
