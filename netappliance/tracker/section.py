"""The ``[tracker]`` section."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from netappliance.config import plugins as installed
from netappliance.config import values
from netappliance.config.schema import option
from netappliance.interfaces import IConnectionSource
from netappliance.tracker.counting.hosts import ignore_rule
from netappliance.tracker.counting.places import Group, group_rule
from netappliance.tracker.source_choice import ORDER


def _ports(value: str) -> frozenset[int] | None:
    """Ports, or None for ``all``; empty = those that listen."""
    if value == "all":
        return None
    try:
        return frozenset(values.list_of(values.integer(1, 65535))(value))
    except ValueError:
        raise ValueError("ports from 1 to 65535, or all") from None


def _source(value: str) -> str:
    ours = ("auto", *ORDER)
    if value not in ours:
        others = [name for name in installed.names(IConnectionSource) if name not in ours]
        return values.choice(*ours, *others)(value)
    return value


def _namespaces(value: str) -> tuple[str, ...]:
    names = values.words(value)
    if len(names) > MAX_NAMESPACES or len(set(names)) < len(names):
        raise ValueError(f"at most {MAX_NAMESPACES} names, each once")
    if not all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name) for name in names):
        raise ValueError("names of /run/netns, of letters, digits, _ . and -")
    return names


def _ignore(value: str) -> Callable[[bytes, int], bool]:
    return ignore_rule(value)


def _groups(value: str) -> tuple[Group, ...]:
    found = tuple(group_rule(line) for line in values.lines(value))
    if len(found) > MAX_GROUPS:
        raise ValueError(f"at most {MAX_GROUPS} groups")
    if len({group.name for group in found}) < len(found):
        raise ValueError("each group's name once")
    return found


MAX_NAMESPACES = 64
"""Every namespace has sockets and a budget of series of its own."""

MAX_GROUPS = 256
"""Every group has some forty series of its own, and every new remote end is compared with all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSection:
    """The host's connections by state and remote end, from the kernel's connection tracking or its sockets."""

    source: str = option(
        _source,
        "auto",
        doc="Who tells: conntrack (forwarded traffic and all protocols; needs CAP_NET_ADMIN), sock_diag (this "
        "host's TCP sockets, needs no rights), proc (/proc/net/tcp, the last resort), auto for the best of these, "
        "or a plug-in's name.",
    )
    enable: bool = option(
        values.boolean,
        "no",
        doc="Make the kernel track connections as long as the appliance runs, by an nftables table of its own "
        "(inet netappliance) with one rule that no packet passes. Linux tracks none until some ruleset asks for it.",
    )
    ignore: tuple[Callable[[bytes, int], bool], ...] = option(
        values.list_of(_ignore),
        "127.0.0.0/8, ::1/128",
        unit="addresses",
        doc="Remote ends that get no series: address, network, or address:port ([v6]:port).",
    )
    groups: tuple[Group, ...] = option(
        _groups,
        "",
        unit="NAME = CIDR[,CIDR...][:PORT]",
        doc="Groups of connections with counters of their own, one per line: networks of the remote end, and the "
        "service's port; the first that matches wins, the rest is group other.",
        example="db = 10.1.0.0/16, [2001:db8::/32]:5432",
    )
    expected: tuple[str, ...] = option(
        values.words,
        "",
        unit="names",
        doc="Groups that should always have an open connection; each has a gauge that is 0 while it has none.",
    )
    max_hosts: int = option(
        values.integer(1, 100_000),
        "200",
        unit="series",
        doc='Series budget: the busiest hosts; further ones are host="other".',
    )
    keep_s: float = option(
        values.duration,
        "10m",
        key="keep",
        unit="duration",
        doc="How long a host without connections keeps its zeros, so that an alert on a broken link works.",
    )
    names: bool = option(
        values.boolean,
        "no",
        doc="Show host names instead of addresses where a reverse lookup gives one. Who owns an address chooses them.",
    )
    longterm: bool = option(
        values.boolean, "yes", doc="Show netstat_tcp_longterm_connections_total, as tcp_established_exporter does."
    )
    longterm_duration_s: float = option(
        values.duration,
        "6s",
        key="longterm_duration",
        unit="duration",
        doc="Age from which on a connection is long-lived.",
    )
    longterm_ports: frozenset[int] | None = option(
        _ports,
        "",
        unit="ports",
        doc="Local ports to show; empty = those that listen, all = ephemeral ones too, at most max_hosts of them.",
    )
    longterm_versions: tuple[str, ...] = option(
        values.list_of(values.choice("4", "6")),
        "4, 6",
        unit="versions of IP",
        doc="What to count; IPv4 clients of IPv6 sockets are version 4.",
    )
    longterm_simple: bool = option(values.boolean, "no", doc="One number without the labels port and tcp_version.")
    tcp_info: bool = option(
        values.boolean,
        "yes",
        doc="Read round-trip times and retransmissions from this host's TCP sockets, whatever the source is.",
    )
    max_cgroups: int = option(
        values.integer(0, 10_000),
        "0",
        unit="series",
        doc="TCP traffic and connections by control group, the first so many of them each by itself; 0 = off.",
    )
    cgroup_root: str = option(
        values.text, "/sys/fs/cgroup", unit="path", doc="Where the cgroup v2 hierarchy is mounted, for their names."
    )
    socket_interval_s: float = option(
        values.positive_duration,
        "1s",
        key="socket_interval",
        unit="duration",
        doc="How often sockets are read (1s or more); less often where a reading takes more than a tenth of that.",
    )
    event_log: str = option(
        values.text,
        "none",
        unit="- | path | none",
        doc="Where a line for each event of conntrack goes: standard output, a file (reopened on SIGUSR1), nowhere.",
    )
    event_log_format: str = option(
        values.choice("json", "netfilter"), "json", doc="Form of the event log: JSON, or as conntrack -E prints it."
    )
    event_log_rate: int = option(
        values.integer(0, 1_000_000),
        "1000",
        unit="lines a second",
        doc="Events beyond this get no line and are counted; 0 = no limit.",
    )
    namespaces: tuple[str, ...] = option(
        _namespaces,
        "",
        unit="names",
        doc="Network namespaces of /run/netns whose connections are read too (needs CAP_SYS_ADMIN); their hosts are "
        'host="NAME/...", each has max_hosts of them.',
    )
    receive_buffer: int = option(
        values.size, "32MiB", unit="size", doc="Kernel buffer for events; the kernel may give less without rights."
    )
    reconcile_s: float = option(
        values.positive_duration,
        "60s",
        key="reconcile",
        unit="duration",
        doc="How often the kernel's whole table is read again, even when no event was lost.",
    )
