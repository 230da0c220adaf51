"""A route in force."""

from __future__ import annotations

from typing import Any

from netappliance.http.routing.section import RouteSection, host_groups


class Route:
    """
    What the router finds for a request.

    :ivar name: of the section. :ivar cluster: where requests go, or empty: answered here.
    :ivar chain: the filters, set by whoever builds them; None when the route has none.
    :ivar methods: those it takes, None for all of them.
    :ivar log_text: what lines of the access log say of it, kept by whoever writes them; empty before the first.
    """

    __slots__ = ("_host_groups", "chain", "cluster", "hosts", "log_text", "methods", "name", "path", "section")

    def __init__(self, section: RouteSection) -> None:
        self.name = section.name
        self.cluster = section.cluster
        self.section = section
        self.chain: Any = None
        self.log_text = ""
        self.hosts = section.host
        self.path = section.path
        self._host_groups = host_groups(section)
        self.methods = frozenset(section.method) or None

    def matches(self, host: bytes, path: bytes, method: bytes) -> bool:
        """Say whether a request may take this route; what :class:`Router` finds without asking every route."""
        if self.methods is not None and method not in self.methods:
            return False
        if not self.path.fits(path):
            return False
        return any(pattern.fits(host) for pattern in self.hosts)

    def captures(self, host: bytes, path: bytes) -> tuple[bytes, ...]:
        """
        Return the captures of the host, then those of the path: the groups of regular expressions (empty where one took
        no part), the label that a ``*`` stands for, what follows a path prefix.

        Where the hosts of the route have different numbers of captures, the shorter ones are filled up with empty ones.

        :param host: as :attr:`netappliance.http.message.Request.host`. :param path: without the query.
        """
        found: tuple[bytes, ...] = ()
        for pattern in self.hosts:
            captures = pattern.match(host)
            if captures is not None:
                found = captures
                break
        found += (b"",) * (self._host_groups - len(found))
        return found + (self.path.match(b"/" if path == b"*" else path) or ())
