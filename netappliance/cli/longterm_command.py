"""``twistd longterm``: long-lived TCP connections alone, with the settings of tcp_established_exporter."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from netappliance import __version__
from netappliance.cli.longterm_settings import DEFAULTS, LongTermSettings, normalized, parse_file, settings
from netappliance.cli.standalone_tracker import StandaloneService
from netappliance.tracker.section import TrackerSection
from netappliance.tracker.service import TrackerService
from netappliance.tracker.sock_diag.socket_collector import SocketCollector

_MAX_FILE_BYTES = 1 << 20


class Options(usage.Options):
    """Command line of ``twistd longterm``."""

    synopsis = "[options]"
    longdesc = (
        "Counts the TCP connections that have been established for a while, by local port. Each setting is a flag, an "
        "environment variable of the same name in capitals, or a line 'key value' of the file; the flag wins, then the "
        "variable."
    )
    optParameters = [
        ["simple", None, None, "true: one number without labels (false)."],
        ["tcpv6", None, None, "false: leave IPv6 out (true)."],
        ["port", None, None, "The local port to count; -1 = every one that listens (-1)."],
        ["listen", None, None, "The port to serve metrics on (9690 and 9669)."],
        ["duration", None, None, "Seconds from which on a connection counts (6)."],
        ["config", None, None, "A file of lines 'key value' or 'key=value'."],
    ]

    settings: LongTermSettings

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"netappliance {__version__}")  # noqa: T201 - the command line's answer
        raise SystemExit(0)

    def opt_h(self) -> None:
        """Print this help and exit."""
        self.opt_help()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take the original's spellings: one dash, and booleans without a value."""
        super().parseOptions(normalized(options or ()))

    def postOptions(self) -> None:
        """Put flags, environment and file together; UsageError says what is wrong."""
        flags = {name: self[name] for name in DEFAULTS if self[name] is not None}
        path = flags.get("config") or os.environ.get("CONFIG", "")
        try:
            self.settings = settings(flags, os.environ, _read(path) if path else {})
        except ValueError as error:
            raise usage.UsageError(str(error)) from None


def _read(path: str) -> dict[str, str]:
    """Read the file. :raises ValueError: it cannot be read, is too large, or holds an unknown key."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"config {path}: {error.strerror if isinstance(error, OSError) else error}") from None
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError(f"config {path}: larger than 1 MiB")
    try:
        return parse_file(data.decode("utf-8", "replace"))
    except ValueError as error:
        raise ValueError(f"config {path}: {error}") from None


def makeService(options: Options, reactor: Any = None) -> IService:
    """
    Build the exporter.

    :param reactor: Twisted's global reactor unless given.
    """
    if reactor is None:
        from netappliance.application import global_reactor

        reactor = global_reactor()
    chosen = options.settings
    section = TrackerSection(
        source="sockets",
        longterm=True,
        longterm_simple=chosen.simple,
        longterm_versions=("4", "6") if chosen.tcpv6 else ("4",),
        longterm_duration_s=float(chosen.duration_s),
        longterm_ports=frozenset((chosen.port,)) if chosen.port else frozenset(),
        tcp_info=False,
    )
    tracker = TrackerService(section, reactor, time.monotonic, frozenset(chosen.listen))
    shown = {
        "simple": str(chosen.simple).lower(),
        "tcpv6": str(chosen.tcpv6).lower(),
        "port": chosen.port or "-1 (every port that listens)",
        "listen": " and ".join(map(str, chosen.listen)),
        "duration": chosen.duration_s,
    }
    return StandaloneService(
        tracker,
        (SocketCollector(tracker),),
        [f"tcp:{port}" for port in chosen.listen],
        "/metrics",
        ("longterm", [f"{name}: {value}" for name, value in shown.items()]),
        reactor,
    )
