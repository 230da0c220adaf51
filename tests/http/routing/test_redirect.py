"""Routes that answer by themselves: redirects that lead where their template says, and nowhere else."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http import fields
from netappliance.http.message import Answer, Exchange, Request
from netappliance.http.routing.location import location as location_of
from netappliance.http.routing.redirect import redirect_answer
from tests.http.routing.support import route


def answer(
    target: bytes = b"/",
    host: bytes = b"a.com",
    *,
    given_port: int = 0,
    port: int = 8080,
    secure: bool = False,
    keys: dict[str, str],
) -> Answer:
    """The answer of a route with these keys."""
    chosen = route(**keys)
    request = Request(b"GET", target, 1, [])
    request.host = host
    request.port = given_port
    captures = chosen.captures(host, request.path)
    return redirect_answer(chosen, Exchange(request, "192.0.2.1", "web", port, secure, "r", "", captures, 0.0, b"id"))


def location(target: bytes = b"/", host: bytes = b"a.com", *, to: str, keys: dict[str, str] | None = None) -> bytes:
    """The Location of a 301 with this template."""
    made = answer(target, host, keys={"redirect": "301", "redirect_to": to, **(keys or {})})
    if made.status != 301:
        return b"%d" % made.status
    return fields.get(made.lines, b"Location") or b""


class AnswerTests(SynchronousTestCase):
    """What kind of answer."""

    def test_the_status_is_the_redirects(self) -> None:
        """One field line, and the page says the rest."""
        for status in ("301", "302", "308"):
            made = answer(keys={"redirect": status, "redirect_to": "https://b.com/"})
            self.assertEqual((made.status, made.lines, made.close), (int(status), [b"Location: https://b.com/"], False))

    def test_without_redirect_the_route_denies(self) -> None:
        """403, for there is nothing to authenticate for."""
        self.assertEqual((answer(keys={}).status, answer(keys={}).lines), (403, []))

    def test_unauthorized_comes_with_a_challenge(self) -> None:
        """RFC 9110 section 15.5.2 wants one."""
        made = answer(keys={"redirect": "unauthorized"})
        self.assertEqual((made.status, made.lines), (401, [b'WWW-Authenticate: Basic realm="r", charset="UTF-8"']))


class LocationTests(SynchronousTestCase):
    """What templates become."""

    def test_variables(self) -> None:
        """Each of them."""
        for to, expected in (
            ("https://$host$target", b"https://a.com/x/%2e?q=1&r"),
            ("https://$host$path", b"https://a.com/x/%2e"),
            ("https://$host:8443/?$query", b"https://a.com:8443/?q=1&r"),
            ("$scheme://b.com:$port/", b"http://b.com:8080/"),
            ("${scheme}://b.com/${1}x$$", b"http://b.com/x/%2ex$"),
            ("/new/$1?from=$host", b"/new/x/%2e?from=a.com"),
            ("$target", b"/x/%2e?q=1&r"),
            ("HTTPS://b.com", b"https://b.com"),
            ("https://b.com$target#top", b"https://b.com/x/%2e?q=1&r#top"),
        ):
            self.assertEqual(location(b"/x/%2e?q=1&r", to=to), expected, to)

    def test_scheme_and_port_are_those_of_the_client(self) -> None:
        """The port that it named, else the one that we listen on."""
        for secure, given_port, expected in ((True, 0, b"https://a.com:8080/"), (False, 81, b"http://a.com:81/")):
            made = answer(
                secure=secure, given_port=given_port, keys={"redirect": "302", "redirect_to": "$scheme://$host:$port/"}
            )
            self.assertEqual(fields.get(made.lines, b"Location"), expected)

    def test_captures_of_host_and_path(self) -> None:
        """A tenant's subdomain moves with its paths."""
        keys = {"host": "*.old.com", "path": "~/u/([^/]*)/?(.*)?"}
        got = location(b"/u/ann/x", b"shop.old.com", to="https://$1.new.com/$2/$3", keys=keys)
        self.assertEqual(got, b"https://shop.new.com/ann/x")
        self.assertEqual(location(b"/u/ann", b"shop.old.com", to="/$9$2", keys=keys), b"/ann")

    def test_a_path_never_leads_to_another_host(self) -> None:
        """Browsers take //name and /\\name for addresses."""
        for target in (b"//evil.com/x", b"/\\evil.com/x", b"///evil.com/x", b"/\\/evil.com/x", b"//\\evil.com/x"):
            for to in ("$target", "$path", "/$1", "${path}"):
                self.assertEqual(location(target, to=to), b"/evil.com/x", (target, to))

    def test_a_host_is_not_extended_by_a_capture(self) -> None:
        """What would make another host, or none, is answered with 400."""
        for target in (b"/evil.com/x", b"/evil.com#", b"/a@evil.com", b"/evil.com:1", b"/", b"/evil.com\\", b"/a?b"):
            got = location(target, to="https://$1.good.com/", keys={"path": "~/(.*)"})
            self.assertIn(got, (b"400", b"https://a.good.com/"), target)
        self.assertEqual(location(b"/x", to="https://$1/", keys={"path": "~/(.*)"}), b"https://x/")
        self.assertEqual(location(b"/", b"", to="https://$host/"), b"400")

    def test_the_target_of_options_is_the_root(self) -> None:
        """A * is no path."""
        self.assertEqual(location(b"*", to="https://b.com$target"), b"https://b.com/")

    def test_bytes_outside_ascii_are_percent_encoded(self) -> None:
        """And line ends, should framing ever let them through."""
        self.assertEqual(location("/\u00e4".encode(), to="$target"), b"/%C3%A4")
        self.assertEqual(location(b"/a\r\nSet-Cookie: x", to="$target"), b"/a%0D%0ASet-Cookie:%20x")

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=30), st.sampled_from(["$target", "/$1", "/x$path?$query", "https://good.com/$1"]))
    def test_no_target_leads_anywhere_but_where_the_template_says(self, rest: bytes, to: str) -> None:
        """One line, the host of the template, for whatever bytes."""
        got = location(b"/" + rest, to=to)
        self.assertTrue(all(0x20 < byte < 0x7F for byte in got))
        base = "https://good.com/"
        self.assertEqual(urlsplit(urljoin(base, got.decode().replace("\\", "/"))).netloc, "good.com")


