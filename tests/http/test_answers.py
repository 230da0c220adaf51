"""Our own responses: framing, form by Accept, escaping, precedence of templates."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.answer_files import TEMPLATE_STATUSES, PageTemplate
from netappliance.http.answers import REMEMBERED, Answers, preferred, reason_of
from netappliance.http.framing.heads import response_head
from netappliance.http.message import Answer, Response

HTML, JSON, TEXT = b"text/html", b"application/json", b"text/plain"
ALL = (HTML, JSON, TEXT)


def split(
    rendered: tuple[Response, bytes], *, keep_alive: bool = False, minor: int = 1
) -> tuple[bytes, list[bytes], bytes]:
    """Status line, field lines, body, as a client of this version gets them on a connection that goes on or not."""
    response, body = rendered
    first, *lines, _, _ = response_head(response, minor, keep_alive=keep_alive).split(b"\r\n")
    return first, lines, body


def rendered(
    answer: Answer, *, keep_alive: bool = False, minor: int = 1, **options: Any
) -> tuple[bytes, list[bytes], bytes]:
    """By an object without templates."""
    return split(Answers().render(answer, **options), keep_alive=keep_alive and not answer.close, minor=minor)


class RenderTests(SynchronousTestCase):
    """The bytes of an answer."""

    def test_every_status_has_its_phrase_and_a_page_in_each_form(self) -> None:
        """With the length that the body has."""
        for status in TEMPLATE_STATUSES:
            for accept in ALL:
                first, lines, body = rendered(Answer(status), accept=accept, request_id=b"r-1")
                self.assertEqual(first, b"HTTP/1.1 %d %s" % (status, reason_of(status).encode()))
                self.assertIn(b"Content-Length: %d" % len(body), lines)
                self.assertTrue([line for line in lines if line.startswith(b"Content-Type: " + accept)])
                self.assertIn(b"Cache-Control: no-cache", lines)
                for shown in (str(status).encode(), reason_of(status).encode(), b"r-1"):
                    self.assertIn(shown, body)
                if accept == JSON:
                    self.assertEqual(json.loads(body)["status"], status)

    def test_head_has_the_length_of_the_body_that_it_leaves_out(self) -> None:
        """RFC 9110 section 9.3.2."""
        _, lines, body = rendered(Answer(404), request_id=b"r")
        _, head_lines, nothing = rendered(Answer(404), request_id=b"r", head_only=True)
        self.assertEqual((head_lines, nothing), (lines, b""))
        self.assertTrue(body)

    def test_connection_says_what_happens(self) -> None:
        """The answer's own wish to close wins; HTTP/1.0 is told that the connection stays."""
        for keep_alive, minor, close, line in (
            (True, 1, False, None),
            (True, 0, False, b"Connection: keep-alive"),
            (False, 1, False, b"Connection: close"),
            (True, 1, True, b"Connection: close"),
            (False, 0, False, b"Connection: close"),
        ):
            _, lines, _ = rendered(Answer(404, close=close), keep_alive=keep_alive, minor=minor)
            self.assertEqual([each for each in lines if each.startswith(b"Connection")], [line] if line else [])

    def test_lines_of_the_answer_are_added_and_framing_stays_ours(self) -> None:
        """Whatever a filter left in them."""
        answer = Answer(
            302,
            lines=[
                b"Location: /x",
                b"content-length: 7",
                b"Connection: x",
                b"Content-Type: a/b",
                b"Cache-Control: private",
            ],
        )
        _, lines, body = rendered(answer, accept=TEXT, keep_alive=True)
        self.assertIn(b"Location: /x", lines)
        names = sorted(line.partition(b":")[0].lower() for line in lines)
        self.assertEqual(names, [b"cache-control", b"content-length", b"content-type", b"location"])
        self.assertIn(b"Cache-Control: private", lines)
        self.assertIn(b"Content-Length: %d" % len(body), lines)

    def test_401_always_says_how_to_ask(self) -> None:
        """RFC 9110 section 11.6.1: a 401 has a challenge."""
        _, lines, _ = rendered(Answer(401))
        self.assertIn(b'WWW-Authenticate: Basic realm="restricted"', lines)
        _, lines, _ = rendered(Answer(401, lines=[b'WWW-Authenticate: Basic realm="mine"']))
        challenges = [line for line in lines if line.startswith(b"WWW-Authenticate")]
        self.assertEqual(challenges, [b'WWW-Authenticate: Basic realm="mine"'])

    def test_an_answer_may_bring_its_body(self) -> None:
        """And 204 and 304 have none, nor a length."""
        answer = Answer(200, lines=[b"Content-Type: text/plain"], body=b"User-agent: *\n")
        first, lines, body = rendered(answer, keep_alive=True)
        self.assertEqual((first, body), (b"HTTP/1.1 200 OK", b"User-agent: *\n"))
        self.assertEqual(lines, [b"Content-Type: text/plain", b"Cache-Control: no-cache", b"Content-Length: 14"])
        self.assertEqual(rendered(answer, keep_alive=True, head_only=True)[1:], (lines, b""))
        for status in (204, 304):
            _, lines, body = rendered(Answer(status, body=b"x"), keep_alive=True)
            self.assertEqual((lines, body), ([b"Cache-Control: no-cache"], b""))

    def test_values_from_peers_are_escaped(self) -> None:
        """In the request id as well as in the sentence."""
        evil = "<script>alert('\"')</script>\r\n\r\n"
        for accept in ALL:
            _, lines, body = rendered(Answer(400, evil), accept=accept, request_id=evil.encode())
            self.assertNotIn(b"<script>", body if accept == HTML else b"")
            self.assertFalse([line for line in lines if b"script" in line])
            self.assertIn(b"Content-Length: %d" % len(body), lines)
            if accept == JSON:
                self.assertEqual((json.loads(body)["why"], json.loads(body)["request_id"]), (evil, evil))

    def test_what_is_remembered_is_bounded(self) -> None:
        """Peers choose Accept, and sentences may differ."""
        answers = Answers()
        for number in range(3 * REMEMBERED):
            answers.render(Answer(400, f"why {number}"), accept=b"a/%d" % number)
        self.assertLessEqual(len(answers._pages), REMEMBERED)
        self.assertLessEqual(len(answers._accepted), REMEMBERED)
        answers = Answers()
        answers.render(Answer(400), accept=b"a/b," * 200)
        self.assertEqual(answers._accepted, {})

    @given(
        st.sampled_from((200, 302, 401, 404, 418, 503, 599)),
        st.text(max_size=40),
        st.binary(max_size=40),
        st.binary(max_size=20),
        st.booleans(),
        st.booleans(),
    )
    @settings(deadline=None, max_examples=200)
    def test_any_values_make_one_well_framed_response(
        self, status: int, why: str, accept: bytes, request_id: bytes, keep_alive: bool, head_only: bool
    ) -> None:
        """Each line has a colon and no control character; the body is as long as it says."""
        options: dict[str, Any] = {"accept": accept, "request_id": request_id, "keep_alive": keep_alive}
        for again in range(2):
            first, lines, body = rendered(Answer(status, why), head_only=bool(again and head_only), **options)
            self.assertTrue(first.startswith(b"HTTP/1.1 %d " % status))
            for line in lines:
                self.assertRegex(line, rb"\A[A-Za-z-]+: [ -~]+\Z")
            if not (again and head_only):
                self.assertIn(b"Content-Length: %d" % len(body), lines)


