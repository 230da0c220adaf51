"""PageTemplate files of answers: what may be configured, what may stand in a file."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.answer_files import (
    CONTENT_TYPES,
    MAX_TEMPLATE,
    MEDIA,
    PLACEHOLDERS,
    REASONS,
    AnswerFile,
    PageTemplate,
    answer_files,
    escaped,
    load_templates,
)
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors

HTML = b"text/html"


class KeyTests(SynchronousTestCase):
    """``answers``."""

    def test_a_line_names_status_and_file(self) -> None:
        """The extension says what it is; several of one status stand side by side."""
        self.assertEqual(
            answer_files("503 = pages/503.html\n503=pages/503.json\n404 = my page.TXT"),
            (
                AnswerFile(503, "pages/503.html", HTML),
                AnswerFile(503, "pages/503.json", b"application/json"),
                AnswerFile(404, "my page.TXT", b"text/plain"),
            ),
        )
        self.assertEqual(answer_files(""), ())

    def test_what_cannot_be_is_refused_by_name(self) -> None:
        """Status, file type, repetition, shape."""
        for text, word in (
            ("200 = a.html", "200"),
            ("999 = a.html", "999"),
            ("503 = a.php", "a.php"),
            ("503 = a.html\n503 = b.html", "503"),
            ("503", "STATUS"),
            ("503 =", "STATUS"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, answer_files, text)))


class TemplateTests(SynchronousTestCase):
    """Placeholders."""

    def render(self, text: str, media: bytes = HTML, hole: str = "-", **fields: str) -> str:
        """The pieces, joined by H."""
        return "H".join(PageTemplate(text, media).pieces(fields, hole))

    def test_placeholders_are_filled_and_absent_values_are_empty(self) -> None:
        """Both spellings, and dollar signs that are none."""
        text = "$status ${reason}x $$5 $( $1 $backend|"
        self.assertEqual(self.render(text, status="503", reason="R"), "503 Rx $5 $( $1 |")

    def test_an_unknown_placeholder_is_an_error_that_lists_the_known(self) -> None:
        """So that no page shows $cause to the public."""
        for text in ("$cause", "${cause}", "${}", "${why }"):
            error = str(self.assertRaises(ValueError, PageTemplate, text, HTML))
            for name in PLACEHOLDERS:
                self.assertIn(f"${name}", error)

    def test_values_are_escaped_for_their_place(self) -> None:
        """HTML, JSON, text."""
        value = '<a href="x">\'&\n'
        self.assertEqual(self.render("$why", why=value), "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;\n")
        self.assertEqual(self.render('"$why"', b"application/json", why=value), '"<a href=\\"x\\">\'&\\n"')
        self.assertEqual(self.render("$why", b"text/plain", why="a\r\nb\x1b[1m"), "a\ufffd\ufffdb\ufffd[1m")

    def test_a_value_that_looks_like_a_placeholder_is_text(self) -> None:
        """One pass only."""
        self.assertEqual(self.render("$why", why="$status", status="503"), "$status")

    def test_the_hole_splits_the_body(self) -> None:
        """As often as it occurs."""
        self.assertEqual(self.render("a $request_id b $request_id", hole="request_id"), "a H b H")

    @given(st.text(max_size=60), st.text(max_size=20))
    @settings(deadline=None, max_examples=200)
    def test_any_text_renders_or_is_refused(self, text: str, value: str) -> None:
        """And what is left of a dollar-free text is the text."""
        try:
            made = PageTemplate(text, HTML)
        except ValueError:
            self.assertIn("$", text)
            return
        out = "".join(made.pieces(dict.fromkeys(PLACEHOLDERS, value), "-"))
        if "$" not in text:
            self.assertEqual(out, text)


class StatusTests(SynchronousTestCase):
    """Which statuses there are, and which may have a page of their own."""

    def test_phrases_are_those_of_the_rfc(self) -> None:
        """As Python's own table has them, but for the names that RFC 9110 changed."""
        changed = {413: "Content Too Large", 414: "URI Too Long", 421: "Misdirected Request"}
        for status, phrase in REASONS.items():
            self.assertEqual(phrase, changed.get(status, HTTPStatus(status).phrase))

    def test_which_statuses_may_have_a_page(self) -> None:
        """Those of refusals and redirects that this proxy gives."""
        allowed = "301 302 308 400 401 403 404 408 413 414 417 421 429 431 500 501 502 503 504 505"
        for status in range(100, 600):
            text = f"{status} = a.html"
            if str(status) in allowed.split():
                self.assertEqual(answer_files(text)[0].status, status)
            else:
                error = str(self.assertRaises(ValueError, answer_files, text))
                self.assertEqual(error, f"one of {allowed}, not {status}")

    def test_the_words_of_refusals(self) -> None:
        """Each names what stood there."""
        for text, words in (
            ("503", "lines of STATUS = path, such as 503 = pages/503.html, not '503'"),
            ("50 = a.html", "lines of STATUS = path, such as 503 = pages/503.html, not '50 = a.html'"),
            ("5030 = a.html", "lines of STATUS = path, such as 503 = pages/503.html, not '5030 = a.html'"),
            ("503 = a.php", "a file that ends in .html, .json, .txt, not 'a.php'"),
            ("503 = html", "a file that ends in .html, .json, .txt, not 'html'"),
            ("503 = a.html\n503 = b.HTML", "one .HTML file for 503, not two"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, answer_files, text)), words)
        self.assertEqual(answer_files("503=a b.html")[0].path, "a b.html")

    def test_media_types(self) -> None:
        """What is sent as Content-Type; text has its encoding."""
        self.assertEqual(CONTENT_TYPES[MEDIA[".html"]], b"text/html; charset=utf-8")
        self.assertEqual(CONTENT_TYPES[MEDIA[".json"]], b"application/json")
        self.assertEqual(CONTENT_TYPES[MEDIA[".txt"]], b"text/plain; charset=utf-8")
        self.assertEqual(list(MEDIA), [".html", ".json", ".txt"])