class TemplateTests(SynchronousTestCase):
    """What is refused when the file is loaded."""

    def test_bad_templates(self) -> None:
        """Each says what was expected."""
        for text, expected in (
            ("b.com/x", "a path from its / on"),
            ("ftp://b.com/", "a path from its / on"),
            ("javascript:alert(1)", "a path from its / on"),
            ("$host/x", "a path from its / on"),
            ("$scheme", "a path from its / on"),
            ("$1", "a path from its / on"),
            ("//b.com/", "one / in front"),
            ("https://", "a host after ://"),
            ("https:///x", "a host after ://"),
            ("https://$target", "a host after ://"),
            ("https://$query", "a host and then"),
            ("https://$client/", "a host and then"),
            ("https://b.com$1", "captures in the host"),
            ("https://b.com$1:80/", "captures in the host"),
            ("https://$1$2/", "captures in the host"),
            ("https://u@b.com/", "without a user"),
            ("https://b com/", "without spaces"),
            ("/a\\b", "backslashes"),
            ("/\u00e4", "printable ASCII"),
            ("/$0", "$1 to $9"),
            ("/$nope", "not $nope"),
            ("/${host", "$1 to $9"),
            ("/$", "$$ for a dollar"),
        ):
            self.assertIn(expected, str(self.assertRaises(ValueError, location_of, text)), text)

    def test_good_templates(self) -> None:
        """And how many captures they want."""
        for text, captures in (
            ("https://$1.b.com/$2", 2),
            ("https://$1", 1),
            ("https://$1:8443/", 1),
            ("https://[::1]:80/", 0),
            ("/$9", 9),
            ("$path", 0),
            ("https://www.$host?$query", 0),
            ("https://$authority/?by=$client&id=$request_id", 0),
            ("/${12}", 12),
        ):
            made = location_of(text)
            assert made is not None
            self.assertEqual(made.captures, captures, text)
        self.assertIsNone(location_of(""))
