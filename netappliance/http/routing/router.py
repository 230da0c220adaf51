"""
Finding the route of a request, at the same cost for ten hosts and for ten thousand. Regular expressions that compete
are matched in one pass.

1. ``pre`` routes in the order of the file; the first that matches.
2. ``tree``: the routes of one host. Which one: the exact name, else the wildcard of its domain, else the host with
   regular expressions in some labels that shares the most literal labels at its end, else regular expressions for whole
   hosts, in the order of the file. There is no way back to another host when the paths of this one do not match, but to
   the routes of ``*``, which take what is left.
3. ``post`` routes in the order of the file.

Among the routes of a host: ``=exact`` and ``~regex`` that name the method, the first of the file; then those for any
method, the last of the file; then the longest prefix, where one that names the method goes before one that does not,
and the later before the earlier.
"""

from __future__ import annotations

from collections.abc import Iterable

from netappliance.config.regex import RegexSet
from netappliance.http.routing.patterns import MAX_REGEX_HOST, MAX_REGEX_PATH, HostPattern, compressed
from netappliance.http.routing.route import Route


class _Choice:
    """Routes that differ in their methods only."""

    __slots__ = ("any", "by_method")

    def __init__(self) -> None:
        self.any: Route | None = None
        self.by_method: dict[bytes, Route] = {}

    def add(self, route: Route) -> None:
        """The later one wins."""
        if route.methods is None:
            self.any = route
        else:
            self.by_method.update(dict.fromkeys(route.methods, route))


class _Paths:
    """
    The routes of one host.

    :ivar only: the route, when there is just one and it is a prefix for any method. :ivar prefix: of that one.
    """

    __slots__ = ("_exact", "_lengths", "_order", "_prefixes", "_regexes", "_set", "only", "prefix")

    def __init__(self) -> None:
        self.only: Route | None = None
        self.prefix = b""
        self._order: dict[Route, int] = {}
        self._exact: dict[bytes, list[Route]] = {}
        self._regexes: list[Route] = []
        #: of the paths of ``_regexes``; made by :meth:`seal`
        self._set: RegexSet | None = None
        self._prefixes: dict[bytes, _Choice] = {}
        self._lengths: tuple[int, ...] = ()

    def add(self, route: Route) -> None:
        """Take a route in; call in the order of the file."""
        path = route.path
        self._order[route] = len(self._order)
        if path.form == "exact":
            self._exact.setdefault(path.value, []).append(route)
        elif path.form == "regex":
            self._regexes.append(route)
        else:
            self._prefixes.setdefault(path.value, _Choice()).add(route)
            self._lengths = tuple(sorted({len(prefix) for prefix in self._prefixes}, reverse=True))
        simple = len(self._order) == 1 and path.form == "prefix" and route.methods is None
        self.only, self.prefix = (route, path.value) if simple else (None, b"")

    def seal(self) -> None:
        """Make ready, after the last route; what many regular expressions need is made once."""
        self._set = _path_set(self._regexes)

    def find(self, path: bytes, method: bytes) -> Route | None:
        """Return the route for a path and method; see the module for which."""
        if self._exact or self._regexes:
            found = self._find_special(path, method)
            if found is not None:
                return found
        for length in self._lengths:
            choice = self._prefixes.get(path[:length])
            if choice is not None:
                found = choice.by_method.get(method, choice.any)
                if found is not None:
                    return found
        return None

    def _find_special(self, path: bytes, method: bytes) -> Route | None:
        matching = self._exact.get(path, _NO_ROUTES)
        if self._set is not None and len(path) <= MAX_REGEX_PATH:
            numbers = self._set.matching(path)
            if numbers:
                regexes = [self._regexes[number] for number in numbers]
                matching = sorted(matching + regexes, key=self._order.__getitem__) if matching else regexes
        for_any: Route | None = None
        for route in matching:
            methods = route.methods
            if methods is None:
                for_any = route
            elif method in methods:
                return route
        return for_any


class _InOrder:
    """Routes of which the first that matches is taken: those before and after the tree."""

    __slots__ = ("_others", "_regexes", "_set")

    def __init__(self, routes: list[Route]) -> None:
        #: (place in the file, route)
        self._regexes = [(place, route) for place, route in enumerate(routes) if route.path.regex is not None]
        self._others = [(place, route) for place, route in enumerate(routes) if route.path.regex is None]
        self._set = _path_set([route for _, route in self._regexes])

    def __bool__(self) -> bool:
        return bool(self._regexes or self._others)

    def find(self, host: bytes, path: bytes, method: bytes) -> Route | None:
        """Return the first route that a request may take."""
        candidates = self._others
        if self._set is not None and len(path) <= MAX_REGEX_PATH:
            numbers = self._set.matching(path)
            if numbers:
                candidates = sorted(candidates + [self._regexes[number] for number in numbers], key=_place)
        for _, route in candidates:
            if route.matches(host, path, method):
                return route
        return None


class _RegexHosts:
    """Routes of the hosts that are regular expressions; the first expression of the file that matches is taken."""

    __slots__ = ("_hosts", "_paths", "_set")

    def __init__(self, hosts: dict[str, tuple[HostPattern, _Paths]]) -> None:
        self._paths = [paths for _, paths in hosts.values()]
        regexes = [pattern.regex for pattern, _ in hosts.values() if pattern.regex is not None]
        self._set = RegexSet(regexes)

    def find(self, host: bytes) -> _Paths | None:
        """Return the routes of a host."""
        numbers = self._set.matching(host) if len(host) <= MAX_REGEX_HOST else None
        return self._paths[numbers[0]] if numbers else None


