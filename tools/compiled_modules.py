"""
Which modules are compiled: the one list, read by setup.py and the tests; imports nothing of the package.

Every module of a room is compiled, but for those named with the reason why they stay interpreted.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

#: folders (with all below them) and single modules, below ``netappliance/``
ROOMS = (
    "clusters/availability.py",
    "clusters/backend.py",
    "clusters/backoff.py",
    "clusters/balancing/",
    "clusters/cluster.py",
    "clusters/conduct.py",
    "clusters/outliers.py",
    "clusters/retry_budget.py",
    "clusters/slow_start.py",
    "clusters/state.py",
    "config/regex.py",
    "dataplane/",
    "http/access_log.py",
    "http/answers.py",
    "http/backends/",
    "http/exchange/",
    "http/expansion.py",
    "http/fields.py",
    "http/filters/chain.py",
    "http/framing/",
    "http/frontend.py",
    "http/identity.py",
    "http/message.py",
    "http/record.py",
    "http/routing/",
    "http/statistics.py",
    "http/streams/",
    "logs/dates.py",
    "metrics/",
    "proxy_protocol/",
    "sessions/",
    "tcp/",
    "tls/alerts.py",
    "tls/client_hello.py",
    "tls/facts.py",
    "tls/handshakes.py",
    "tls/ja4.py",
    "tls/passing.py",
    "tls/server.py",
    "tracker/conntrack/",
    "tracker/counting/",
    "tracker/sock_diag/",
    "udp/",
)

#: module or folder of a room, or imported by one -> why it stays interpreted
INTERPRETED = {
    "tls/certificates/": "read at the start, and by a thread when files change",
    "tls/challenges.py": "runs while a certificate is ordered",
    "tls/contexts.py": "runs once a certificate",
    "tls/errors.py": "mypyc makes no subclass of OSError",
    "tls/keys.py": "read at the start",
    "clusters/balancing/__init__.py": "finds policies by name, at the start",
    "clusters/backend_section.py": "read at the start",
    "clusters/section.py": "read at the start",
    "config/answer_files.py": "read at the start",
    "config/values.py": "read at the start",
    "dataplane/listener_service.py": "its classes are Twisted services",
    "config/schema.py": "read at the start",
    "errors.py": "raised at the start",
    "filters/python.py": "used at the start",
    "http/filters/base.py": "plug-ins derive from it",
    "http/section.py": "read at the start",
    "http/routing/kind.py": "read at the start",
    "http/routing/redirect.py": "read at the start",
    "http/routing/section.py": "read at the start",
    "logs/access_log.py": "its class is a Twisted service",
    "tcp/collector.py": "runs at a scrape",
    "tcp/kind.py": "read at the start",
    "tcp/section.py": "read at the start",
    "tcp/service.py": "its class is a Twisted service",
    "tls/to_backends/": "runs once a handshake",
    "tracker/conntrack/dumps.py": "runs once a batch",
    "tracker/conntrack/enable.py": "runs at the start",
    "tracker/conntrack/event_log.py": "a plug-in of zope",
    "tracker/conntrack/nftables.py": "runs at the start",
    "tracker/conntrack/source.py": "runs once a batch",
    "tracker/counting/names.py": "it is Twisted's resolver",
    "tracker/counting/group_metrics.py": "made at the start",
    "tracker/sock_diag/socket_collector.py": "runs at a scrape",
    "tracker/sock_diag/socket_source.py": "runs once a batch",
    "tracker/sock_diag/diag_socket.py": "runs once a batch",
    "tracker/sock_diag/socket_tracking.py": "runs once a second",
    "tracker/sock_diag/cgroup_walk.py": "runs in a thread",
    "udp/collector.py": "runs at a scrape",
    "udp/kind.py": "read at the start",
    "udp/section.py": "read at the start",
    "udp/service.py": "its class is a Twisted service",
    "udp/resources.py": "used at the start",
    "udp/filters/__init__.py": "finds filters by name, at the start",
    "udp/filters/sections/": "read at the start",
}


def compiled_modules(root: Path) -> list[str]:
    """
    Return the paths of the modules to compile, relative to ``root``, sorted.

    :param root: the folder that holds ``netappliance/``.
    :raises ValueError: a room or an exception names nothing.
    """
    package = root / "netappliance"
    names = sorted(path.relative_to(package).as_posix() for path in package.rglob("*.py"))
    for rule in (*ROOMS, *INTERPRETED):
        if not any(matches(name, rule) for name in names):
            raise ValueError(f"tools/compiled_modules.py: there is no {rule}")
    chosen = (name for name in names if any(matches(name, room) for room in ROOMS))
    return [f"netappliance/{name}" for name in chosen if not interpreted(name)]


def interpreted(name: str) -> bool:
    """Say whether a module, by its path below the package, stays interpreted."""
    return any(matches(name, rule) for rule in INTERPRETED)


def matches(name: str, rule: str) -> bool:
    """Say whether a module's path is the rule's, or in its folder."""
    return name == rule or (rule.endswith("/") and name.startswith(rule))


def digests(root: Path, modules: list[str]) -> dict[str, str]:
    """Return path -> SHA-256 of each module's source."""
    return {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in modules}
