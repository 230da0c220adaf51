"""Redirects and rewrites: what they make of a request, and what they refuse to make."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.message import Answer, Exchange
from netappliance.http.routing.patterns import MAX_REGEX_PATH
from tests.http.filters.support import build, exchange

#: what framing lets through as a target in origin form
targets = st.from_regex(rb"\A/[\x21-\x22\x24-\x7e\x80-\xff]{0,40}\Z")


def location(answer: Answer | None) -> bytes:
    """The one Location of an answer."""
    assert answer is not None
    (line,) = answer.lines
    name, _, value = line.partition(b": ")
    assert name == b"Location"
    return value


class RedirectTests(SynchronousTestCase):
    """kind = redirect and https_redirect."""

    def test_the_place_is_made_from_the_request(self) -> None:
        """With the route's captures."""
        for to, value in (
            ("https://$host$target", b"https://www.example.org/a?b=c"),
            ("https://$1.example.net/x?$query", b"https://one.example.net/x?b=c"),
            ("$scheme://$host:$port/new$path", b"http://www.example.org:8080/new/a"),
            ("/$2/$3", b"/two/"),
        ):
            answer = build(f"kind = redirect\nto = {to}").request(exchange(b"/a?b=c"))
            self.assertEqual((answer.status, location(answer)), (302, value))

    def test_each_status_can_be_had(self) -> None:
        """And no other."""
        for status in (301, 302, 303, 307, 308):
            answer = build(f"kind = redirect\nto = /x\nstatus = {status}").request(exchange())
            self.assertEqual(answer.status, status)
        self.assertRaises(ValueError, build, "kind = redirect\nto = /x\nstatus = 200")

    def test_a_pattern_chooses_paths_whole_and_gives_the_captures(self) -> None:
        """Others pass."""
        made = build("kind = redirect\nto = https://example.net/$1\npattern = /old/(.*)")
        self.assertEqual(location(made.request(exchange(b"/old/a?q"))), b"https://example.net/a")
        self.assertIsNone(made.request(exchange(b"/old")))
        self.assertIsNone(made.request(exchange(b"/very/old/a")))

    def test_what_has_no_tls_goes_there(self) -> None:
        """To the same target; what has it passes; what names no host cannot be sent anywhere."""
        made = build("kind = https_redirect")
        answer = made.request(exchange(b"/a?b"))
        self.assertEqual((answer.status, location(answer)), (301, b"https://www.example.org/a?b"))
        self.assertIsNone(made.request(exchange(secure=True)))
        made = build("kind = https_redirect\nport = 8443\nstatus = 308")
        answer = made.request(exchange(b"*"))
        self.assertEqual((answer.status, location(answer)), (308, b"https://www.example.org:8443/"))
        nameless = exchange()
        nameless.request.host = b""
        self.assertEqual(made.request(nameless).status, 400)

    @given(targets)
    @settings(deadline=None, max_examples=200)
    def test_no_target_leads_to_another_host_or_splits_the_line(self, target: bytes) -> None:
        """Open redirects and response splitting."""
        for to, start in (("https://safe.example$target", rb"https://safe\.example/"), ("$target", rb"/(?![/\\])")):
            answer = build(f"kind = redirect\nto = {to}").request(exchange(target))
            self.assertRegex(location(answer) + b"|", re.compile(start))
            self.assertRegex(location(answer), rb"\A[\x21-\x7e]+\Z")


class PatternTests(SynchronousTestCase):
    """``pattern`` of both."""

    def test_no_regular_expression_sees_a_long_path(self) -> None:
        """One that backtracks would hold up everybody; passing it on unseen would be a way around the filter."""
        slow = "pattern = /(a*)*b"
        for options in (f"kind = redirect\nto = /x\n{slow}", f"kind = rewrite\npath = /x\n{slow}"):
            made = build(options)
            self.assertEqual(made.request(exchange(b"/" + b"a" * MAX_REGEX_PATH)).status, 414)
            self.assertIsNone(made.request(exchange(b"/?" + b"a" * MAX_REGEX_PATH)))


