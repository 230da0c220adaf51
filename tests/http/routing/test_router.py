"""Which route a request takes, and that the quick way finds the same as a slow one."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.routing.patterns import MAX_REGEX_HOST, MAX_REGEX_PATH
from netappliance.http.routing.route import Route
from netappliance.http.routing.router import Router
from tests.http.routing.support import found, route, router


class HostTests(SynchronousTestCase):
    """Exact, one-label wildcard, regular expressions, any."""

    def test_the_exact_host_goes_before_wildcard_labels_regex_and_any(self) -> None:
        """Whatever their order in the file."""
        table = router(
            {"host": "*"},
            {"host": "~.*\\.example\\.com"},
            {"host": "/w.+/.example.com"},
            {"host": "*.example.com"},
            {"host": "www.example.com"},
        )
        self.assertEqual(found(table, "www.example.com"), "4")
        self.assertEqual(found(table, "other.example.com"), "3")
        self.assertEqual(found(table, "a.b.example.com"), "1")
        self.assertEqual(found(table, "example.com"), "0")

    def test_labels_with_regular_expressions_go_before_those_for_whole_hosts(self) -> None:
        """And among the former more literal labels at the end win."""
        table = router({"host": "~.*"}, {"host": "/a.*/./b.*/.com"}, {"host": "/a.*/.bx.com"})
        self.assertEqual(found(table, "ax.bx.com"), "2")
        self.assertEqual(found(table, "ax.by.com"), "1")
        self.assertEqual(found(table, "x.by.com"), "0")

    def test_a_wildcard_is_one_label_and_not_an_empty_one(self) -> None:
        """*.example.com covers neither example.com nor a.b.example.com."""
        table = router({"host": "*.example.com"})
        self.assertEqual(found(table, "a.example.com"), "0")
        for host in ("example.com", ".example.com", "a.b.example.com", "aexample.com"):
            self.assertEqual(found(table, host), "", host)

    def test_a_label_with_a_regular_expression_is_anchored_and_spans_no_dot(self) -> None:
        """/.*/.example.com is one label."""
        table = router({"host": "/.*-x/.example.com"})
        self.assertEqual(found(table, "a-x.example.com"), "0")
        for host in ("a.b-x.example.com", "a-xy.example.com", "a-x.example.com.net"):
            self.assertEqual(found(table, host), "", host)

    def test_a_regular_expression_for_a_whole_host_is_anchored(self) -> None:
        """At both ends."""
        table = router({"host": "~a|b\\.com"})
        self.assertEqual(
            [found(table, host) for host in ("a", "b.com", "xa", "a.com", "b.com.net")], ["0", "0", "", "", ""]
        )

    def test_configured_hosts_are_normalised(self) -> None:
        """Case and a trailing dot do not count; requests come that way already."""
        table = router({"host": "WWW.Example.COM."}, {"host": "*.Example.ORG"}, {"host": "/A+/.example.net."})
        hosts = ("www.example.com", "a.example.org", "aa.example.net")
        self.assertEqual([found(table, host) for host in hosts], ["0", "1", "2"])

    def test_an_ipv6_literal_matches_in_every_spelling(self) -> None:
        """[::1] and [0:0:0:0:0:0:0:1] are one host."""
        table = router({"host": "[0::1]"}, {"host": "*"})
        self.assertEqual([found(table, host) for host in ("[::1]", "[0:0:0:0:0:0:0:1]", "[::2]", "[x]")], list("0011"))
        early = router({"host": "[::1]", "position": "pre"})
        self.assertEqual(found(early, "[0::0:1]"), "0")

    def test_there_is_no_way_back_to_another_host_but_to_any(self) -> None:
        """When the paths of the exact host do not match, its wildcard is not asked; the routes of * are."""
        table = router({"host": "a.example.com", "path": "/x"}, {"host": "*.example.com"})
        self.assertEqual(found(table, "a.example.com", "/y"), "")
        table = router({"host": "a.example.com", "path": "/x"}, {"host": "*.example.com"}, {"host": "*"})
        self.assertEqual(found(table, "a.example.com", "/y"), "2")

    def test_one_route_may_have_several_hosts(self) -> None:
        """One a line."""
        table = router({"host": "example.com\nexample.org"})
        self.assertEqual([found(table, host) for host in ("example.com", "example.org", "example.net")], ["0", "0", ""])

    def test_a_request_without_host_takes_what_takes_any(self) -> None:
        """HTTP/1.0 has none."""
        self.assertEqual(found(router({"host": "a.com"}, {"host": "*"}), ""), "1")
        self.assertEqual(found(router({"host": "a.com"}, {"host": "*.com"}), ""), "")


class PathTests(SynchronousTestCase):
    """Within a host."""

    def test_the_longest_prefix_wins(self) -> None:
        """Whatever the order; prefixes are plain bytes."""
        table = router({"path": "/api/v1"}, {"path": "/"}, {"path": "/api"})
        targets = ("/api/v1/x", "/apiary", "/x", "/api/v", "/api/v1")
        self.assertEqual([found(table, "h", target) for target in targets], list("02120"))

    def test_the_query_is_no_part_of_the_path(self) -> None:
        """For all three forms."""
        table = router({"path": "=/exact"}, {"path": "~/re[a-z]*"}, {"path": "/pre/fix"})
        targets = ("/exact?a=/b", "/regex?a", "/pre/fix?x", "/pre?/fix", "/exact/", "/")
        self.assertEqual([found(table, "h", target) for target in targets], ["0", "1", "2", "", "", ""])

    def test_exact_and_regex_go_before_every_prefix(self) -> None:
        """Even before a longer one."""
        table = router({"path": "/a/b"}, {"path": "~/a.*"})
        self.assertEqual(found(table, "h", "/a/b/c"), "1")

    def test_exact_and_regex_that_name_the_method_go_first(self) -> None:
        """In the order of the file among themselves."""
        table = router({"path": "=/a"}, {"path": "~/.", "method": "GET"}, {"path": "=/a", "method": "GET"})
        self.assertEqual(found(table, "h", "/a"), "1")
        self.assertEqual(found(table, "h", "/a", "PUT"), "0")

    def test_of_exact_and_regex_for_any_method_the_last_wins(self) -> None:
        """As in Sōzu."""
        self.assertEqual(found(router({"path": "=/a"}, {"path": "~/."}), "h", "/a"), "1")
        self.assertEqual(found(router({"path": "~/."}, {"path": "=/a"}), "h", "/a"), "1")

    def test_for_one_prefix_the_named_method_goes_before_any_method(self) -> None:
        """A rule that can never be reached helps nobody; then the later one."""
        table = router({"method": "GET"}, {}, {"method": "POST, PUT"}, {"method": "PUT, BREW"})
        self.assertEqual(
            [found(table, "h", "/", method) for method in ("GET", "HEAD", "POST", "PUT", "BREW")], list("01233")
        )

    def test_a_longer_prefix_for_another_method_does_not_hide_a_shorter_one(self) -> None:
        """The search goes on."""
        table = router({"path": "/a", "method": "POST"}, {"path": "/"})
        self.assertEqual(found(table, "h", "/a", "GET"), "1")

    def test_the_star_of_options_is_looked_up_like_the_root(self) -> None:
        """It has no path."""
        self.assertEqual(found(router({}), "h", "*", "OPTIONS"), "0")
        self.assertEqual(found(router({"position": "pre"}), "h", "*", "OPTIONS"), "0")
        self.assertEqual(found(router({"path": "/a"}), "h", "*", "OPTIONS"), "")


class PositionTests(SynchronousTestCase):
    """Before and after the tree."""

    def test_pre_routes_come_first_and_in_the_order_of_the_file(self) -> None:
        """The first that matches, not the best."""
        table = router(
            {"host": "a.com"},
            {"host": "*", "path": "/x", "position": "pre"},
            {"host": "a.com", "path": "=/x", "position": "pre"},
        )
        self.assertEqual([found(table, "a.com", target) for target in ("/x", "/y")], list("10"))

    def test_post_routes_come_last_and_in_the_order_of_the_file(self) -> None:
        """Also after those of * in the tree."""
        table = router(
            {"host": "*", "position": "post"},
            {"host": "a.com", "position": "post"},
            {"host": "a.com", "path": "/x"},
            {"host": "*", "path": "/y"},
        )
        self.assertEqual([found(table, "a.com", target) for target in ("/x", "/y", "/z")], list("230"))

    def test_nothing_that_matches_is_none(self) -> None:
        """404 for the client."""
        self.assertEqual(found(router(), "h"), "")
        self.assertEqual(
            found(router({"host": "a.com", "path": "/a", "method": "GET", "position": "pre"}), "a.com", "/b"), ""
        )


HOSTS = ("a.com", "x.a.com", "y.a.com", "x.y.a.com", "b.com", "[::1]", "")
HOST_PATTERNS = (
    "*", "a.com", "x.a.com", "*.a.com", "/x|y/.a.com", "/./.a.com", "*./y/.a.com", "x./y/.a.com",
    "~.*\\.com", "~[xy].*", "[::1]",
)  # fmt: skip
PATHS = ("/", "/a", "/a/b", "/a/b?c", "/b", "*")
PATH_PATTERNS = ("/", "/a", "/a/", "=/a", "=/a/b", "~/a.*", "~/./.", "=/")
METHODS = ("GET", "POST", "BREW")
KEYS = st.fixed_dictionaries(
    {
        "host": st.lists(st.sampled_from(HOST_PATTERNS[1:-1]), min_size=1, max_size=2, unique=True).map("\n".join)
        | st.sampled_from(HOST_PATTERNS),
        "path": st.sampled_from(PATH_PATTERNS),
        "method": st.sets(st.sampled_from(METHODS), max_size=2).map(sorted).map(", ".join),
        "position": st.sampled_from(["tree", "tree", "tree", "pre", "post"]),
    }
)


def slow_find(routes: list[Route], host: bytes, target: bytes, method: bytes) -> Route | None:
    """The precedence in so many words, by looking at every route again and again."""
    path = b"/" if target == b"*" else target.split(b"?")[0]

    def fits(route: Route) -> bool:
        return route.path.match(path) is not None and (route.methods is None or method in route.methods)

    def in_order(position: str) -> Route | None:
        for each in routes:
            if each.section.position == position and fits(each) and any(p.match(host) is not None for p in each.hosts):
                return each
        return None

    def of_host(text: str) -> Route | None:
        mine = [r for r in routes if r.section.position == "tree" and text in [p.text for p in r.hosts] and fits(r)]
        special = [r for r in mine if r.path.form != "prefix"]
        named = [r for r in special if r.methods is not None]
        if named:
            return named[0]
        if special:
            return special[-1]
        if not mine:
            return None
        return max(mine, key=lambda r: (len(r.path.value), r.methods is not None, routes.index(r)))

    def tree() -> Route | None:
        patterns = [p for r in routes if r.section.position == "tree" for p in r.hosts if p.match(host) is not None]
        rank = {"exact": 0, "wildcard": 1, "labels": 2, "regex": 3}
        best = sorted(
            (p for p in patterns if p.form != "any"),
            key=lambda p: (rank[p.form], -len(p.name.split(b".")) if p.form == "labels" and p.name else 0),
        )
        found = of_host(best[0].text) if best else None
        return found or of_host("*")

    return in_order("pre") or tree() or in_order("post")


class ModelTests(SynchronousTestCase):
    """The router against the slow model."""

    @settings(max_examples=200, deadline=None)
    @given(st.lists(KEYS, max_size=8))
    def test_finds_what_the_slow_model_finds(self, keys: list[dict[str, str]]) -> None:
        """For every host, path and method of a small world."""
        routes = [route(str(number), **given) for number, given in enumerate(keys)]
        table = Router(routes)
        for host in HOSTS:
            for target in PATHS:
                for method in METHODS:
                    request = (host.encode(), target.encode(), method.encode())
                    self.assertIs(table.find(*request), slow_find(routes, *request), (request, keys))

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(KEYS, min_size=1, max_size=4), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=8)
    )
    def test_no_request_makes_it_raise(
        self, keys: list[dict[str, str]], host: bytes, target: bytes, method: bytes
    ) -> None:
        """Whatever framing let through; captures as many as the patterns have, or none at all of the host."""
        routes = [route(str(number), **given) for number, given in enumerate(keys)]
        Router(routes).find(host, target, method)
        for each in routes:
            each.captures(host, target)


class RegexModelTests(SynchronousTestCase):
    """Many regular expressions at once against Python's, asked one by one in the order of the file."""

    PATHS = st.sampled_from(
        ["~/a", "~/.*", "~/a.*b", "~/(a|b)+", "~.*/b", "~/[^/]*/b?", "~/(ab)*", "~/a|/b", "=/a", "=/ab", "=/a/b"]
    )
    METHODS = st.sampled_from(["", "", "GET", "PUT", "GET, PUT"])
    TARGETS = st.text("ab/", max_size=6).map(lambda text: "/" + text)

    @staticmethod
    def fits(each: Route, path: str, method: str) -> bool:
        """One by one, and not by RE2."""
        if each.methods is not None and method.encode() not in each.methods:
            return False
        text = each.path.text
        if text[0] == "=":
            return path == text[1:]
        return len(path) <= MAX_REGEX_PATH and re.fullmatch(text[1:], path) is not None

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.tuples(PATHS, METHODS), max_size=20, unique=True),
        st.lists(TARGETS, min_size=1, max_size=6),
        st.sampled_from([1, 1, 300, 3000]),
    )
    def test_paths(self, keys: list[tuple[str, str]], targets: list[str], times: int) -> None:
        """In the tree, before it and after it; also paths longer than one pass takes, or than any is tried on."""
        for position in ("tree", "pre", "post"):
            routes = [
                route(str(number), path=path, method=method, position=position)
                for number, (path, method) in enumerate(keys)
            ]
            table = Router(routes)
            for path in (target * times for target in targets):
                for method in ("GET", "PUT", "HEAD"):
                    fitting = [each for each in routes if self.fits(each, path, method)]
                    named = [each for each in fitting if each.methods is not None]
                    expected = fitting[:1] if position != "tree" else named[:1] or fitting[-1:]
                    self.assertEqual(found(table, "h", path, method), "".join(each.name for each in expected))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(st.sampled_from(["a.*", "(a|b)+", ".*b", "a", "[ab]{2}", ".*\\.a"]), max_size=6, unique=True),
        st.lists(st.text("ab.", min_size=1, max_size=5), min_size=1, max_size=8),
    )
    def test_hosts(self, expressions: list[str], hosts: list[str]) -> None:
        """The first of the file, whatever its routes."""
        table = router(*({"host": f"~{each}"} for each in expressions))
        for host in (*hosts, *(host * 100 for host in hosts)):
            fitting = [str(n) for n, each in enumerate(expressions) if re.fullmatch(each, host)]
            expected = fitting[0] if fitting and len(host) <= MAX_REGEX_HOST else ""
            self.assertEqual(found(table, host), expected, (host, expressions))
