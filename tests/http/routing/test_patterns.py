"""Patterns: what they refuse, and what they capture."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.routing.patterns import MAX_REGEX_HOST, MAX_REGEX_PATH, host_pattern, host_patterns, path_pattern
from netappliance.http.routing.section import methods
from tests.http.routing.support import route


class HostPatternTests(SynchronousTestCase):
    """The hosts of a route."""

    def test_bad_hosts_are_refused_with_what_was_expected(self) -> None:
        """Each by its own words."""
        for text, expected in (
            ("example.com:80", "a host without a port"),
            ("[::1]:80", "no port"),
            ("[::g]", "an IPv6 address in brackets"),
            ("a.*.com", "'*' alone or as the whole first label"),
            ("a*.com", "'*' alone"),
            ("*.", "example.com"),
            ("*..com", "example.com"),
            ("b\u00fccher.de", "xn--"),
            ("a b.com", "example.com"),
            ("-a.com", "example.com"),
            ("a" * 64 + ".com", "example.com"),
            ("", "example.com"),
            ("~", "not an empty one"),
            ("~(", "a regular expression: "),
            ("~\u00fc", "in ASCII"),
            ("/a+.com", "labels of the form"),
            ("/a+/b.com", "labels of the form"),
            ("//.com", "not an empty one"),
            ("/(/.com", "a regular expression: "),
            ("x..com./a/", "example.com"),
            ("/a/..com", "example.com"),
            ("/a/.com..", "labels of the form"),
        ):
            error = self.assertRaises(ValueError, host_pattern, text)
            self.assertIn(expected, str(error), text)

    def test_a_list_of_hosts_has_at_least_one_and_each_once(self) -> None:
        """One a line: commas belong to regular expressions."""
        for text, expected in (
            ("a.com\na.com.", "each host once"),
            ("", "* is any"),
        ):
            self.assertIn(expected, str(self.assertRaises(ValueError, host_patterns, text)))
        self.assertEqual([pattern.text for pattern in host_patterns("A.com\n~a{1,3}")], ["a.com", "~a{1,3}"])

    def test_captures_are_those_of_the_host_then_those_of_the_path(self) -> None:
        """Groups, the label of a *, what follows a prefix."""
        for keys, host, path, expected in (
            ({"host": "*.a.com", "path": "/x/"}, b"w.a.com", b"/x/y/z", (b"w", b"y/z")),
            (
                {"host": "/(w)(\\d*)/.a./(.*)/", "path": "~/(.)(q)?/.*"},
                b"w.a.com",
                b"/1/",
                (b"w", b"", b"com", b"1", b""),
            ),
            ({"host": "~(.*)\\.com", "path": "=/"}, b"a.b.com", b"/", (b"a.b",)),
            ({"host": "*./(.)/.com"}, b"a.b.com", b"*", (b"a", b"b", b"")),
            ({"host": "*"}, b"a", b"/", (b"",)),
            ({"host": "~(a|b)\n*.com"}, b"x.com", b"/r", (b"x", b"r")),
            ({"host": "a.com\n*.a.com"}, b"a.com", b"/r", (b"", b"r")),
        ):
            self.assertEqual(route(**keys).captures(host, path), expected, keys)

    def test_a_pattern_says_how_many_captures_it_has(self) -> None:
        """So that $3 is refused where there are two."""
        self.assertEqual([host_pattern(t).groups for t in ("*", "a", "*.a", "*./(a)(b)/.c", "~(a)")], [0, 0, 1, 3, 1])
        self.assertEqual([path_pattern(t).groups for t in ("/", "=/", "~/(a)(b)")], [1, 0, 2])


class PathPatternTests(SynchronousTestCase):
    """The path of a route."""

    def test_bad_paths_are_refused(self) -> None:
        """A query would never match, other scripts are percent-encoded."""
        for text in ("", "x", "=", "=x", "/a?b", "/a#b", "/a b", "/\u00fc", "~", "~(", "~/\u00fc", "*"):
            self.assertRaises(ValueError, path_pattern, text)

    def test_a_regular_expression_is_anchored_and_minds_case(self) -> None:
        """As paths do."""
        pattern = path_pattern("~/a|/b(c)?")
        self.assertEqual(
            [pattern.match(path) for path in (b"/a", b"/bc", b"/ab", b"x/a", b"/A")],
            [(b"",), (b"c",), None, None, None],
        )


class LengthTests(SynchronousTestCase):
    """What strangers send may be long, and regular expressions slow."""

    def test_regular_expressions_see_no_longer_hosts_and_paths_than_the_limits(self) -> None:
        """At the limit they match, beyond it they do not; prefixes have no limit."""
        for pattern, at in (
            (path_pattern("~/a*"), b"/" + b"a" * (MAX_REGEX_PATH - 1)),
            (host_pattern("~a*"), b"a" * MAX_REGEX_HOST),
            (host_pattern("/a*/.b"), b"a" * (MAX_REGEX_HOST - 1) + b".b"),
        ):
            self.assertIsNotNone(pattern.match(at), pattern.text)
            beyond = at.replace(b"a", b"aa", 1)
            self.assertIsNone(pattern.match(beyond), pattern.text)
        self.assertIsNotNone(path_pattern("/a").match(b"/" + b"a" * 100_000))


class MethodTests(SynchronousTestCase):
    """The methods of a route."""

    def test_any_token_is_a_method_but_case_slips_are_refused(self) -> None:
        """For get is another method than GET."""
        self.assertEqual(methods("GET, BREW\nM-SEARCH"), (b"GET", b"BREW", b"M-SEARCH"))
        self.assertEqual(methods(""), ())
        for text in ("get", "GET, GET", "G T", "G(T"):
            self.assertRaises(ValueError, methods, text)