class Router:
    """The routes of one listener; asked for every request."""

    __slots__ = (
        "_any",
        "_default",
        "_early",
        "_hosts",
        "_labelled",
        "_post",
        "_pre",
        "_preceding",
        "_regex_hosts",
        "_wildcards",
    )

    def __init__(self, routes: Iterable[Route]) -> None:
        """Take routes in the order of the file."""
        #: path -> route that goes before all others
        self._preceding: dict[bytes, Route] = {}
        self._hosts: dict[bytes, _Paths] = {}
        self._wildcards: dict[bytes, _Paths] = {}
        #: literal labels at the end -> patterns with that end
        self._labelled: dict[bytes, dict[str, tuple[HostPattern, _Paths]]] = {}
        self._any = _Paths()
        regex_hosts: dict[str, tuple[HostPattern, _Paths]] = {}
        pre: list[Route] = []
        post: list[Route] = []
        for route in routes:
            if route.section.position == "tree":
                for pattern in route.hosts:
                    self._paths(pattern, regex_hosts).add(route)
            else:
                (pre if route.section.position == "pre" else post).append(route)
        self._pre = _InOrder(pre)
        self._post = _InOrder(post)
        self._regex_hosts = _RegexHosts(regex_hosts) if regex_hosts else None
        labelled = [each for group in self._labelled.values() for each in group.values()]
        for paths in (self._any, *self._hosts.values(), *self._wildcards.values()):
            paths.seal()
        for _, paths in (*labelled, *regex_hosts.values()):
            paths.seal()
        #: there is something to ask before the tree
        self._early = bool(self._pre)
        patterns = self._wildcards or self._labelled or regex_hosts or any(name[:1] == b"[" for name in self._hosts)
        #: what a host that has no exact entry gets, when nothing else can apply to it
        self._default = None if patterns else self._any

    def precede(self, route: Route) -> None:
        """Have a route of one path (``=exact``) go before all others; any number of them costs the same."""
        self._preceding[route.path.value] = route
        self._early = True

    def withdraw(self, route: Route) -> None:
        """Ask a route no more that :meth:`precede` put there."""
        if self._preceding.get(route.path.value) is route:
            del self._preceding[route.path.value]
        self._early = bool(self._pre or self._preceding)

    def _paths(self, pattern: HostPattern, regex_hosts: dict[str, tuple[HostPattern, _Paths]]) -> _Paths:
        if pattern.form == "any":
            return self._any
        if pattern.form == "exact":
            return self._hosts.setdefault(pattern.name, _Paths())
        if pattern.form == "wildcard":
            return self._wildcards.setdefault(pattern.name, _Paths())
        group = regex_hosts if pattern.form == "regex" else self._labelled.setdefault(pattern.name, {})
        return group.setdefault(pattern.text, (pattern, _Paths()))[1]

    def find(self, host: bytes, target: bytes, method: bytes) -> Route | None:
        """
        Return the route of a request, or None.

        :param host: as :attr:`netappliance.http.message.Request.host`: lower case, without port and trailing dot, IPv6
            in brackets. :param target: ``/path?query``, or ``*``, which is looked up like ``/``.
        :param method: as sent; case counts.
        """
        if self._early:
            route = self._before(host, target, method)
            if route is not None:
                return route
        paths = self._hosts.get(host, self._default)
        if paths is None:
            paths = self._by_pattern(host)
        only = paths.only
        # a prefix holds no "?", so it is no longer than the path
        if only is not None and target.startswith(paths.prefix):
            return only
        return self._find(paths, host, target, method)

    def _before(self, host: bytes, target: bytes, method: bytes) -> Route | None:
        if self._preceding:
            route = self._preceding.get(_path(target))
            if route is not None and route.matches(host, route.path.value, method):
                return route
        return self._pre.find(host, _path(target), method) if self._pre else None

    def _find(self, paths: _Paths, host: bytes, target: bytes, method: bytes) -> Route | None:
        path = _path(target)
        route = paths.find(path, method)
        if route is None and paths is not self._any:
            route = self._any.find(path, method)
        if route is None and self._post:
            route = self._post.find(host, path, method)
        return route

    def _by_pattern(self, host: bytes) -> _Paths:
        """Return the routes of the best host that is not literally this one; those of ``*`` when there is none."""
        if host[:1] == b"[":
            paths = self._hosts.get(compressed(host))
            if paths is not None:
                return paths
        label, dot, parent = host.partition(b".")
        if label and parent:
            paths = self._wildcards.get(parent)
            if paths is not None:
                return paths
        if self._labelled:
            while True:
                for pattern, paths in self._labelled.get(parent, _NONE).values():
                    if pattern.match(host) is not None:
                        return paths
                if not dot:
                    break
                _, dot, parent = parent.partition(b".")
        found = self._regex_hosts.find(host) if self._regex_hosts is not None else None
        return self._any if found is None else found


_NO_ROUTES: list[Route] = []
_NONE: dict[str, tuple[HostPattern, _Paths]] = {}


def _path_set(routes: list[Route]) -> RegexSet | None:
    """Return the regular expressions of their paths as a set, numbered as the routes are."""
    return RegexSet([route.path.regex for route in routes if route.path.regex is not None]) if routes else None


def _place(entry: tuple[int, Route]) -> int:
    return entry[0]


def _path(target: bytes) -> bytes:
    return b"/" if target == b"*" else target.partition(b"?")[0]