class PlaceholderTests(SynchronousTestCase):
    """What is one, and what stands for it."""

    def test_all_placeholders(self) -> None:
        """In both spellings; what a page uses is known."""
        names = "status reason why request_id route cluster backend retry_after location"
        text = " ".join(f"${name} ${{{name}}}" for name in names.split())
        made = PageTemplate(text, HTML)
        self.assertEqual((made.fields, made.media), (frozenset(names.split()), HTML))
        values = {name: f"<{name}>" for name in names.split()}
        shown = "".join(made.pieces(values, "-"))
        self.assertEqual(shown, " ".join(f"&lt;{name}&gt; &lt;{name}&gt;" for name in names.split()))
        self.assertEqual(PageTemplate("$$", HTML).fields, frozenset())

    def test_the_words_for_an_unknown_one(self) -> None:
        """With the known ones in their order."""
        error = str(self.assertRaises(ValueError, PageTemplate, "${cause}", HTML))
        known = "$status $reason $why $request_id $route $cluster $backend $retry_after $location"
        self.assertEqual(error, f"$cause is none of {known} ($$ is a dollar sign)")

    def test_what_looks_like_a_placeholder(self) -> None:
        """Braces hold up to 64 characters on one line; a name ends where no more of it can stand."""
        for text in ("${" + "x" * 64 + "}", "$status_", "$_", "${\t}"):
            self.assertRaises(ValueError, PageTemplate, text, HTML)
        for text, shown in (
            ("${" + "x" * 65 + "}", "${" + "x" * 65 + "}"),
            ("${a\nb}", "${a\nb}"),
            ("$-status $", "$-status $"),
            ("$status-", "S-"),
            ("$$status", "$status"),
            ("$$$status", "$S"),
        ):
            self.assertEqual("".join(PageTemplate(text, HTML).pieces({"status": "S"}, "-")), shown, text)

    def test_escapes(self) -> None:
        """In plain text what cannot be printed becomes a replacement character."""
        self.assertEqual(escaped("<\"'&>", HTML), "&lt;&quot;&#x27;&amp;&gt;")
        self.assertEqual(escaped('"\\\n\u00e4', b"application/json"), '\\"\\\\\\n\\u00e4')
        self.assertEqual(escaped("a \x1b<\u00e4\t", b"text/plain"), "a \ufffd<\u00e4\ufffd")


class LoadTests(SynchronousTestCase):
    """Files."""

    def test_files_become_templates(self) -> None:
        """By status and type."""
        path = Path(self.mktemp()).with_suffix(".html")
        path.write_text("<p>$status</p>")
        loaded = load_templates(answer_files(f"503 = {path}"))
        self.assertEqual(loaded[503, HTML].pieces({"status": "503"}, "-"), ["<p>503</p>"])

    def test_every_unusable_file_is_named(self) -> None:
        """All at once: missing, too large, not text, a placeholder that there is none of."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "large.html").write_bytes(b"x" * (MAX_TEMPLATE + 1))
        (folder / "binary.html").write_bytes(b"\xff")
        (folder / "odd.html").write_text("$nope")
        lines = (
            f"400 = {folder}/none.html\n401 = {folder}/large.html\n403 = {folder}/binary.html\n404 = {folder}/odd.html"
        )
        error = str(self.assertRaises(ValueError, load_templates, answer_files(lines)))
        for word in ("none.html: No such file", f"large.html: more than {MAX_TEMPLATE} bytes", "0xff", "$nope is none"):
            self.assertIn(word, error)

    def test_the_words_for_every_unusable_file(self) -> None:
        """In the order of the lines; the largest file is good."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "full.txt").write_bytes(b"x" * 65536)
        loaded = load_templates(answer_files(f"400 = {folder}/full.txt"))
        self.assertEqual(len(loaded[400, b"text/plain"].pieces({}, "-")[0]), 65536)
        (folder / "large.txt").write_bytes(b"x" * 65537)
        (folder / "binary.txt").write_bytes(b"ab\xfe")
        lines = f"400 = {folder}/large.txt\n401 = {folder}/binary.txt\n403 = {folder}"
        error = str(self.assertRaises(ValueError, load_templates, answer_files(lines + "/none.json")))
        self.assertEqual(
            error,
            f"400 = {folder}/large.txt: more than 65536 bytes; 401 = {folder}/binary.txt: byte 0xfe at 2 is not UTF-8; "
            f"403 = {folder}/none.json: No such file or directory",
        )


class ClusterTests(SynchronousTestCase):
    """``answers`` of a cluster."""

    def test_an_unusable_file_ends_the_check_with_its_name(self) -> None:
        """Before anything starts."""
        text = "[cluster web]\nbackends = 127.0.0.1:1\nanswers = 503 = /no/such.html\n"
        error = self.assertRaises(ConfigErrors, load, text, "f.ini", section_kinds())
        self.assertIn("[cluster web] answers: a file that cannot be used", str(error))
        self.assertIn("/no/such.html: No such file", str(error))