class RewriteTests(SynchronousTestCase):
    """kind = rewrite."""

    def rewritten(self, options: str, given_: Exchange) -> tuple[bytes, bytes, list[bytes]]:
        """Target, authority and lines after it."""
        self.assertIsNone(build(f"kind = rewrite\n{options}").request(given_))
        return given_.request.target, given_.request.authority, given_.request.lines

    def test_paths_are_made_from_templates_and_keep_their_query(self) -> None:
        """Unless the template has one."""
        for options, before, after in (
            ("path = /v2/$1", b"/x?q=1", b"/v2/one?q=1"),
            ("path = /v2$path?a=$2&$query", b"/x?q=1", b"/v2/x?a=two&q=1"),
            ("path = /b/$1\npattern = /a/([^/]*)/.*", b"/a/17/x", b"/b/17"),
            ("path = /b/$1\npattern = /a/([^/]*)/.*", b"/c/17/x", b"/c/17/x"),
            ("path = /$$1", b"/x", b"/$1"),
            ("path = ${target}", b"/x?y", b"/x?y?y"),
            ("strip_prefix = /app", b"/app/x?y", b"/x?y"),
            ("strip_prefix = /app/", b"/app?y", b"/?y"),
            ("strip_prefix = /app", b"/app", b"/"),
            ("strip_prefix = /app", b"/apple", b"/apple"),
            ("strip_prefix = /app", b"/app//evil", b"/evil"),
            ("strip_prefix = /app\npath = /in$path", b"/app/x?y", b"/in/x?y"),
        ):
            self.assertEqual(self.rewritten(options, exchange(before))[0], after, options)

    def test_a_rewritten_host_leaves_the_old_one_behind(self) -> None:
        """For X-Forwarded-Host; of several rewrites the first."""
        given_ = exchange(b"/x")
        self.assertEqual(self.rewritten("host = $1.internal:81", given_), (b"/x", b"one.internal:81", []))
        self.assertEqual(given_.request.forwarded_host, b"www.Example.org:8080")
        self.assertEqual(self.rewritten("host = other", given_)[1], b"other")
        self.assertEqual(given_.request.forwarded_host, b"www.Example.org:8080")
        untouched = exchange(b"/x")
        self.rewritten("host = $authority", untouched)
        self.assertEqual(untouched.request.forwarded_host, b"")

    def test_what_would_be_no_request_is_refused_and_left_alone(self) -> None:
        """A target without slash, with a fragment or a space; a host that is none."""
        for options, captures in (
            ("path = $1", (b"x",)),
            ("path = /$1", (b"a#b",)),
            ("path = /$1", (b"a b",)),
            ("host = $1", (b"a b",)),
            ("host = $1", (b"",)),
            ("host = a$1", (b"/b",)),
            ("host = a$1", (b"@b:x",)),
        ):
            given_ = exchange(b"/a", captures=captures)
            answer = build(f"kind = rewrite\n{options}").request(given_)
            self.assertEqual((answer.status, given_.request.target, given_.request.lines), (400, b"/a", []))

    def test_options_star_has_no_path_to_rewrite(self) -> None:
        """It passes."""
        self.assertEqual(self.rewritten("path = /x", exchange(b"*"))[0], b"*")

    def test_options_that_cannot_be_are_refused(self) -> None:
        """By name."""
        for options, word in (
            ("", "path"),
            ("path = x", "path"),
            ("path = /$nope", "$nope"),
            ("path = /$", "$$"),
            ("host = é", "ASCII"),
            ("path = /x\npattern = (", "regular expression"),
            ("strip_prefix = app", "strip_prefix"),
            ("strip_prefix = /", "strip_prefix"),
            ("path = /a b", "without spaces"),
            ("path = /$2\npattern = /(a)", "path: $2 needs as many groups in pattern, which has 1"),
            ("host = $1.x\npattern = /a", "host: $1 needs"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, build, f"kind = rewrite\n{options}")))

    @given(targets, st.binary(max_size=20), st.binary(max_size=20))
    @settings(deadline=None, max_examples=200)
    def test_whatever_comes_of_it_is_a_request(self, target: bytes, first: bytes, second: bytes) -> None:
        """Any captures."""
        made = build("kind = rewrite\npath = $1/$2\nhost = $2$1")
        given_ = exchange(target, captures=(first, second))
        answer = made.request(given_)
        if answer is None:
            self.assertRegex(given_.request.target, rb"\A/[^\x00-\x20#\x7f]*\Z")
            self.assertRegex(given_.request.authority, rb"\A[^\x00-\x20/?#@\x7f]+\Z")
        else:
            self.assertEqual(given_.request.target, target)