class TemplateTests(SynchronousTestCase):
    """Overridden answers."""

    def test_a_cluster_s_template_comes_before_the_listener_s_and_that_before_ours(self) -> None:
        """For its status alone."""
        answers = Answers(
            {(503, HTML): PageTemplate("listener $status", HTML), (404, HTML): PageTemplate("listener $status", HTML)},
            {"web": {(503, HTML): PageTemplate("cluster $cluster $backend $route", HTML)}},
        )

        def body(status: int, cluster: str = "", accept: bytes = b"") -> bytes:
            options = {"cluster": cluster, "backend": "b1", "route": "r", "accept": accept}
            return split(answers.render(Answer(status), **options))[2]  # type: ignore[arg-type]

        self.assertEqual(body(503, "web"), b"cluster web b1 r")
        self.assertEqual(body(503, "other"), b"listener 503")
        self.assertEqual(body(404, "web"), b"listener 404")
        self.assertIn(b"<h1>502", body(502, "web"))
        # what the operator wrote is not passed over because the client would like another form
        self.assertEqual(body(503, "web", JSON), b"cluster web b1 r")

    def test_forms_of_one_status_are_chosen_by_accept(self) -> None:
        """Those that there are."""
        answers = Answers({(503, TEXT): PageTemplate("text", TEXT), (503, JSON): PageTemplate("{}", JSON)})
        bodies = {accept: split(answers.render(Answer(503), accept=accept))[2] for accept in (TEXT, JSON, HTML, b"")}
        self.assertEqual(bodies, {TEXT: b"text", JSON: b"{}", HTML: b"{}", b"": b"{}"})

    def test_location_and_retry_after_come_from_the_lines(self) -> None:
        """And do not stick to the next answer."""
        answers = Answers(
            {(302, TEXT): PageTemplate("to $location", TEXT), (429, TEXT): PageTemplate("in $retry_after", TEXT)}
        )
        for location in (b"/a", b"/b"):
            answer = Answer(302, lines=[b"Location: " + location])
            self.assertEqual(split(answers.render(answer))[2], b"to " + location)
        self.assertEqual(split(answers.render(Answer(429, lines=[b"Retry-After: 7"])))[2], b"in 7")
        self.assertEqual(split(answers.render(Answer(429)))[2], b"in ")


class AcceptTests(SynchronousTestCase):
    """RFC 9110 section 12.5.1."""

    def test_the_wish_of_usual_clients(self) -> None:
        """Browsers, curl, axios, an API client, and weights."""
        for accept, media in (
            (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
            (b"*/*", HTML),
            (b"application/json, text/plain, */*", JSON),
            (b"application/json", JSON),
            (b"text/html;q=0.5, application/json", JSON),
            (b"text/html;q=0.5, application/json;q=0.4", HTML),
            (b"text/*", HTML),
            (b"text/html;q=0, */*", JSON),
            (b"text/*;q=0.3, text/plain, application/*;q=0.2", TEXT),
            (b"APPLICATION/JSON ; Q=1", JSON),
            (b"image/png", HTML),
            (b"", HTML),
            (b"application/json;q=nan, text/plain;q=0.1", TEXT),
            (b"application/json;q=1e9", HTML),
            (b",;;,", HTML),
        ):
            self.assertEqual(preferred(accept, ALL), media, accept)

    @given(st.binary(max_size=200))
    @settings(deadline=None, max_examples=100)
    def test_any_bytes_choose_one_that_is_offered(self, accept: bytes) -> None:
        """Nothing raises."""
        self.assertIn(preferred(accept, ALL), ALL)
