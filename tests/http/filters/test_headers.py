"""Edits of header fields, and Strict-Transport-Security."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http import fields
from netappliance.http.filters.chain import RequestChain
from netappliance.http.message import Answer
from tests.http.filters.support import build, exchange, response


class HeadersTests(SynchronousTestCase):
    """kind = headers."""

    def request(self, edits: str, *lines: bytes) -> list[bytes]:
        """Lines of a request after the edits."""
        given_ = exchange(b"/a", *lines)
        self.assertIsNone(build(f"kind = headers\nedits =\n{edits}").request(given_))
        return given_.request.lines

    def response(self, edits: str, *lines: bytes) -> list[bytes]:
        """The same of a response."""
        given_ = response(*lines)
        build(f"kind = headers\nedits =\n{edits}").response(exchange(b"/a"), given_)
        return given_.lines

    def test_add_set_and_delete_on_either_side(self) -> None:
        """Names in any case; what is not named stays where it is."""
        before = (b"A: 1", b"x-b: 2", b"C: 3", b"X-B: 4", b"X-Bc: 5")
        for action, after in (
            ("add X-B: n", [*before, b"X-B: n"]),
            ("set X-B: n", [b"A: 1", b"C: 3", b"X-Bc: 5", b"X-B: n"]),
            ("delete X-B", [b"A: 1", b"C: 3", b"X-Bc: 5"]),
            ("set X-B:", [b"A: 1", b"C: 3", b"X-Bc: 5", b"X-B: "]),
        ):
            self.assertEqual(self.request(f" request {action}", *before), after)
            self.assertEqual(self.response(f" response {action}", *before), after)
            self.assertEqual(self.request(f" both {action}", *before), after)
            self.assertEqual(self.response(f" both {action}", *before), after)

    def test_a_client_s_twin_of_an_edited_field_goes_as_well(self) -> None:
        """CGI, WSGI and PHP make one variable of X-Group and X_Group; what comes from backends is theirs."""
        twins = (b"X_Group: admin", b"x-group: admin", b"X-Groups: a")
        self.assertEqual(self.request(" request set X-Group: staff", *twins), [b"X-Groups: a", b"X-Group: staff"])
        self.assertEqual(self.request(" request delete X_Group", *twins), [b"X-Groups: a"])
        self.assertEqual(self.response(" response delete X-Group", *twins), [b"X_Group: admin", b"X-Groups: a"])

    def test_values_hold_parts_of_the_request(self) -> None:
        """And commas, which end no item here."""
        lines = self.request(
            " request set X-From: $client, $1, ${listener}/$route $$ $request_id\n request add X-P: $path"
        )
        self.assertEqual(lines, [b"X-From: 192.0.2.1, one, web/default $ r-1", b"X-P: /a"])

    def test_sides_that_are_not_edited_cost_nothing(self) -> None:
        """The chain does not even call."""
        one_way = RequestChain([("h", build("kind = headers\nedits = response set A: b"))])
        self.assertEqual((one_way.has_request, one_way.has_response), (False, True))
        other_way = RequestChain([("h", build("kind = headers\nedits = request set A: b"))])
        self.assertEqual((other_way.has_request, other_way.has_response), (True, False))

    def test_edits_that_cannot_be_are_refused(self) -> None:
        """Framing and routing are not the operator's to write, and no edit is ambiguous."""
        for edits, word in (
            *((f" both set {name.decode()}: x", name.decode()) for name in fields.RESERVED),
            (" request delete Content-Length", "Content-Length"),
            (" request set A B: x", "lines of"),
            (" request set A", "lines of"),
            (" reply set A: b", "lines of"),
            (" request set A(: b", "field name"),
            (" request set A: $nope", "$nope"),
            (" request set A: 1\n both set a: 2", "one set or delete of a"),
            (" request delete A\n request set A: 2", "one set or delete of A"),
            ("", "missing"),
        ):
            options = f"kind = headers\nedits =\n{edits}" if edits else "kind = headers"
            self.assertIn(word, str(self.assertRaises(ValueError, build, options)), edits)
        build("kind = headers\nedits =\n request set A: 1\n request add A: 2\n response set A: 3")

    @given(st.binary(max_size=20))
    @settings(deadline=None, max_examples=200)
    def test_a_captured_value_makes_one_line_or_the_filter_s_error(self, value: bytes) -> None:
        """No capture splits a request, and none half edits it."""
        chain = RequestChain([("h", build("kind = headers\nedits =\n request set A: $1\n request delete B"))])
        given_ = exchange(b"/", b"B: 1", captures=(value,))
        answer = chain.request(given_)
        if answer is None:
            self.assertEqual(len(given_.request.lines), 1)
            self.assertNotRegex(given_.request.lines[0], rb"[\x00-\x08\x0a-\x1f\x7f]")
        else:
            self.assertEqual((answer.status, given_.request.lines), (500, [b"B: 1"]))


class HstsTests(SynchronousTestCase):
    """kind = hsts."""

    def lines(self, options: str, *lines: bytes, secure: bool = True) -> list[bytes]:
        """Of a response."""
        given_ = response(*lines)
        build(f"kind = hsts\n{options}").response(exchange(secure=secure), given_)
        return given_.lines

    def test_it_is_on_responses_over_tls_alone(self) -> None:
        """RFC 6797 section 7.2."""
        self.assertEqual(self.lines(""), [b"Strict-Transport-Security: max-age=31536000"])
        self.assertEqual(self.lines("", secure=False), [])
        self.assertEqual(self.lines("max_age = 0"), [b"Strict-Transport-Security: max-age=0"])
        self.assertEqual(
            self.lines("include_subdomains = yes\npreload = yes"),
            [b"Strict-Transport-Security: max-age=31536000; includeSubDomains; preload"],
        )

    def test_there_is_never_a_second(self) -> None:
        """The backend's stays, unless it is overridden."""
        theirs = b"strict-transport-security: max-age=1"
        self.assertEqual(self.lines("", theirs), [theirs])
        overridden = self.lines("override = yes", theirs)
        self.assertEqual(overridden, [b"Strict-Transport-Security: max-age=31536000"])

    def test_our_own_answers_have_it_whatever_filter_gave_them(self) -> None:
        """Also one that comes before it."""
        chain = RequestChain([("d", build("kind = deny")), ("h", build("kind = hsts"))])
        given_ = exchange(secure=True)
        answer = chain.request(given_)
        assert answer is not None
        self.assertEqual((answer.status, answer.lines), (403, []))
        answer = chain.answered(given_, answer)
        self.assertEqual(answer.lines, [b"Strict-Transport-Security: max-age=31536000"])
        self.assertEqual(len(chain.answered(given_, Answer(503)).lines), 1)

    def test_preload_needs_what_the_lists_ask_for(self) -> None:
        """Subdomains and a year."""
        for options in ("preload = yes", "preload = yes\ninclude_subdomains = yes\nmax_age = 364d"):
            self.assertIn("preload", str(self.assertRaises(ValueError, build, f"kind = hsts\n{options}")))
