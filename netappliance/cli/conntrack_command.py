"""``twistd conntrack``: the tracker alone, with the flags of conntrack_exporter."""

from __future__ import annotations

import re
import time
from typing import Any

from twisted.application.service import IService, Service
from twisted.logger import Logger
from twisted.python import usage

from netappliance import __version__
from netappliance.cli.standalone_tracker import StandaloneService
from netappliance.config.values import stream_endpoint
from netappliance.tracker.collector import TrackerCollector
from netappliance.tracker.conntrack.ctnetlink import address
from netappliance.tracker.counting.hosts import ignore_rule
from netappliance.tracker.section import TrackerSection
from netappliance.tracker.service import TrackerService
from netappliance.tracker.sock_diag.socket_collector import SocketCollector
from netappliance.tracker.source_choice import ORDER

_log = Logger()


class Options(usage.Options):
    """Command line of ``twistd conntrack``."""

    synopsis = "[options]"
    longdesc = (
        "Shows the host's connections by state and remote end as Prometheus metrics. It needs CAP_NET_ADMIN and a "
        "ruleset that makes the kernel track connections; without either it shows this host's TCP sockets."
    )
    optParameters = [
        ["bind-address", "b", "0.0.0.0", "The address to serve metrics on."],  # noqa: S104 - the original's default
        ["listen-port", "l", "9318", "The port to serve metrics on."],
        ["listen-path", "p", "/metrics", "The path of the metrics."],
        ["ignore-hosts", "i", "", "Remote ends to leave out: addresses, networks, address:port; commas between them."],
        ["log-events-format", "f", "netfilter", "How events are printed: netfilter, or json."],
        ["source", "s", "auto", f"Where connections come from: auto, {', '.join(ORDER)}."],
    ]
    optFlags = [
        ["log-events", "e", "Print every connection event to standard output."],
        ["debug", "d", "Log what the host's own addresses and the ignored remote ends are."],
    ]

    section: TrackerSection
    listen: str

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"netappliance {__version__}")  # noqa: T201 - the command line's answer
        raise SystemExit(0)

    def opt_h(self) -> None:
        """Print this help and exit."""
        self.opt_help()

    def postOptions(self) -> None:
        """Convert the values; UsageError says what is wrong with one."""
        try:
            ignore = tuple(ignore_rule(each) for each in re.split(r"[,\s]+", self["ignore-hosts"]) if each)
        except ValueError as error:
            raise usage.UsageError(f"--ignore-hosts: expected {error}") from None
        escaped = self["bind-address"].replace(":", "\\:")
        self.listen = f"tcp:{self['listen-port']}:interface={escaped}"
        try:
            stream_endpoint(self.listen)
        except ValueError as error:
            raise usage.UsageError(f"--bind-address and --listen-port: expected {error}") from None
        if not re.fullmatch(r"/[!-~]*", self["listen-path"], re.ASCII):
            raise usage.UsageError("--listen-path: expected a path that begins with /")
        if self["source"] not in ("auto", *ORDER):
            raise usage.UsageError(f"--source: expected auto, {', '.join(ORDER)}")
        self.section = TrackerSection(
            ignore=ignore,
            source=self["source"],
            longterm=False,
            event_log="-" if self["log-events"] else "none",
            event_log_format="netfilter" if self["log-events-format"] == "netfilter" else "json",
            event_log_rate=0,
        )


def makeService(options: Options, reactor: Any = None) -> IService:
    """
    Build the exporter.

    :param reactor: Twisted's global reactor unless given.
    """
    if reactor is None:
        from netappliance.application import global_reactor

        reactor = global_reactor()
    tracker = TrackerService(options.section, reactor, time.monotonic, frozenset((int(options["listen-port"]),)))
    shown = [f"--{name}={options[name]}" for name, *_ in (*Options.optParameters, *Options.optFlags)]
    service = StandaloneService(
        tracker,
        (TrackerCollector(tracker), SocketCollector(tracker)),
        [options.listen],
        options["listen-path"],
        ("conntrack", shown),
        reactor,
    )
    if options["debug"]:
        Explanation(tracker, options["ignore-hosts"]).setServiceParent(service)
    return service


class Explanation(Service):
    """Says once, after the tracker has started, what it takes for its own and what it leaves out."""

    def __init__(self, tracker: TrackerService, ignored: str) -> None:
        self._tracker = tracker
        self._ignored = ignored

    def startService(self) -> None:
        """Log."""
        super().startService()
        local = sorted(address(packed) for packed in self._tracker.places.local)
        _log.info("this host's addresses: {local}", local=", ".join(local))
        _log.info("ignored remote ends: {ignored}", ignored=self._ignored or "none")
